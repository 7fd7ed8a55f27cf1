"""Agents show outcomes if any run reported one that the status does not say."""

from django.db import migrations, models

FILL = """
UPDATE traces_agenthour h SET reported_outcome_count = t.n
FROM (
    SELECT project_id, agent_id, date_trunc('hour', start_time, 'UTC') AS hour, count(*) AS n
    FROM traces_trace
    WHERE outcome <> 'unknown' AND (status, outcome) NOT IN (('ok', 'success'), ('error', 'failure'))
    GROUP BY 1, 2, 3
) t
WHERE h.project_id = t.project_id AND h.agent_id IS NOT DISTINCT FROM t.agent_id AND h.hour = t.hour
"""


class Migration(migrations.Migration):
    dependencies = [("traces", "0014_quiet_times")]

    operations = [
        migrations.AddField(
            model_name="agenthour",
            name="reported_outcome_count",
            field=models.BigIntegerField(
                default=0, help_text="Traces whose agent reported another outcome than the status says."
            ),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
