"""Deletion of expired events and messages."""

from datetime import datetime, timedelta

from django.conf import settings

from alerts.models import AlertEvent, Delivery
from catalyst import timerange

MAX_BATCHES = 20
EVENTS = 1_000
DELIVERIES_KEPT = timedelta(days=90)
DELIVERIES = 5_000


def delete_expired_events(now: datetime, batches: int = MAX_BATCHES) -> int:
    """Delete events older than `KEEP_LABELS_DAYS`, in up to `batches` batches. Return how many."""
    kept_since, deleted = timerange.kept_since(now, settings.KEEP_LABELS_DAYS), 0
    for _ in range(batches):
        count = AlertEvent.objects.delete_expired(kept_since, EVENTS)
        deleted += count
        if count == 0:
            break
    return deleted


def delete_expired_deliveries(now: datetime) -> int:
    expired = Delivery.objects.exclude(state=Delivery.State.QUEUED).filter(created_at__lt=now - DELIVERIES_KEPT)
    ids = list(expired.order_by("created_at").values_list("pk", flat=True)[:DELIVERIES])
    return Delivery.objects.filter(pk__in=ids).delete()[0]
