from importlib import import_module

from django.db import migrations, models

SETTLED = import_module("signals.migrations.0021_settled_minutes")
FUNCTION = SETTLED.COUNT.partition("CREATE TRIGGER")[0].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
# PostgreSQL keeps the plan of a trigger's statement from its first, small use. A full join can't be a nested loop,
# which would read all changed labels once for each of them. Both sides always have a row.
HASHED = FUNCTION.replace("FROM removed r JOIN added a", "FROM removed r FULL JOIN added a")


class Migration(migrations.Migration):

    dependencies = [
        ('signals', '0022_signal_test'),
    ]

    operations = [
        migrations.RunSQL(HASHED, FUNCTION),
        migrations.RemoveIndex(
            model_name='label',
            name='signals_label_by_value',
        ),
        migrations.AddIndex(
            model_name='label',
            index=models.Index(condition=models.Q(('value', ''), _negated=True), fields=['signal', 'value', '-target_time', '-id'], name='signals_label_by_value'),
        ),
    ]
