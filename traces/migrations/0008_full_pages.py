"""Pages are filled where rows seldom change, or can't change in place. What is stored stays as it is."""

from django.db import migrations

from traces.store import schema


class Migration(migrations.Migration):
    """Change what new pages keep free."""

    dependencies = [("traces", "0007_fewer_indexes")]

    operations = [migrations.RunSQL(schema.FULL_PAGES, migrations.RunSQL.noop)]
