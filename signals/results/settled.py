"""Counts of targets that settled in a time window, for alerts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from signals.models import SettledMinute, SignalVersion


@dataclass(frozen=True, slots=True)
class SettledCounts:
    """Judged requests by value, others by outcome. Superseded and dequeued requests are excluded."""

    values: Mapping[str, int]
    waiting: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def labelled(self) -> int:
        return sum(self.values.values())


def settled_counts(
    version: SignalVersion, start: datetime, end: datetime, *, is_live: bool | None = None
) -> SettledCounts:
    """Counts of targets that settled in [start, end), whose edges must be whole minutes.

    `is_live` selects live traffic, runs, or (None) both. Once no request waits, counts change only if a person retries
    failures.
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
