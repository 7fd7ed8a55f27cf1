"""The address of an endpoint may have held a password or a key. How it is doing is found out anew."""

from django.db import migrations

DELETE = "DELETE FROM signals_judgehealth WHERE url LIKE '%@%' OR url LIKE '%?%'"


class Migration(migrations.Migration):
    """Delete these rows."""

    dependencies = [("llms", "0001_initial")]

    operations = [migrations.RunSQL(DELETE, migrations.RunSQL.noop)]
