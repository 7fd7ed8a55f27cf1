import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    # The budgets move to an app below this one, where no model names signals. So the database deletes them.

    dependencies = [
        ('signals', '0014_help_texts'),
    ]

    operations = [
        migrations.AlterField(
            model_name='budget',
            name='signal',
            field=models.ForeignKey(help_text='Null: all of the project.', null=True, on_delete=django.db.models.deletion.DB_CASCADE, related_name='+', to='signals.signal'),
        ),
    ]
