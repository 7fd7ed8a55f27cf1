"""Traces whose clock is far off are marked and found by when they arrived."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add the mark, which rewrites no row, and its index."""

    dependencies = [("traces", "0012_service_version")]

    operations = [
        migrations.AddField(
            model_name="trace",
            name="skewed",
            field=models.BooleanField(
                db_default=False, default=False, help_text="Its earliest span is: see `traces.models.span.Span`."
            ),
        ),
        migrations.AddIndex(
            model_name="trace",
            index=models.Index(
                condition=models.Q(skewed=True),
                fields=["project", "-first_received_at", "-id"],
                name="traces_trace_skewed",
            ),
        ),
        # Help texts.
        migrations.AlterField(
            model_name="agenthour",
            name="error_trace_count",
            field=models.BigIntegerField(default=0, help_text="Traces with a root that failed."),
        ),
        migrations.AlterField(
            model_name="session",
            name="error_trace_count",
            field=models.BigIntegerField(default=0, help_text="Traces with a root that failed."),
        ),
        migrations.AlterField(
            model_name="trace",
            name="duration_us",
            field=models.BigIntegerField(default=0, help_text="Of the ended roots, else from start to end."),
        ),
        migrations.AlterField(
            model_name="trace",
            name="root_ended",
            field=models.BooleanField(default=False, help_text="There are roots, and all of them have ended."),
        ),
        migrations.AlterField(
            model_name="trace",
            name="status",
            field=models.CharField(
                choices=[("unset", "Unset"), ("ok", "OK"), ("error", "Error")],
                default="unset",
                help_text="Error if a root failed, else that of the earliest.",
                max_length=5,
            ),
        ),
    ]
