"""Deletion of the demo's signals."""

from django.db import transaction

from signals.models import Label, Signal, Verdict

LABELS_AT_ONCE = 500


def erase(project_id: int) -> None:
    """Delete all signals of a project. Labels go first, in batches."""
    labels = Label.objects.filter(project=project_id).order_by("pk").values_list("pk", flat=True)
    while batch := list(labels[:LABELS_AT_ONCE]):
        with transaction.atomic():
            Verdict.objects.filter(label_id__in=batch).delete()
            Label.objects.filter(pk__in=batch).delete()
    Signal.objects.filter(project=project_id).delete()
