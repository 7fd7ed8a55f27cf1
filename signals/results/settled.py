"""What became of the targets that settled in a window of time: what alerts count."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from signals.models import SettledMinute, SignalVersion


@dataclass(frozen=True, slots=True)
class SettledCounts:
    """Requests of one version by outcome; those judged by value.

    Those that were superseded or left the queue before they were judged count nowhere.
    """

    values: Mapping[str, int]
    waiting: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def labelled(self) -> int:
        """Requests that a judge gave a value."""
        return sum(self.values.values())


def settled_counts(
    version: SignalVersion, start: datetime, end: datetime, *, is_live: bool | None = None
) -> SettledCounts:
    """What became of the targets that settled in the minutes [start, end), of live traffic, of runs or (None) of both.

    The window's edges must be whole minutes. Once nothing of it waits, its counts change only if a person retries what
    failed.
    """
    rows = SettledMinute.objects.filter(version=version, minute__gte=start, minute__lt=end)
    if is_live is not None:
        rows = rows.filter(is_live=is_live)
    values: dict[str, int] = {}
    outcomes: dict[str, int] = {}
    for outcome, value, count in rows.values_list("outcome", "value").annotate(n=Sum("count")).filter(n__gt=0):
        if outcome == SettledMinute.Outcome.DONE:
            values[value] = count
        else:
            outcomes[outcome] = count
    shown = {name: outcomes.get(name, 0) for name in ("waiting", "failed", "skipped")}
    return SettledCounts(values, **shown)
