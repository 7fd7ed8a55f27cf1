"""The names that calls count under are kept, so that the new ones of an hour can be counted."""

import django.db.models.deletion
from django.db import migrations, models

from traces.store import schema

FILL = """
INSERT INTO traces_callname (project_id, kind, name, first_seen_at)
SELECT project_id, kind, name, min(hour) FROM traces_agenthourcalls WHERE name <> '' GROUP BY 1, 2, 3
"""


class Migration(migrations.Migration):
    """Create the table, and mark spans that don't count under their own name."""

    dependencies = [("core", "0004_retention"), ("traces", "0010_unsettled_project")]

    operations = [
        migrations.CreateModel(
            name="CallName",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(choices=[("LLM", "Llm"), ("TOOL", "Tool")], max_length=4)),
                ("name", models.CharField(max_length=256)),
                ("first_seen_at", models.DateTimeField()),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="core.project",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("project", "kind", "name"), name="traces_callname_key")
                ],
                "indexes": [models.Index(fields=["project", "first_seen_at"], name="traces_callname_new")],
            },
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(schema.OTHER, schema.DROP_OTHER),
    ]
