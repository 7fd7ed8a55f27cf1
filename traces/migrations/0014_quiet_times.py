"""Signals may wait longer or shorter than the instance for a session to be quiet."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("agents", "0003_identities"), ("traces", "0013_clock_skew")]

    operations = [
        migrations.CreateModel(
            name="QuietTime",
            fields=[
                (
                    "agent",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="agents.agent",
                    ),
                ),
                ("session", models.DurationField()),
            ],
        ),
        migrations.AddField(
            model_name="unsettled",
            name="looked_at",
            field=models.DateTimeField(
                help_text="When it last settled for some signals and stayed for others. Null: not since it grew.",
                null=True,
            ),
        ),
    ]
