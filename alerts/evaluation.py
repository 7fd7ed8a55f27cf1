"""Evaluate alerts: each minute, every window that ended and whose labels are judged.

Several workers may do it at once. A worker locks the states of some alerts, passing over those that another one has
locked, and stores the new states, the events and their messages in the same transaction. So each window of an alert is
evaluated once, and a crash leaves it to the next minute.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from math import isfinite
from typing import Self

from django.db import transaction

from alerts import agent_counts, counts, messages
from alerts.agent_counts import AgentWindowSums
from alerts.counts import Source, Watched, WindowSums
from alerts.models import Alert, AlertEvent, AlertState
from alerts.readings import Read, newest_end, newest_minute, read, ready
from alerts.rules import Event, EventKind, Reading, State, step
from catalyst.timerange import DAY, MINUTE, floor
from signals.judging import budget_checks
from signals.models import Signal, SignalVersion
from signals.results import settled

# After an outage, earlier windows are not evaluated.
MAX_CATCH_UP = DAY
AT_ONCE = 200
MAX_ALERTS = 100_000
# The longest window, twice, and the patience before it.
LONGEST_READ = timedelta(days=4, hours=1)
RECENT_STEP = 30 * MINUTE
OVERTAKEN = "A later event of the same evaluation was told instead."


@dataclass(frozen=True, slots=True)
class _Due:
    """One alert to evaluate. `ends`: of the windows that are ready. `is_capped`: nothing is judged until tomorrow."""

    row: AlertState
    watch: Watched
    ends: Sequence[datetime]
    is_capped: bool

    @property
    def has_one(self) -> bool:
        return len(self.ends) == 1


def has_work(now: datetime) -> bool:
    return AlertState.objects.due(newest_minute(now)).exists()


def evaluate(now: datetime, *, is_over: Callable[[], bool] = lambda: False) -> int:
    """Evaluate alerts, the longest not evaluated first, until `is_over`. Return how many moved ahead."""
    until = newest_minute(now)
    due = list(AlertState.objects.due(until).order_by("evaluated_until").values_list("pk", flat=True)[:MAX_ALERTS])
    moved = 0
    for first in range(0, len(due), AT_ONCE):
        if is_over():
            break
        moved += _evaluate(due[first : first + AT_ONCE], until, now)
    return moved


@transaction.atomic
def _evaluate(alerts: Sequence[int], until: datetime, now: datetime) -> int:
    rows = list(AlertState.objects.filter(pk__in=alerts).due(until).lock())
    labelling = _Labelling.of([row.alert.signal for row in rows if row.alert.signal], until, now)
    due = [each for row in rows if (each := _due(row, labelling, until, now)).ends]
    source_of = _sources(due)
    events = [event for each in due for event in _advance(each, source_of(each), now)]
    AlertState.objects.store([each.row for each in due])
    AlertEvent.objects.bulk_create(events)
    messages.announce(events, now)
    return len(due)


def _due(row: AlertState, labelling: "_Labelling", until: datetime, now: datetime) -> _Due:
    if row.alert.signal is not None:
        return labelling.due(row, row.alert.signal, until, now)
    watch = counts.of_agent(row.alert)
    return _Due(row, watch, _ends(row, watch, now), is_capped=False)


@dataclass(frozen=True, slots=True)
class _Labelling:
    """What is known of the judging of some signals.

    `waiting`: minutes with labels that wait, by version. `capped`: versions over a budget. Their labels wait for
    tomorrow, for which no alert should wait.
    """

    versions: Mapping[int, Sequence[SignalVersion]]
    waiting: Mapping[int, Sequence[datetime]]
    capped: Collection[int | None]

    @classmethod
    def of(cls, signals: Collection[Signal], until: datetime, now: datetime) -> Self:
        versions = list(SignalVersion.objects.filter(signal__in=signals).published().order_by("number"))
        of_signal: dict[int, list[SignalVersion]] = defaultdict(list)
        for version in versions:
            of_signal[version.signal_id].append(version)
        waiting = settled.waiting_minutes([version.pk for version in versions], until - LONGEST_READ)
        return cls(of_signal, waiting, budget_checks.caps_reached(versions, now))

    def due(self, row: AlertState, signal: Signal, until: datetime, now: datetime) -> _Due:
        watch = counts.watched(row.alert, signal, self.versions[signal.pk])
        part = watch.part_at(until)
        version = part.version_id if part else None
        is_capped = version is not None and version in self.capped
        waiting = [] if version is None or is_capped else self.waiting.get(version, [])
        return _Due(row, watch, ready(watch, _ends(row, watch, now), waiting, now), is_capped)


def _sources(due: Iterable[_Due]) -> Callable[[_Due], Source]:
    """Read the windows of all alerts with one each at once. After an outage, an alert reads its minutes."""
    ones = [(each.watch, each.ends[0]) for each in due if each.has_one]
    sums = settled.settled_counts([window for one in ones for window in counts.windows_at(*one)], is_live=True)
    of_agents = agent_counts.read((one[0].measure, window) for one in ones for window in counts.agent_windows_at(*one))

    def source_of(each: _Due) -> Source:
        watch = each.watch
        if not each.has_one:
            return watch.sums(watch.begin(each.ends[0]), each.ends[-1])
        return AgentWindowSums(watch.measure, watch.agent, of_agents) if watch.agent else WindowSums(watch.value, sums)

    return source_of


def _ends(row: AlertState, watch: Watched, now: datetime) -> list[datetime]:
    until, step = newest_end(watch.measure, now), watch.measure.step
    first = floor(max(row.evaluated_until, until - MAX_CATCH_UP), step)
    return [first + count * step for count in range(1, (until - first) // step + 1)]


def _advance(due: _Due, source: Source, now: datetime) -> list[AlertEvent]:
    """Move the state over its windows. Return what happened."""
    row, rule, state = due.row, due.row.alert.rule, due.row.as_state()
    happened: list[tuple[Event, Read]] = []
    last = Read(Reading(due.ends[-1]))
    for end in due.ends:
        last = read(due.watch, end, source, counts_waiting=not due.is_capped)
        if end == floor(end, RECENT_STEP):
            row.recent = [*row.recent, _stored(last.reading.value)][-_recent(due.watch) :]
        state, events = step(rule, state, last.reading)
        happened += [(event, last) for event in events]
    _store(row, state, last, now)
    rows = [_event(row.alert, event.kind, each, now) for event, each in happened]
    for each in rows[:-1]:
        each.silenced = OVERTAKEN
    return rows


def _recent(watch: Watched) -> int:
    """How many values a day has."""
    return DAY // max(RECENT_STEP, watch.measure.step)


def _store(row: AlertState, state: State, last: Read, now: datetime) -> None:
    for column in fields(State):
        setattr(row, column.name, getattr(state, column.name))
    row.evaluated_until, row.evaluated_at = last.reading.end, now
    row.reason = last.reason
    row.value, row.before = _stored(last.reading.value), last.before_value(row.alert.measure)
    row.labelled, row.requested = last.counts.labelled, last.counts.requested


def _event(alert: Alert, kind: EventKind, each: Read, now: datetime) -> AlertEvent:
    return AlertEvent(
        project_id=alert.project_id,
        alert=alert,
        kind=kind,
        window_end=each.reading.end,
        created_at=now,
        version_id=each.part.version_id if each.part else None,
        rule=alert.rule_as_it_is,
        observed=_stored(each.reading.value),
        before=each.before_value(alert.measure),
        labelled=each.counts.labelled,
        requested=each.counts.requested,
        reason=each.reason,
        silenced=alert.silence(now),
    )


def _stored(value: float | None) -> float | None:
    """A change from zero is infinite, which JSON can't say."""
    return value if value is not None and isfinite(value) else None
