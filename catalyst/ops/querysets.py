"""Queries over wake-ups. Each change is one compare-and-set, so that any number of clocks and workers may race."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from catalyst.ops.models import Wakeup

LOST_AFTER = timedelta(seconds=15)
FAILED_PAUSE = timedelta(seconds=10)


class WakeupQuerySet(models.QuerySet["Wakeup"]):
    """Wake-ups."""

    def register(self, kinds: list[str], now: datetime) -> None:
        """Have a row for each kind, due at once if it is new."""
        self.bulk_create([self.model(kind=kind, due_at=now) for kind in kinds], ignore_conflicts=True)

    def forget_outstanding(self, now: datetime) -> None:
        """Make every kind due at once: no worker runs that could end what is outstanding."""
        self.update(enqueued_at=None, due_at=now)

    def take(self, kind: str, every: timedelta, now: datetime) -> bool:
        """Whether a wake-up of this kind is to be enqueued now; if so it counts as enqueued at `now`.

        Never while another is outstanding, unless that one has not ended for LOST_AFTER: then it is replaced.
        """
        free = Q(enqueued_at=None) | Q(enqueued_at__lte=now - LOST_AFTER)
        return bool(self.filter(free, kind=kind, due_at__lte=now).update(enqueued_at=now, due_at=now + every))

    def is_outstanding(self, kind: str, token: datetime) -> bool:
        """Whether the wake-up enqueued at `token` still counts: not ended and not replaced."""
        return self.filter(kind=kind, enqueued_at=token).exists()

    def finish(self, kind: str, token: datetime, now: datetime, error: str = "") -> None:
        """Note the end of the wake-up enqueued at `token`; after an error the next one waits FAILED_PAUSE."""
        changes = {"due_at": now + FAILED_PAUSE} if error else {}
        self.filter(kind=kind, enqueued_at=token).update(enqueued_at=None, finished_at=now, last_error=error, **changes)

    def answered_since(self, kinds: list[str], moment: datetime) -> bool:
        """Whether a wake-up of each kind has ended since then: clock and workers are alive."""
        return self.filter(kind__in=kinds, finished_at__gte=moment).count() == len(kinds)
