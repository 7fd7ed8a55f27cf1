"""What an alert watches, and the counts of its windows.

Of a signal: its live labels, of the version that a window belongs to. Of an agent: its own numbers.
"""

import operator
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Protocol

from alerts import agent_counts
from alerts.agent_counts import AgentSums
from alerts.choices import Metric
from alerts.measures import Counts, Measure
from alerts.models import Alert
from catalyst.agents.models import Agent
from catalyst.timerange import MINUTE
from signals.definitions.choices import BINARY_LABELS, Type
from signals.models import Signal, SignalVersion
from signals.results import settled
from signals.results.settled import SettledWindow
from traces.analytics.agent_totals import AgentWindow

YES = BINARY_LABELS[0]
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """The time in which a version was the current one. `start` is when it was published.

    An agent's own numbers have one part, without a version.
    """

    version_id: int | None
    number: int
    start: datetime


@dataclass(frozen=True, slots=True)
class Watched:
    """What an alert watches: the labels of a signal, or those with `value` among them. Or the numbers of an `agent`.

    `since`: when they began, with the sentence that says so. `paused`: why nothing new settles, or empty. `invalid`:
    why the signal can't answer the alert, or empty.
    """

    measure: Measure
    value: str
    parts: Sequence[Part]
    since: datetime | None
    since_text: str
    paused: str = ""
    invalid: str = ""
    agent: Agent | None = None

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
        return self.since_text if self.since is not None and begin < self.since < end else ""

    def sums(self, start: datetime, end: datetime) -> "Sums":
        """Counts of any windows in a stretch of time."""
        return _sums(self.measure, self.value, self.agent, start, end)

    def first(self, start: datetime) -> datetime | None:
        """When the first target settled since `start`; None if none did. Of an agent, when its first trace counts."""
        if self.agent is not None:
            return agent_counts.first(self.measure, self.agent, start)
        return settled.first_minute([part.version_id for part in self.parts if part.version_id is not None], start)

    def known_since(self, now: datetime) -> datetime:
        """Since when there are sums. Those of labels are kept for longer than anybody looks back."""
        return LONG_AGO if self.agent is None else agent_counts.known_since(self.measure, now)


def of_alert(alert: Alert) -> Watched:
    """What an alert watches now, with the versions that its signal had."""
    if alert.signal is None:
        return of_agent(alert)
    return watched(alert, alert.signal, alert.signal.versions.published().order_by("number"))


def sums_of(alert: Alert, start: datetime, end: datetime) -> "Sums":
    """`Watched.sums` of an alert, for those who know the version."""
    return _sums(alert.measure, value_of(alert), None if alert.signal_id else alert.agent, start, end)


def _sums(measure: Measure, value: str, agent: Agent | None, start: datetime, end: datetime) -> "Sums":
    return MinuteSums(value, start, end) if agent is None else AgentSums(measure, agent, start, end)


def of_agent(alert: Alert) -> Watched:
    """An agent's own numbers."""
    return Watched(
        measure=alert.measure,
        value="",
        parts=[Part(None, 0, LONG_AGO)],
        since=alert.agent.first_seen_at,
        since_text="The agent is newer than what this alert compares.",
        agent=alert.agent,
    )


def watched(alert: Alert, signal: Signal, versions: Iterable[SignalVersion]) -> Watched:
    """`versions`: the published ones, in order. Candidates were never current."""
    return Watched(
        measure=alert.measure,
        value=value_of(alert),
        parts=[Part(version.pk, version.number, version.created_at) for version in versions],
        since=signal.activated_at,
        since_text="The signal was activated within the time that this alert looks at.",
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

    def counts(self, version_id: int | None, start: datetime, end: datetime) -> Counts: ...


class Sums(Source, Protocol):
    """Counts of windows of a version that follow each other."""

    def windows(self, version_id: int | None, ends: range, steps: int) -> Iterator[Counts]:
        """Counts of the windows of so many steps with these ends, in steps after the start."""


@dataclass(frozen=True, slots=True)
class WindowSums:
    """Counts of a few windows of many alerts, read at once."""

    value: str
    sums: Mapping[SettledWindow, settled.SettledCounts]

    def counts(self, version_id: int | None, start: datetime, end: datetime) -> Counts:
        found = self.sums[SettledWindow(_version(version_id), start, end)]
        hits = found.values.get(self.value, 0)
        return Counts(found.labelled, hits, found.waiting)


def windows_at(watch: Watched, end: datetime) -> list[SettledWindow]:
    """The windows that a value at `end` needs, to be read with `settled_counts`."""
    part = watch.part_at(end)
    if part is None or part.version_id is None:
        return []
    return [SettledWindow(part.version_id, *each) for each in _spans(watch, end)]


def agent_windows_at(watch: Watched, end: datetime) -> list[AgentWindow]:
    """The windows that a value of an agent at `end` needs, to be read with `agent_counts.read`."""
    agent = watch.agent
    return [AgentWindow(agent.project_id, agent.pk, *each) for each in _spans(watch, end)] if agent else []


def _spans(watch: Watched, end: datetime) -> list[tuple[datetime, datetime]]:
    start = end - watch.measure.window
    return [(start, end), (watch.begin(end), start)] if watch.measure.compares else [(start, end)]


def _version(version_id: int | None) -> int:
    assert version_id is not None, "Only an agent's own numbers are of no version."
    return version_id


class MinuteSums:
    """Counts of any windows in a stretch of time. Each version is read once."""

    def __init__(self, value: str, start: datetime, end: datetime) -> None:
        self._value = value
        self._start = start
        self._end = end
        self._sums: dict[int, list[list[int]]] = {}

    def counts(self, version_id: int | None, start: datetime, end: datetime) -> Counts:
        first, last = (start - self._start) // MINUTE, (end - self._start) // MINUTE
        return next(self.windows(version_id, range(last, last + 1), last - first))

    def windows(self, version_id: int | None, ends: range, steps: int) -> Iterator[Counts]:
        """Counts of the windows of so many minutes with these ends, in minutes after the start."""
        version_id = _version(version_id)
        if version_id not in self._sums:
            self._sums[version_id] = self._read(version_id)
        columns = [
            map(operator.sub, sums[ends.start : ends.stop], sums[ends.start - steps : ends.stop - steps])
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
