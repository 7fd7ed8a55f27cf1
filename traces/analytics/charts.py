"""Charts of an agent over time. Bars without runs are gaps, not zeros."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from catalyst import figures
from catalyst.figures import Mark, Series, Unit
from catalyst.timerange import TimeRange
from traces.analytics.stats import Stat, Stats, unsplit
from traces.models import Deploy
from traces.usage import Runs, Usage

SECONDS = Unit("≈%{y:.3~s}s", suffix=" s")
PERCENT = Unit("%{y:.1f}%", suffix="%")
DOLLARS = Unit("$%{y:,.4~f}", prefix="$")
TOKENS = Unit("%{y:.3~s}")


@dataclass(frozen=True, slots=True)
class Part:
    """An entry of the legend; `tone` is the color of its series."""

    tone: str
    stat: Stat


@dataclass(frozen=True, slots=True)
class Card:
    """A chart with its headline number. `id` names its JSON in the page."""

    id: str
    lead: Stat
    figure: Mapping[str, Any]
    parts: Sequence[Part] = ()
    aside: Stat | None = None

    @property
    def name(self) -> str:
        """Names the chart in addresses: runs, errors, latency, tokens or cost."""
        return self.id.removeprefix("agent-")


type Bars = Mapping[datetime, Runs]


class Axis:
    """The bars of a range, each with the time that a click on it narrows the page to."""

    def __init__(self, bars: Bars, time_range: TimeRange) -> None:
        self._bars = bars
        self._starts = time_range.buckets()
        self._queries = [time_range.bucket_query(start, {}) for start in self._starts]

    @property
    def has_outcomes(self) -> bool:
        return any(runs.usage.has_outcomes for runs in self._bars.values())

    def row(self, name: str, tone: str, value: Callable[[Runs], float | None]) -> Series:
        bars = self._bars
        return Series(name, [value(bars[start]) if start in bars else None for start in self._starts], tone)

    def summed(self, name: str, tone: str, value: Callable[[Usage], float]) -> Series:
        return self.row(name, tone, lambda runs: value(runs.usage))

    def stacked(self, series: Sequence[Series], unit: Unit = figures.COUNT) -> Mapping[str, Any]:
        return figures.stacked_bars(self._starts, series, self._queries, unit)

    def lines(self, series: Sequence[Series], unit: Unit) -> Mapping[str, Any]:
        return figures.lines(self._starts, series, self._queries, unit)


def over_time(axis: Axis, stats: Stats) -> list[Card]:
    return [_runs(axis, stats), _errors(axis, stats), _latency(axis, stats), _tokens(axis, stats), _cost(axis, stats)]


def _runs(axis: Axis, stats: Stats) -> Card:
    if axis.has_outcomes:
        lead = replace(stats["runs"], note="by outcome, as the agent reports it")
        return Card("agent-runs", lead, *_by_outcome(axis, stats))
    figure = axis.stacked(
        [
            axis.summed("Error", "negative", lambda usage: usage.error_trace_count),
            axis.summed("OK", "quiet", lambda usage: usage.trace_count - usage.error_trace_count),
        ]
    )
    return Card("agent-runs", stats["runs"], figure, [Part("quiet", stats["ok"]), Part("negative", stats["error"])])


def _by_outcome(axis: Axis, stats: Stats) -> tuple[Mapping[str, Any], list[Part]]:
    figure = axis.stacked(
        [
            axis.summed("failure", "negative", lambda usage: usage.failure_count),
            axis.summed("unknown", "neutral", lambda usage: usage.unknown_count),
            axis.summed("success", "positive", lambda usage: usage.success_count),
        ]
    )
    parts = [Part("positive", stats["success"]), Part("negative", stats["failure"]), Part("neutral", stats["unknown"])]
    return figure, parts


def _errors(axis: Axis, stats: Stats) -> Card:
    rate = axis.summed("of runs", "negative", lambda usage: 100 * usage.error_trace_count / usage.trace_count)
    return Card("agent-errors", stats["error rate"], axis.lines([rate], PERCENT), aside=stats["errors"])


def _latency(axis: Axis, stats: Stats) -> Card:
    figure = axis.lines(
        [
            axis.row("p50", "strong", lambda runs: seconds(runs.p50_us)),
            axis.row("p95", "quiet", lambda runs: seconds(runs.p95_us)),
        ],
        SECONDS,
    )
    lead = replace(stats["p50"], name="Latency", note="p50")
    return Card("agent-latency", lead, figure, [Part("strong", Stat("p50", "")), Part("quiet", stats["p95"])])


def _tokens(axis: Axis, stats: Stats) -> Card:
    cached = axis.summed("in, cached", "cat-2", lambda usage: usage.cached_tokens)
    fresh = axis.summed("in, not cached", "quiet", lambda usage: max(usage.input_tokens - usage.cached_tokens, 0))
    written = axis.summed("out", "strong", lambda usage: usage.output_tokens)
    parts = [Part("quiet", stats["in"]), Part("cat-2", stats["cached"]), Part("strong", stats["out"])]
    return Card("agent-tokens", stats["tokens"], axis.stacked([cached, fresh, written], TOKENS), parts)


def _cost(axis: Axis, stats: Stats) -> Card:
    def part(name: str, tone: str, value: Callable[[Usage], Decimal]) -> Series:
        return axis.row(name, tone, lambda runs: float(value(runs.usage)) if is_priced(runs.usage) else None)

    split = {"input": "quiet", "cache": "cat-2", "output": "strong", "unsplit": "neutral"}
    series = [
        part("cache", "cat-2", lambda usage: usage.cache_cost),
        part("input", "quiet", lambda usage: usage.input_cost),
        part("output", "strong", lambda usage: usage.output_cost),
    ]
    rest = part("not split", "neutral", unsplit)
    if any(rest.values):
        series.append(rest)
    else:
        del split["unsplit"]
    # Their changes would take a second line, which moves this chart against those beside it.
    parts = [Part(tone, _without_change(stats[f"{name} cost"])) for name, tone in split.items()]
    return Card("agent-cost", stats["cost"], axis.stacked(series, DOLLARS), parts, stats["unpriced"])


def _without_change(stat: Stat) -> Stat:
    return replace(stat, change=replace(stat.change, short=""))


def marked(cards: Sequence[Card], deploys: Sequence[Deploy]) -> list[Card]:
    """Draw deploys into charts."""
    marks = [Mark(deploy.started_at, deploy.version) for deploy in deploys]
    return [replace(card, figure=figures.mark(card.figure, marks)) for card in cards]


def seconds(microseconds: float | None) -> float | None:
    return None if microseconds is None else round(microseconds / 1e6, 4)


def is_priced(usage: Usage) -> bool:
    """True if the cost is known, even if it is 0."""
    return bool(usage.cost or (usage.total_tokens and not usage.unpriced_count))


def spark(counts: Mapping[datetime, int], time_range: TimeRange, lifetime: tuple[datetime, datetime]) -> list[str]:
    """Lines of a sparkline. `lifetime`: when the agent was first seen, and now; outside is a gap."""
    first, now = lifetime
    points: list[int | None] = []
    for start in time_range.buckets():
        without_runs = 0 if first - time_range.bucket_width < start <= now else None
        points.append(counts.get(start, without_runs))
    return figures.sparkline(points)
