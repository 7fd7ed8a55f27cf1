"""Settling takes turns over projects, so each row of its queue names one."""

import django.db.models.deletion
from django.db import migrations, models

FILL = """
DELETE FROM traces_unsettled u WHERE NOT EXISTS (
    SELECT FROM traces_trace WHERE id = u.target_id AND u.scope <> 'session'
    UNION ALL SELECT FROM traces_session WHERE id = u.target_id AND u.scope = 'session'
);
UPDATE traces_unsettled u SET project_id = coalesce(
    (SELECT project_id FROM traces_trace WHERE id = u.target_id AND u.scope <> 'session'),
    (SELECT project_id FROM traces_session WHERE id = u.target_id AND u.scope = 'session')
)
"""


def project(*, null: bool) -> models.ForeignKey:
    return models.ForeignKey(
        db_constraint=False,
        db_index=False,
        null=null,
        on_delete=django.db.models.deletion.CASCADE,
        related_name="+",
        to="core.project",
    )


class Migration(migrations.Migration):
    """Add the project."""

    dependencies = [("core", "0004_retention"), ("traces", "0009_expired_days")]

    operations = [
        migrations.AddField("unsettled", "project", project(null=True)),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AlterField("unsettled", "project", project(null=False)),
        migrations.RemoveIndex("unsettled", "traces_unsettled_due"),
        migrations.AddIndex("unsettled", models.Index(fields=["project", "due_at"], name="traces_unsettled_next")),
    ]
