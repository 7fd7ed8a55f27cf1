"""Counts the new agents of a project while spans arrive."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Add the index, and drop the one that it makes superfluous."""

    dependencies = [("agents", "0001_initial"), ("core", "0004_retention")]

    operations = [
        migrations.AddIndex("agent", models.Index(fields=["project", "first_seen_at"], name="agents_agent_new")),
        migrations.AlterField(
            "agent",
            "project",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="agents",
                to="core.project",
            ),
        ),
    ]
