"""Deletion of expired events."""

from datetime import datetime

from django.conf import settings

from alerts.models import AlertEvent
from catalyst import timerange

MAX_BATCHES = 20
EVENTS = 1_000


def delete_expired_events(now: datetime, batches: int = MAX_BATCHES) -> int:
    """Delete events older than `KEEP_LABELS_DAYS`, in up to `batches` batches. Return how many."""
    kept_since, deleted = timerange.kept_since(now, settings.KEEP_LABELS_DAYS), 0
    for _ in range(batches):
        count = AlertEvent.objects.delete_expired(kept_since, EVENTS)
        deleted += count
        if count == 0:
            break
    return deleted
