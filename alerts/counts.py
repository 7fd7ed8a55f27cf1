"""What an alert reads of a signal's labels: live ones, of the version that a window belongs to."""

import operator
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Protocol

from alerts.choices import Metric
from alerts.measures import Counts, Measure
from alerts.models import Alert
from catalyst.timerange import MINUTE
from signals.definitions.choices import BINARY_LABELS, Type
from signals.models import Signal, SignalVersion
from signals.results import settled
from signals.results.settled import SettledWindow

YES = BINARY_LABELS[0]


@dataclass(frozen=True, slots=True)
class Part:
    """The time in which a version was the current one. `start` is when it was published."""

    version_id: int
    number: int
    start: datetime


@dataclass(frozen=True, slots=True)
class Watched:
    """What an alert watches: the labels of a signal, or those with `value` among them.

    `paused`: why nothing new settles, or empty. `invalid`: why the signal can't answer the alert, or empty.
    """

    measure: Measure
    value: str
    parts: Sequence[Part]
    activated_at: datetime | None
    paused: str = ""
    invalid: str = ""

    def part_at(self, end: datetime) -> Part | None:
        """The version to which a window belongs: the one that was current at its end."""
        place = bisect_left(self.parts, end, key=lambda part: part.start)
        return self.parts[place - 1] if place else None

    def begin(self, end: datetime) -> datetime:
        """Where the windows begin that a value at `end` needs."""
        return end - (2 if self.measure.compares else 1) * self.measure.window

    def missing_part(self, part: Part, end: datetime) -> str:
        """Why the labels of a window are not all there, or empty."""
        if not self.measure.needs_whole_windows:
            return ""
        begin = self.begin(end)
        if part.start > begin:
            return f"Version {part.number} is newer than what this alert compares."
        if self.activated_at is not None and begin < self.activated_at < end:
            return "The signal was activated within the time that this alert looks at."
        return ""


def watched(alert: Alert, signal: Signal, versions: Iterable[SignalVersion]) -> Watched:
    """`versions`: the published ones, in order. Candidates were never current."""
    return Watched(
        measure=alert.measure,
        value=value_of(alert),
        parts=[Part(version.pk, version.number, version.created_at) for version in versions],
        activated_at=signal.activated_at,
        paused=_paused(signal),
        invalid=_invalid(alert, signal),
    )


def value_of(alert: Alert) -> str:
    """The label that the metric counts; empty for all."""
    return YES if alert.metric == Metric.TRUE_RATE else alert.string_label


def _paused(signal: Signal) -> str:
    if signal.archived_at is not None:
        return "The signal is archived."
    return "" if signal.is_live else "The signal is not active."


def _invalid(alert: Alert, signal: Signal) -> str:
    version = signal.current_version
    if version is None:
        return ""
    if alert.metric == Metric.TRUE_RATE and version.type != Type.BINARY:
        return "The signal is no longer binary, so there is no share of yes. Choose another metric."
    if alert.string_label and alert.string_label not in version.labels:
        return f"The signal no longer has the label {alert.string_label}. Choose another one."
    return ""


class Source(Protocol):
    """Counts of windows of a version."""

    def counts(self, version_id: int, start: datetime, end: datetime) -> Counts: ...


@dataclass(frozen=True, slots=True)
class WindowSums:
    """Counts of a few windows of many alerts, read at once."""

    value: str
    sums: Mapping[SettledWindow, settled.SettledCounts]

    def counts(self, version_id: int, start: datetime, end: datetime) -> Counts:
        found = self.sums[SettledWindow(version_id, start, end)]
        hits = found.values.get(self.value, 0)
        return Counts(found.labelled, hits, found.waiting)


def windows_at(watch: Watched, end: datetime) -> list[SettledWindow]:
    """The windows that a value at `end` needs, to be read with `settled_counts`."""
    part = watch.part_at(end)
    if part is None:
        return []
    start = end - watch.measure.window
    now = SettledWindow(part.version_id, start, end)
    return [now, SettledWindow(part.version_id, watch.begin(end), start)] if watch.measure.compares else [now]


class MinuteSums:
    """Counts of any windows in a stretch of time. Each version is read once."""

    def __init__(self, value: str, start: datetime, end: datetime) -> None:
        self._value = value
        self._start = start
        self._end = end
        self._sums: dict[int, list[list[int]]] = {}

    def counts(self, version_id: int, start: datetime, end: datetime) -> Counts:
        first, last = (start - self._start) // MINUTE, (end - self._start) // MINUTE
        return next(self.windows(version_id, range(last, last + 1), last - first))

    def windows(self, version_id: int, ends: range, minutes: int) -> Iterator[Counts]:
        """Counts of the windows of so many minutes with these ends, in minutes after the start."""
        if version_id not in self._sums:
            self._sums[version_id] = self._read(version_id)
        columns = [
            map(operator.sub, sums[ends.start : ends.stop], sums[ends.start - minutes : ends.stop - minutes])
            for sums in self._sums[version_id]
        ]
        return map(Counts, *columns)

    def _read(self, version_id: int) -> list[list[int]]:
        """The labelled, hits and waiting of all minutes before each one."""
        minutes = (self._end - self._start) // MINUTE
        columns = [[0] * minutes for _ in range(3)]
        for place, *counts in settled.settled_minutes(SettledWindow(version_id, self._start, self._end), self._value):
            for column, count in zip(columns, counts, strict=True):
                column[place] = count
        return [list(accumulate(column, initial=0)) for column in columns]
