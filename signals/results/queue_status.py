"""How the judging of a signal goes at a moment: what waits and since when, what failed and why."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from catalyst.formats import lasting
from signals.models import Signal
from traces.models import Unsettled

MAX_FAILURES_SAMPLED = 200
"""Of the failures so many tell why."""
REASONS = 3
LATE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """`waiting` and `failed` labels in all; `lag`: for how long the longest of the live ones has been due.

    `late`: for how long the oldest target of the instance should have settled; None while that keeps up.
    """

    waiting: int
    failed: int
    lag: timedelta | None
    late: timedelta | None
    reasons: list[tuple[str, int]]

    @property
    def newest(self) -> int:
        """How many failures the reasons are of, where that is not all of them; else 0."""
        return MAX_FAILURES_SAMPLED if self.failed > MAX_FAILURES_SAMPLED else 0

    @property
    def lag_words(self) -> str:
        """The lag for people."""
        return lasting(self.lag)

    @property
    def late_words(self) -> str:
        """How late settling is, for people."""
        return lasting(self.late)


def queue_status(signal: Signal, now: datetime) -> QueueStatus:
    """In at most four queries, whatever there is."""
    covered = signal.hours.filter(state__in=["waiting", "failed"]).coverage()
    since = signal.label_set.oldest_due(now) if covered.waiting else None
    due = Unsettled.objects.order_by("due_at").values_list("due_at", flat=True).first() if signal.is_live else None
    return QueueStatus(
        covered.waiting,
        covered.failed,
        now - since if since else None,
        now - due if due and now - due > LATE else None,
        signal.label_set.errors(MAX_FAILURES_SAMPLED)[:REASONS] if covered.failed else [],
    )
