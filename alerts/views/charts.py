"""The metric of an alert over time."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

from alerts import sentences
from alerts.choices import Metric
from alerts.counts import Sums, Watched
from alerts.measures import Measure
from alerts.models import Alert, AlertEvent
from alerts.readings import newest_end
from alerts.rules import EventKind, Rule
from catalyst import figures
from catalyst.figures import Mark, Series, Unit
from catalyst.timerange import TimeRange, floor

POINTS = 240
# Windows that are looked at for a chart.
MAX_WINDOWS = 20_000
MAX_MARKS = 50
PERCENT = Unit("%{y:.1f}%", suffix="%")
UNITS: Mapping[str, Unit] = {
    Metric.P95_LATENCY: Unit("%{y:,.3~f} s", suffix=" s"),
    Metric.COST: Unit("$%{y:,.4~f}", prefix="$"),
}
MARKED: Mapping[str, str] = {EventKind.FIRED: "fired", EventKind.WARNED: "warned", EventKind.RESOLVED: "resolved"}


def of_range(alert: Alert, watch: Watched, time_range: TimeRange, events: Iterable[AlertEvent], now: datetime) -> Any:
    """A figure of the values in a range, with the threshold and marks where something happened. None without values."""
    starts, values = _values(watch, alert.rule, time_range, now)
    if all(value is None for value in values):
        return None
    marks = [Mark(event.window_end, MARKED[event.kind]) for event in events if event.kind in MARKED]
    figure = drawn(watch.measure, starts, values, alert.threshold, alert.warning)
    return figures.mark(figure, marks[:MAX_MARKS]) if marks else figure


def drawn(
    measure: Measure,
    starts: Sequence[datetime],
    values: Sequence[float | None],
    threshold: float,
    warning: float | None,
) -> dict[str, Any]:
    """A line with the thresholds."""
    in_percent = measure.compares or measure.metric.is_share
    factor = 1 if measure.compares or not measure.metric.is_share else 100
    # A change from zero is infinite, which no chart can show.
    shown = [value * factor if value is not None and isfinite(value) else None for value in values]
    name = sentences.window_text(measure.window)
    unit = PERCENT if in_percent else UNITS.get(measure.metric, figures.COUNT)
    figure = figures.lines(starts, [Series(name, shown)], unit=unit)
    figure = figures.limit(figure, threshold * factor, "negative")
    return figure if warning is None else figures.limit(figure, warning * factor, "warn")


def _values(
    watch: Watched, rule: Rule, time_range: TimeRange, now: datetime
) -> tuple[list[datetime], list[float | None]]:
    """Of the windows of each point, the value that is nearest to firing."""
    every, newest = watch.measure.step, newest_end(watch.measure, now)
    start = floor(time_range.start, every)
    end = max(min(time_range.end, newest), start)
    width = max(whole_steps((time_range.end - start) / POINTS, every), every)
    step = max(whole_steps((end - start) / MAX_WINDOWS, every), every)
    sums = watch.sums(watch.begin(start), max(end, start + every))
    known_since = watch.known_since(now)
    pick = max if rule.rises else min
    starts: list[datetime] = []
    values: list[float | None] = []
    at = start
    while at < time_range.end:
        ends = [each for each in _ends(at, min(at + width, end), step) if watch.begin(each) >= known_since]
        known = [value for each in ends if (value := _value(watch, each, sums)) is not None]
        starts.append(at)
        values.append(pick(known) if known else None)
        at += width
    return starts, values


def _ends(start: datetime, end: datetime, step: timedelta) -> list[datetime]:
    return [start + count * step for count in range(1, (end - start) // step + 1)]


def _value(watch: Watched, end: datetime, sums: Sums) -> float | None:
    part = watch.part_at(end)
    if part is None or watch.missing_part(part, end):
        return None
    start = end - watch.measure.window
    before = sums.counts(part.version_id, watch.begin(end), start) if watch.measure.compares else None
    return watch.measure.value(sums.counts(part.version_id, start, end), before)


def whole_steps(length: timedelta, step: timedelta) -> timedelta:
    return -(-length // step) * step
