"""Which days have expired is written down, no longer concluded from spans that are missing."""

from django.db import migrations, models

# Traces that lost their spans before this was written down, and that retention has not deleted yet.
FILL = """
INSERT INTO traces_expiredday (day, last_trace)
SELECT (start_time AT TIME ZONE 'UTC')::date AS day, max(id) FROM traces_trace
WHERE start_time < (
    SELECT min(right(relname, 8)::date)::timestamp AT TIME ZONE 'UTC' FROM pg_inherits JOIN pg_class ON oid = inhrelid
    WHERE inhparent = 'traces_span'::regclass AND relname ~ '_[0-9]{8}$'
) GROUP BY day
"""


class Migration(migrations.Migration):
    """Create the table of expired days."""

    dependencies = [("traces", "0008_full_pages")]

    operations = [
        migrations.CreateModel(
            name="ExpiredDay",
            fields=[
                ("day", models.DateField(primary_key=True, serialize=False)),
                (
                    "last_trace",
                    models.BigIntegerField(
                        help_text="The newest trace, by primary key, when the day was dropped."
                    ),
                ),
            ],
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
