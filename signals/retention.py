"""Delete labels and verdicts that are older than `KEEP_LABELS_DAYS`."""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from catalyst import timerange
from signals.models import Label, Verdict

BATCHES = 20
LABELS = 1_000


def forget_labels(now: datetime, batches: int = BATCHES) -> int:
    """Delete labels that were made before, with their verdicts, in at most so many batches; returns how many."""
    kept_since, deleted = timerange.kept_since(now, settings.KEEP_LABELS_DAYS), 0
    for _ in range(batches):
        count = _forget_batch(kept_since)
        deleted += count
        if count == 0:
            break
    return deleted


@transaction.atomic
def _forget_batch(kept_since: datetime) -> int:
    ids = Label.objects.oldest_before(kept_since, LABELS)
    held = list(Label.objects.filter(pk__in=ids).select_for_update(skip_locked=True).values_list("pk", flat=True))
    Verdict.objects.filter(label__in=held).delete()
    Label.objects.filter(pk__in=held).delete()
    return len(held)
