"""What an alert would have done over past days. Reads only.

It steps through every window as the evaluation does, with sums as they are now. So it differs from what happened
where a window was evaluated before all of its labels were judged, or of its traces had arrived, and where the signal
was inactive for a while.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import repeat

from alerts.counts import Part, Sums, Watched
from alerts.measures import Counts, Measure
from alerts.readings import newest_end
from alerts.rules import Event, EventKind, Level, Problem, Reading, Rule, State, step
from catalyst.timerange import DAY

MAX_DAYS = 30
POINTS = 300


@dataclass(frozen=True, slots=True)
class Point:
    """The value of the window that ended at `end`: in charts, the one of some windows that is nearest to firing."""

    end: datetime
    value: float | None


@dataclass(frozen=True, slots=True)
class Firing:
    """`end`: when it resolved, None if it has not. `peak`: the value that was furthest beyond the threshold."""

    start: datetime
    end: datetime | None
    peak: float | None


@dataclass(frozen=True, slots=True)
class Backtest:
    """`held_by_…`: how many more firings there would be without the cooldown, the minimum and the rule of chance.

    `unknown`: the part of the windows without a value, from 0 to 1. `width`: the time from a point to the next one.
    """

    start: datetime
    end: datetime
    width: timedelta
    points: Sequence[Point]
    firings: Sequence[Firing]
    warnings: int
    held_by_cooldown: int
    held_by_minimum: int
    held_by_chance: int
    unknown: float

    @property
    def days(self) -> float:
        return (self.end - self.start) / DAY

    @property
    def firings_per_day(self) -> float:
        return len(self.firings) / self.days if self.days else 0.0


def run(watch: Watched, rule: Rule, days: int, now: datetime) -> Backtest:
    """Replay the last `days`, 1 to MAX_DAYS, as far back as there are sums."""
    past = _Past.of(watch, days, now)
    firings, warnings = _replay(rule, past)
    held = {
        "held_by_cooldown": _replay(replace(rule, cooldown=timedelta()), past) if rule.cooldown else None,
        "held_by_minimum": _replay(rule, past.without_minimum()) if watch.measure.min_count else None,
        "held_by_chance": _replay(replace(rule, only_significant=False), past) if rule.only_significant else None,
    }
    merged = -(-len(past.values) // POINTS) or 1
    return Backtest(
        start=past.start,
        end=past.end_of(len(past.values) - 1),
        width=merged * past.measure.step,
        points=_points(rule, past, merged),
        firings=firings,
        warnings=warnings,
        unknown=past.values.count(None) / len(past.values) if past.values else 0.0,
        **{name: max(len(replayed[0]) - len(firings), 0) if replayed else 0 for name, replayed in held.items()},
    )


def suggest(watch: Watched, rule: Rule, days: int, now: datetime) -> float | None:
    """A threshold that one day in seven reached, so that it fires about once a week. None if no window has a value."""
    past = _Past.of(watch, days, now)
    peaks = [point.value for point in _points(rule, past, DAY // past.measure.step) if point.value is not None]
    peaks.sort(reverse=rule.rises)
    return peaks[max(round(len(peaks) / 7), 1) - 1] if peaks else None


@dataclass(frozen=True, slots=True)
class _Past:
    """All windows that ended after `start`, one each step. `values`: None where it is not known."""

    measure: Measure
    start: datetime
    counts: Sequence[Counts]
    before: Sequence[Counts | None]
    is_whole: Sequence[bool]
    values: Sequence[float | None]

    @classmethod
    def of(cls, watch: Watched, days: int, now: datetime) -> "_Past":
        step, end = watch.measure.step, newest_end(watch.measure, now)
        start = min(_start(watch, end - days * DAY, now), end)
        base = watch.begin(start)
        sums = watch.sums(base, end)
        ends = range((start - base) // step + 1, (end - base) // step + 1)
        windows = [each for part, some in _parts(watch, base, ends) for each in _windows(watch, sums, base, part, some)]
        counts, before, is_whole = zip(*windows, strict=True) if windows else ((), (), ())
        return cls(watch.measure, start, counts, before, is_whole, ())._with_values()

    def _with_values(self) -> "_Past":
        value = self.measure.value
        known = zip(self.counts, self.before, self.is_whole, strict=True)
        return replace(self, values=[value(now, before) if is_whole else None for now, before, is_whole in known])

    def without_minimum(self) -> "_Past":
        return replace(self, measure=replace(self.measure, min_count=0))._with_values()

    def end_of(self, place: int) -> datetime:
        return self.start + (place + 1) * self.measure.step

    def reading(self, place: int) -> Reading:
        end, value = self.end_of(place), self.values[place]
        if value is None:
            return Reading(end, problem=Problem.NO_DATA)
        significance = self.measure.significance(self.counts[place], self.before[place])
        return Reading(end, value, is_significant=significance)


def _start(watch: Watched, wanted: datetime, now: datetime) -> datetime:
    """Before its first target a signal has nothing to count, and a drop would be found where nothing was."""
    wanted = max(wanted, watch.known_since(now) + (wanted - watch.begin(wanted)))
    first = watch.first(watch.begin(wanted))
    return max(wanted, first) if first else wanted


def _parts(watch: Watched, base: datetime, ends: range) -> Iterator[tuple[Part | None, range]]:
    """The ends of windows, in steps after `base`, by the version that was current."""
    place, current = ends.start, None
    for part in watch.parts:
        after = min(max((part.start - base) // watch.measure.step + 1, place), ends.stop)
        yield current, range(place, after)
        place, current = after, part
    yield current, range(place, ends.stop)


def _windows(
    watch: Watched, sums: Sums, base: datetime, part: Part | None, ends: range
) -> Iterable[tuple[Counts, Counts | None, bool]]:
    """The counts of the windows, of those before, and whether the labels of both are all of this version."""
    if part is None or not ends:
        return ((Counts(), None, False) for _ in ends)
    step = watch.measure.step
    length = watch.measure.window // step
    before: Iterable[Counts | None] = repeat(None)
    if watch.measure.compares:
        before = sums.windows(part.version_id, range(ends.start - length, ends.stop - length), length)
    is_whole: Iterable[bool] = repeat(True)
    if watch.measure.needs_whole_windows:
        is_whole = (not watch.missing_part(part, base + end * step) for end in ends)
    return zip(sums.windows(part.version_id, ends, length), before, is_whole, strict=False)


def _replay(rule: Rule, past: _Past) -> tuple[list[Firing], int]:
    """The firings and the number of warnings."""
    state, firings, warnings = State(), list[Firing](), 0
    for place, value in enumerate(past.values):
        if _rests(rule, state, value):
            continue
        reading = past.reading(place)
        state, events = step(rule, state, reading)
        for event in events:
            warnings += event.kind == EventKind.WARNED
            _take(firings, event)
        if state.level == Level.FIRING and rule.is_beyond(value, firings[-1].peak):
            firings[-1] = replace(firings[-1], peak=value)
    return firings, warnings


def _take(firings: list[Firing], event: Event) -> None:
    if event.kind == EventKind.FIRED:
        firings.append(Firing(event.reading.end, None, event.reading.value))
    elif event.kind == EventKind.RESOLVED and firings and firings[-1].end is None:
        firings[-1] = replace(firings[-1], end=event.reading.end)


def _rests(rule: Rule, state: State, value: float | None) -> bool:
    """True if a window changes nothing, as most do. `step` finds the same, and needs longer."""
    if state.level != Level.OK or state.calm_since is not None:
        return False
    problem = Problem.NO_DATA if value is None else Problem.NONE
    return problem == state.problem and rule.level_of(value) == Level.OK


def _points(rule: Rule, past: _Past, width: int) -> list[Point]:
    """Of each so many windows the one that is nearest to firing, so that no firing is left out."""
    places = range(len(past.values))
    return [_point(rule, past, places[first : first + width]) for first in places[::width]]


def _point(rule: Rule, past: _Past, places: range) -> Point:
    nearest = places[0]
    for place in places:
        if rule.is_beyond(past.values[place], past.values[nearest]):
            nearest = place
    return Point(past.end_of(nearest), past.values[nearest])
