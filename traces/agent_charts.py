"""The charts of an agent over time. A bar without runs is a gap, never a zero. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from catalyst import charts
from catalyst.charts import Series, Unit
from catalyst.timerange import TimeRange
from traces.usage import Runs, Usage

SECONDS = Unit("%{y:.3~s}s", suffix=" s")
PERCENT = Unit("%{y:.1f}%", suffix="%")
DOLLARS = Unit("$%{y:,.4~f}", prefix="$")
TOKENS = Unit("%{y:.3~s}")


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. `id` names its JSON in the page."""

    id: str
    name: str
    figure: Mapping[str, Any]
    legend: Sequence[Series]


def over_time(bars: Mapping[datetime, Runs], time_range: TimeRange, keep: Mapping[str, str]) -> list[Chart]:
    """Runs, outcomes, errors, latency, tokens and cost; a click on a bar leads to its stretch of time."""
    starts = time_range.buckets()
    queries = [time_range.bucket_query(start, keep) for start in starts]

    def row(name: str, tone: str, value: Callable[[Runs], float | None]) -> Series:
        return Series(name, [value(bars[start]) if start in bars else None for start in starts], tone)

    def summed(name: str, tone: str, value: Callable[[Usage], float]) -> Series:
        return row(name, tone, lambda runs: value(runs.usage))

    def stacked(key: str, name: str, series: Sequence[Series], unit: Unit = charts.COUNT) -> Chart:
        return Chart(f"agent-{key}", name, charts.stacked_bars(starts, series, queries, unit), series)

    def lines(key: str, name: str, series: Sequence[Series], unit: Unit) -> Chart:
        return Chart(f"agent-{key}", name, charts.lines(starts, series, queries, unit), series)

    errors = summed("error", "negative", lambda usage: usage.error_trace_count)
    fine = summed("no error", "quiet", lambda usage: usage.trace_count - usage.error_trace_count)
    failure = summed("failure", "negative", lambda usage: usage.failure_count)
    unknown = summed("unknown", "neutral", lambda usage: usage.unknown_count)
    success = summed("success", "accent", lambda usage: usage.success_count)
    rate = summed("of runs", "negative", lambda usage: 100 * usage.error_trace_count / usage.trace_count)
    p50 = row("p50", "accent", lambda runs: _seconds(runs.p50_us))
    p95 = row("p95", "quiet", lambda runs: _seconds(runs.p95_us))
    cached = summed("in, cached", "cat-2", lambda usage: usage.cached_tokens)
    read = summed("in, not cached", "quiet", lambda usage: max(usage.input_tokens - usage.cached_tokens, 0))
    written = summed("out", "accent", lambda usage: usage.output_tokens)
    cost = row("of priced calls", "accent", _priced)
    return [
        stacked("runs", "Runs", [errors, fine]),
        stacked("outcomes", "Outcomes", [failure, unknown, success]),
        lines("errors", "Error rate", [rate], PERCENT),
        lines("latency", "Latency", [p50, p95], SECONDS),
        stacked("tokens", "Tokens", [cached, read, written], TOKENS),
        stacked("cost", "Cost", [cost], DOLLARS),
    ]


def _seconds(microseconds: float | None) -> float | None:
    return None if microseconds is None else round(microseconds / 1e6, 4)


def _priced(runs: Runs) -> float | None:
    """The cost; a gap where none is known."""
    usage = runs.usage
    return float(usage.cost) if usage.cost or (usage.total_tokens and not usage.unpriced_count) else None


def spark(counts: Mapping[datetime, int], time_range: TimeRange, known: tuple[datetime, datetime]) -> list[str]:
    """Runs as the lines of a sparkline, with a gap outside of `known`: before an agent was first seen and after now."""
    first, now = known
    starts = time_range.buckets()
    return charts.sparkline(
        [counts.get(start, 0 if first - time_range.step < start <= now else None) for start in starts]
    )
