"""Judging takes turns over projects, so the indexes of its queue begin with them."""

from django.db import migrations, models

OPEN = ["queued", "running"]


class Migration(migrations.Migration):
    """Replace the indexes."""

    dependencies = [("signals", "0024_help_texts_of_labels_and_runs")]

    operations = [
        migrations.AddIndex(
            "label",
            models.Index(
                fields=["project", "not_before", "id"],
                name="signals_label_next_live",
                condition=models.Q(status__in=OPEN, run=None),
            ),
        ),
        migrations.AddIndex(
            "label",
            models.Index(
                fields=["project", "not_before", "id"],
                name="signals_label_next_run",
                condition=models.Q(status__in=OPEN, run__isnull=False),
            ),
        ),
        migrations.RemoveIndex("label", "signals_label_open_live"),
        migrations.RemoveIndex("label", "signals_label_open_run"),
    ]
