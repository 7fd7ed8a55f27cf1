"""Deletion of expired tests, exchanges, labels and verdicts."""

from collections import deque
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from catalyst import timerange
from catalyst.core.models import Project
from signals.models import Exchange, Label, SettledMinute, SignalTest, Unsampled, Verdict

MAX_BATCHES = 20
LABELS = 1_000
EXCHANGES = 1_000
TESTS_KEPT = timedelta(days=1)


def exchange_days(project: Project) -> int:
    """Return the number of days that exchanges are kept; 0 disables them."""
    # Exchanges quote spans, so they expire with them.
    return min(settings.JUDGE_EXCHANGE_DAYS, project.kept_days)


def delete_expired_exchanges(now: datetime, batches: int = MAX_BATCHES) -> int:
    """Delete exchanges older than `JUDGE_EXCHANGE_DAYS`, in up to `batches` batches. Return how many."""
    # Projects take turns.
    turns, deleted = deque(Project.objects.order_by("pk")), 0
    while turns and batches > 0:
        project = turns.popleft()
        if count := Exchange.objects.delete_expired(
            project, timerange.kept_since(now, exchange_days(project)), EXCHANGES
        ):
            turns.append(project)
            deleted += count
            batches -= 1
    return deleted


def delete_expired_labels(now: datetime, batches: int = MAX_BATCHES) -> int:
    """Delete data older than `KEEP_LABELS_DAYS`, in up to `batches` batches. Return the number of labels."""
    kept_since, deleted = timerange.kept_since(now, settings.KEEP_LABELS_DAYS), 0
    for _ in range(batches):
        count = _delete_batch(kept_since)
        deleted += count
        if count == 0:
            break
    ahead = now + timedelta(days=settings.KEEP_LABELS_DAYS)
    for _ in range(batches):
        if not Unsampled.objects.delete_expired(kept_since, LABELS) + Unsampled.objects.delete_ahead(ahead, LABELS):
            break
    for _ in range(batches):
        if not SettledMinute.objects.delete_expired(kept_since, LABELS):
            break
    return deleted


def delete_expired_tests(now: datetime) -> int:
    expired = SignalTest.objects.filter(created_at__lt=now - TESTS_KEPT)
    return expired.delete()[1].get("signals.SignalTest", 0)


@transaction.atomic
def _delete_batch(kept_since: datetime) -> int:
    ids = Label.objects.oldest_before(kept_since, LABELS)
    list(Label.objects.lock_targets(ids).values_list("id"))
    Verdict.objects.filter(label__in=ids).delete()
    Label.objects.filter(pk__in=ids).delete()
    return len(ids)
