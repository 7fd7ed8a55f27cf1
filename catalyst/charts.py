"""Rows to pictures: Plotly figures, and the geometry of small server-rendered SVGs. Pure.

A tone is a name that the stylesheets and charts.js turn into a colour: positive, negative, neutral, warn, quiet,
accent, or cat-1 to cat-6 for things without judgement. Figures hold no colours: one figure serves light and dark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from plotly.io.json import to_json_plotly


@dataclass(frozen=True, slots=True)
class Series:
    """One named row of values, one per bucket; None where there is no data, which is drawn as a gap."""

    name: str
    values: Sequence[float | None]
    tone: str = "accent"


@dataclass(frozen=True, slots=True)
class Unit:
    """How values are written: d3's format of one, and what stands before and after the numbers of the axis."""

    hover: str = "%{y:,}"
    prefix: str = ""
    suffix: str = ""


COUNT = Unit()


_AXES: dict[str, Any] = {
    "showlegend": False,
    "hovermode": "x unified",
    "margin": {"l": 52, "r": 8, "t": 8, "b": 24},
    "xaxis": {"type": "date", "fixedrange": True, "showgrid": False, "nticks": 6, "tickangle": 0},
    "yaxis": {"fixedrange": True, "rangemode": "tozero", "nticks": 4, "separatethousands": True},
}
"""What all figures share."""


def to_json(figure: dict[str, Any]) -> str:
    """A figure as JSON that is safe inside a `<script>`: Plotly's serializer escapes what could end it."""
    # Figures are checked against Plotly's schema in the tests: here it would cost 50 ms a page.
    return str(to_json_plotly(figure, engine="orjson"))


def stacked_bars(
    starts: Sequence[datetime], series: Sequence[Series], queries: Sequence[str] = (), unit: Unit = COUNT
) -> dict[str, Any]:
    """Bars over time, the first series at the base. `queries`: per bucket, the query string that a click goes to."""
    traces = [{"type": "bar", **_trace(starts, each, queries, unit)} for each in series]
    return _figure(traces, starts, unit, barmode="stack", bargap=0.15)


def lines(
    starts: Sequence[datetime], series: Sequence[Series], queries: Sequence[str] = (), unit: Unit = COUNT
) -> dict[str, Any]:
    """Lines over time, with a mark where a value stands alone. `queries` as for bars."""
    look = {"type": "scatter", "mode": "lines+markers", "marker": {"size": 3}, "connectgaps": False}
    return _figure([look | _trace(starts, each, queries, unit) for each in series], starts, unit)


def _trace(starts: Sequence[datetime], series: Series, queries: Sequence[str], unit: Unit) -> dict[str, Any]:
    return {
        "name": series.name,
        "x": [_iso(start) for start in starts],
        "y": list(series.values),
        "customdata": list(queries) or None,
        "meta": {"tone": series.tone},
        "hovertemplate": unit.hover + " %{fullData.name}<extra></extra>",
    }


def _iso(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")


def _figure(traces: list[Any], starts: Sequence[datetime], unit: Unit, **layout: Any) -> dict[str, Any]:
    """All of the range, so that charts of one page line up and show where there is nothing yet."""
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


@dataclass(frozen=True, slots=True)
class Bar:
    """One rectangle of an SVG, in percent of its width and height."""

    x: float
    y: float
    width: float
    height: float
    tone: str = ""
    title: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True)
class Strip:
    """Bars over time with the numbers beside their axes. `ok` and `errors`: the bars of one colour as one SVG path."""

    ok: str
    errors: str
    hits: list[Bar]
    y_labels: list[int]
    x_labels: list[str]


def volume_strip(starts: Sequence[datetime], ok: Sequence[int], errors: Sequence[int], queries: Sequence[str]) -> Strip:
    """Errors at the base, the rest above; one transparent bar per bucket, with its exact numbers, to point at."""
    top = nice_ceiling(max((good + bad for good, bad in zip(ok, errors, strict=True)), default=0))
    slot = 100 / max(len(starts), 1)
    above, base, hits = "", "", []
    for index, (start, good, bad, query) in enumerate(zip(starts, ok, errors, queries, strict=True)):
        x, width = round(index * slot + slot * 0.1, 3), round(slot * 0.8, 3)
        low, high = 100 * bad / top, 100 * good / top
        base += _rectangle(x, 100 - low, width, low) if bad else ""
        above += _rectangle(x, 100 - low - high, width, high) if good else ""
        title = f"{start:%-d %b %H:%M} UTC: {good + bad:,} traces, {bad:,} with errors"
        hits.append(Bar(round(index * slot, 3), 0, round(slot, 3), 100, title=title, query=query))
    return Strip(above, base, hits, [top, top // 2, 0] if top > 1 else [1, 0], axis_labels(starts))


def _rectangle(x: float, y: float, width: float, height: float) -> str:
    return f"M{x} {y:.2f}h{width}v{height:.2f}h-{width}z"


def axis_labels(starts: Sequence[datetime], count: int = 7) -> list[str]:
    """A few evenly spread times: hours within two days, else days."""
    if not starts:
        return []
    shown = starts
    if len(starts) > count:
        shown = [starts[index * (len(starts) - 1) // (count - 1)] for index in range(count)]
    wide = (starts[-1] - starts[0]).days >= 2
    return [f"{when:%-d %b}" if wide else f"{when:%H:%M}" for when in shown]


def nice_ceiling(value: float) -> int:
    """The next of 1, 2, 4, 6, 10 times a power of ten: even, so that its half is a whole number."""
    if value <= 1:
        return 1
    power = int("1".ljust(len(str(int(value))), "0"))
    return next(step * power for step in (1, 2, 4, 6, 10) if step * power >= value)


def sparkline(
    values: Sequence[float | None], width: float = 96, height: float = 22, top: float | None = None
) -> list[str]:
    """The `points` of one polyline per run of values without a gap, from the least to the most, or from 0 to `top`."""
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


def _polyline(points: list[str]) -> str:
    # A polyline of one point draws nothing.
    return " ".join(points * 2 if len(points) == 1 else points)


def stackbar(parts: Sequence[tuple[str, float, str]]) -> list[Bar]:
    """One bar of 100 per cent from (name, amount, tone), with a hairline of ground between the parts."""
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
