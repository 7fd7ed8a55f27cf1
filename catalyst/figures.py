"""Plotly figures, and the geometry of small server-rendered SVGs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from itertools import pairwise
from operator import attrgetter
from typing import Any

from plotly.io.json import to_json_plotly


@dataclass(frozen=True, slots=True)
class Series:
    # A tone is a name that stylesheets and charts.js turn into a color: positive, negative, neutral, warn, quiet,
    # strong, unlabelled, accent, or cat-1 to cat-6. One figure serves light and dark.
    name: str
    values: Sequence[float | None]
    tone: str = "accent"


@dataclass(frozen=True, slots=True)
class Unit:
    # `hover` is a d3 format. `prefix` and `suffix` go with the numbers of the axis.
    hover: str = "%{y:,}"
    prefix: str = ""
    suffix: str = ""


COUNT = Unit()


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment in a chart, such as a deploy."""

    moment: datetime
    text: str


MAX_MARK_CHARACTERS = 10
# Of a word above the chart: pixels, and the part of the axis.
MARK_HEIGHT = 22
MARK_WIDTH = 0.22

_AXES: dict[str, Any] = {
    "showlegend": False,
    "hovermode": "x unified",
    "margin": {"l": 52, "r": 8, "t": 8, "b": 24},
    # charts.js writes the times, in the zone of the reader.
    "xaxis": {"type": "date", "fixedrange": True, "showgrid": False, "tickangle": 0},
    "yaxis": {"fixedrange": True, "rangemode": "tozero", "nticks": 4, "separatethousands": True},
}


def to_json(figure: dict[str, Any]) -> str:
    """Return JSON that is safe inside a `<script>`."""
    # Figures are checked against Plotly's schema in the tests: here it would cost 50 ms a page.
    return str(to_json_plotly(figure, engine="orjson"))


def stacked_bars(
    starts: Sequence[datetime], series: Sequence[Series], queries: Sequence[str] = (), unit: Unit = COUNT
) -> dict[str, Any]:
    """Draw stacked bars over time. `queries`: the time that a click on each bucket narrows the page to."""
    traces = [{"type": "bar", **_trace(starts, row, queries, unit)} for row in series]
    return _figure(traces, starts, unit, barmode="stack", bargap=0.15)


def lines(
    starts: Sequence[datetime], series: Sequence[Series], queries: Sequence[str] = (), unit: Unit = COUNT
) -> dict[str, Any]:
    """Draw lines over time, with gaps where a value is None. `queries` as for `stacked_bars`."""
    style = {"type": "scatter", "mode": "lines+markers", "marker": {"size": 3}, "connectgaps": False}
    return _figure([style | _trace(starts, row, queries, unit) for row in series], starts, unit)


def mark(figure: Mapping[str, Any], marks: Sequence[Mark]) -> dict[str, Any]:
    """Draw vertical lines, and a word above each that has room for one. Only moments within the axis are seen."""
    layout = figure["layout"]
    lines = [
        {"type": "line", "x0": _iso(at.moment), "x1": _iso(at.moment), "yref": "paper", "y0": 0, "y1": 1}
        for at in marks
    ]
    first, last = map(datetime.fromisoformat, layout["xaxis"]["range"])
    words = [_word(at) for at in _apart(marks, (last - first) * MARK_WIDTH)]
    room = layout["margin"] | {"t": MARK_HEIGHT}
    marked = {**layout, "margin": room, "annotations": words}
    return _with_shapes({**figure, "layout": marked}, lines)


def limit(figure: Mapping[str, Any], value: float, tone: str) -> dict[str, Any]:
    """Draw a horizontal line, such as a threshold. `tone` as in `Series`."""
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value, "name": tone}
    return _with_shapes(figure, [line])


def shade(figure: Mapping[str, Any], spans: Iterable[tuple[datetime, datetime]]) -> dict[str, Any]:
    """Draw bands behind the chart, from one moment to another."""
    band = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "layer": "below"}
    return _with_shapes(figure, [band | {"x0": _iso(start), "x1": _iso(end)} for start, end in spans])


def _with_shapes(figure: Mapping[str, Any], shapes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    layout = figure["layout"]
    return {**figure, "layout": {**layout, "shapes": [*layout.get("shapes", ()), *shapes]}}


def _apart(marks: Iterable[Mark], width: timedelta) -> list[Mark]:
    """The newest marks that are at least this far from each other."""
    apart: list[Mark] = []
    for at in sorted(marks, key=attrgetter("moment"), reverse=True):
        if not apart or apart[-1].moment - at.moment >= width:
            apart.append(at)
    return apart[::-1]


def _word(at: Mark) -> dict[str, Any]:
    return {
        "x": _iso(at.moment),
        "yref": "paper",
        "y": 1,
        "yanchor": "bottom",
        "text": escape(_short(at.text), quote=False),
        "hovertext": escape(at.text, quote=False),
        "showarrow": False,
    }


def _short(text: str) -> str:
    return text if len(text) <= MAX_MARK_CHARACTERS else f"{text[: MAX_MARK_CHARACTERS - 1]}…"


def _trace(starts: Sequence[datetime], series: Series, queries: Sequence[str], unit: Unit) -> dict[str, Any]:
    return {
        # Plotly draws some HTML in names, links among it.
        "name": escape(series.name, quote=False),
        "x": [_iso(start) for start in starts],
        "y": list(series.values),
        "customdata": list(queries) or None,
        "meta": {"tone": series.tone},
        "hovertemplate": unit.hover + " %{fullData.name}<extra></extra>",
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _figure(traces: list[Any], starts: Sequence[datetime], unit: Unit, **layout: Any) -> dict[str, Any]:
    # The axis shows the whole range, so that the charts of one page align.
    half = (starts[1] - starts[0]) / 2 if len(starts) > 1 else timedelta(minutes=30)
    span = [_iso(starts[0] - half), _iso(starts[-1] + half)] if starts else None
    return {
        "data": traces,
        "layout": _AXES
        | {
            "xaxis": _AXES["xaxis"] | {"range": span},
            "yaxis": _AXES["yaxis"] | {"tickprefix": unit.prefix, "ticksuffix": unit.suffix},
            **layout,
        },
    }


MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
# Distances of times below an axis, and the part of its width that the last text may need.
TICK_STEPS = [
    *(timedelta(minutes=minutes) for minutes in (1, 5, 10, 15, 30)),
    *(timedelta(hours=hours) for hours in (1, 2, 3, 6, 12)),
    *(timedelta(days=days) for days in (1, 2, 7, 14, 28)),
]
MARGIN = 0.1


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle of an SVG, in percent of its width and height."""

    x: float
    y: float
    width: float
    height: float
    tone: str = ""
    title: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """A time below a strip, at this percentage of its width."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Times below an SVG, in UTC. The browser writes them again in the zone of the reader.

    `step`: seconds between bars.
    """

    start: str
    end: str
    step: int
    zone: str
    ticks: list[Tick]


@dataclass(frozen=True, slots=True)
class Strip:
    """Bars over time and the labels of their axes. `ok` and `errors` are SVG paths."""

    ok: str
    errors: str
    hits: list[Bar]
    y_labels: list[int]
    axis: TimeAxis | None


def volume_strip(starts: Sequence[datetime], ok: Sequence[int], errors: Sequence[int], queries: Sequence[str]) -> Strip:
    """Stack errors below successes. `hits` are transparent bars with the exact numbers of each bucket."""
    top = nice_ceiling(max((good + bad for good, bad in zip(ok, errors, strict=True)), default=0))
    slot = 100 / max(len(starts), 1)
    above, base, hits = "", "", []
    step = starts[1] - starts[0] if len(starts) > 1 else MINUTE
    for index, (start, good, bad, query) in enumerate(zip(starts, ok, errors, queries, strict=True)):
        x, width = round(index * slot + slot * 0.1, 3), round(slot * 0.8, 3)
        low, high = 100 * bad / top, 100 * good / top
        base += _rectangle(x, 100 - low, width, low) if bad else ""
        above += _rectangle(x, 100 - low - high, width, high) if good else ""
        title = (
            f"{_bucket_text(start, step)}: {good + bad:,} trace{'' if good + bad == 1 else 's'}, {bad:,} with errors"
        )
        hits.append(Bar(round(index * slot, 3), 0, round(slot, 3), 100, title=title, query=query))
    y_labels = [top, top // 2, 0] if top > 1 else [1, 0]
    axis = time_axis(starts, starts[-1] + step) if len(starts) > 1 else None
    return Strip(above, base, hits, y_labels, axis)


def _bucket_text(start: datetime, step: timedelta) -> str:
    if step < DAY:
        return f"{start:%-d %b %H:%M} UTC"
    return f"{start:%-d %b}, UTC day" if step == DAY else f"{step // DAY} UTC days from {start:%-d %b}"


def time_axis(starts: Sequence[datetime], end: datetime, limit: int = 9) -> TimeAxis:
    """Up to `limit` round times, equally far from each other, from the first of two or more bars to `end`."""
    start, width = starts[0], starts[1] - starts[0]
    length = end - start
    step = next((step for step in TICK_STEPS if length / step <= limit), length)
    first = start + (EPOCH - start) % step
    # Near the end a text would be cut off.
    count = max(int((end - first - length * MARGIN) / step) + 1, 0)
    times = [first + index * step for index in range(count)]
    ticks = [Tick(round(100 * ((moment - start) / length), 2), _tick_text(moment)) for moment in times]
    zone = "UTC day" if width >= DAY else "UTC"
    return TimeAxis(_iso(start), _iso(end), int(width.total_seconds()), zone, ticks)


def _tick_text(moment: datetime) -> str:
    return f"{moment:%-d %b}" if moment == moment.replace(hour=0, minute=0) else f"{moment:%H:%M}"


def _rectangle(x: float, y: float, width: float, height: float) -> str:
    return f"M{x} {y:.2f}h{width}v{height:.2f}h-{width}z"


def nice_ceiling(value: float) -> int:
    """Return the next of 1, 2, 4, 6, 10 times a power of ten. Above 1 its half is a whole number."""
    if value <= 1:
        return 1
    power = int("1".ljust(len(str(int(value))), "0"))
    return next(step * power for step in (1, 2, 4, 6, 10) if step * power >= value)


def sparkline(
    values: Sequence[float | None], width: float = 96, height: float = 22, top: float | None = None
) -> list[str]:
    """Return the `points` of one polyline for each run of values without a gap. `top` fixes the scale from 0."""
    known = [value for value in values if value is not None]
    if not known:
        return []
    low, high = (min(known), max(known)) if top is None else (0, top)
    spread = high - low or 1
    step = width / max(len(values) - 1, 1)
    lines: list[list[str]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            lines.append([])
            continue
        y = height - 1 - (value - low) / spread * (height - 2)
        lines[-1].append(f"{index * step:.1f},{y:.1f}")
    return [_polyline(line) for line in lines if line]


def limited_sparkline(
    values: Sequence[float | None], limit: float, width: float = 96, height: float = 22
) -> tuple[list[str], str]:
    """Return the `points` of a sparkline from 0 and of a line at `limit`, which both fit into the picture."""
    known = [value for value in values if value is not None]
    low, high = min([*known, limit, 0]), max([*known, limit, 0])
    top = (high - low) or 1
    raised = [None if value is None else value - low for value in values]
    line = sparkline([limit - low] * 2, width, height, top)
    return sparkline(raised, width, height, top), line[0]


def _polyline(points: list[str]) -> str:
    # A polyline of one point draws nothing.
    return " ".join(points * 2 if len(points) == 1 else points)


def stackbar(parts: Sequence[tuple[str, float, str]]) -> list[Bar]:
    """Draw (name, amount, tone) as the parts of one bar, with a thin gap between them."""
    total = sum(amount for _, amount, _ in parts)
    edges = [0.0]
    for _, amount, _ in parts:
        edges.append(edges[-1] + amount)
    return [
        _part(name, amount, tone, (100 * left / total, 100 * right / total))
        for (name, amount, tone), (left, right) in zip(parts, pairwise(edges), strict=True)
        if amount
    ]


def _part(name: str, amount: float, tone: str, edges: tuple[float, float]) -> Bar:
    left, right = edges
    width = right - left - (0.4 if right < 100 else 0)
    return Bar(round(left, 3), 0, round(max(width, 0.2), 3), 100, tone, f"{name}: {amount:,.0f}")
