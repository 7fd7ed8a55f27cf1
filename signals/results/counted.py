"""The labels that an alert counted in a window."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from django.db.models import Count

from catalyst.timerange import MINUTE, floor
from signals.filters import Counted, LabelFilter
from signals.models import Signal
from signals.results.settled import SettledWindow, settled_counts


@dataclass(frozen=True, slots=True)
class CountedWindow:
    """Labels by value, the most frequent first. `outgrown`: how many were counted and are listed no more.

    Their targets have grown since and count again later, or the labels are deleted.
    """

    values: Mapping[str, int] = field(default_factory=dict)
    outgrown: int = 0

    @property
    def labelled(self) -> int:
        return sum(self.values.values())


def window(signal: Signal, wanted: LabelFilter) -> CountedWindow:
    """The labels that the list has for the window of a filter, whatever their value. Empty without a window."""
    if wanted.counted is None:
        return CountedWindow()
    every = LabelFilter(version=wanted.version, counted=wanted.counted)
    rows = (
        signal.label_set.matching(every).order_by().values_list("value").annotate(n=Count("pk")).order_by("-n", "value")
    )
    return CountedWindow(dict(rows), _outgrown(signal, every, wanted.counted))


def _outgrown(signal: Signal, every: LabelFilter, counted: Counted) -> int:
    version = None if every.version is None else signal.versions.filter(number=every.version).first()
    if version is None:
        return 0
    # Sums of minutes know no cutoff.
    listed = signal.label_set.matching(replace(every, counted=replace(counted, judged_before=None))).count()
    minutes = SettledWindow(version.pk, floor(counted.start, MINUTE), floor(counted.end, MINUTE))
    return max(settled_counts([minutes], is_live=True)[minutes].labelled - listed, 0)
