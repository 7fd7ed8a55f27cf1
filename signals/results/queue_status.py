"""Queue status of a signal."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from catalyst.formats import lasting
from signals.models import Signal
from traces.models import Unsettled

MAX_FAILURES_SAMPLED = 200  # for the list of failure reasons
REASONS = 3
LATE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """`lag` is how long the oldest live label has been due.

    `late` is how long the oldest target of the instance should have settled, or None if settling keeps up.
    """

    waiting: int
    failed: int
    lag: timedelta | None
    late: timedelta | None
    reasons: list[tuple[str, int]]

    @property
    def newest(self) -> int:
        """The number of failures that `reasons` cover, or 0 if they cover all."""
        return MAX_FAILURES_SAMPLED if self.failed > MAX_FAILURES_SAMPLED else 0

    @property
    def lag_words(self) -> str:
        return lasting(self.lag)

    @property
    def late_words(self) -> str:
        return lasting(self.late)


def queue_status(signal: Signal, now: datetime) -> QueueStatus:
    """The status at `now`, in up to four queries."""
    covered = signal.hours.filter(state__in=["waiting", "failed"]).coverage()
    since = signal.label_set.oldest_due(now) if covered.waiting else None
    unsettled = Unsettled.objects.filter(project=signal.project_id).order_by("due_at")
    due = unsettled.values_list("due_at", flat=True).first() if signal.is_live else None
    return QueueStatus(
        covered.waiting,
        covered.failed,
        now - since if since else None,
        now - due if due and now - due > LATE else None,
        signal.label_set.errors(MAX_FAILURES_SAMPLED)[:REASONS] if covered.failed else [],
    )
