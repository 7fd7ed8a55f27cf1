"""Charts of an agent with a series for each label, and one for runs without a label."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from catalyst import formats
from catalyst.figures import Unit
from catalyst.timerange import TimeRange
from traces import usage
from traces.analytics.charts import DOLLARS, PERCENT, SECONDS, TOKENS, Axis, Bars, Card, Part, is_priced, seconds
from traces.analytics.stats import Stat, Stats
from traces.label_sources import Dimension
from traces.usage import Runs

UNLABELLED = "unlabelled"
# Runs have no sums by label, so their labels are looked up.
MAX_RUNS = 50_000


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    tone: str
    total: Runs
    axis: Axis

    def part(self, value: str) -> Part:
        return Part(self.tone, Stat(self.name, value, f"of {self.total.usage.trace_count:,} runs"))


@dataclass(frozen=True, slots=True)
class Breakdown:
    """`labelled`: how many of `runs` have a label."""

    dimension: Dimension
    labelled: int
    runs: int
    cards: Sequence[Card]


def newest_bars(bars: Bars) -> Bars:
    """The newest bars with up to MAX_RUNS runs, at least one bar."""
    selected: dict[datetime, Runs] = {}
    count = 0
    for start in sorted(bars, reverse=True):
        count += bars[start].usage.trace_count
        if selected and count > MAX_RUNS:
            break
        selected[start] = bars[start]
    return selected


def breakdown(
    dimension: Dimension,
    bars_by_label: Mapping[str, Bars],
    bars: Bars,
    stats: Stats,
    time_range: TimeRange,
) -> Breakdown:
    """Break down the runs of `bars`."""
    with_label = [
        (name, dimension.colors.get(name, "neutral"), bars_by_label.get(name, {}))
        for name in dict.fromkeys((*dimension.colors, *bars_by_label))
    ]
    unlabelled = usage.rest(bars, bars_by_label.values())
    groups = [
        Group(name, tone, usage.total(group_bars.values()), Axis(group_bars, time_range))
        for name, tone, group_bars in [*with_label, (UNLABELLED, UNLABELLED, unlabelled)]
        if group_bars
    ]
    labelled = sum(usage.total(label_bars.values()).usage.trace_count for label_bars in bars_by_label.values())
    runs = usage.total(bars.values())
    return Breakdown(dimension, labelled, runs.usage.trace_count, _cards(groups, stats, runs))


def _cards(groups: Sequence[Group], stats: Stats, runs: Runs) -> list[Card]:
    latency = replace(stats["p50"], name="Latency", note="p50")
    tokens, cost = Stat("Tokens per run", _tokens_words(runs)), Stat("Cost per run", _cost_words(runs))
    return [
        _runs(groups, stats["runs"]),
        _lines("errors", stats["error rate"], groups, _error_rate, _error_words, PERCENT),
        _lines("latency", latency, groups, lambda runs: seconds(runs.p50_us), _latency_words, SECONDS),
        _lines("tokens", tokens, groups, _tokens, _tokens_words, TOKENS),
        _lines("cost", cost, groups, _cost, _cost_words, DOLLARS),
    ]


def _runs(groups: Sequence[Group], lead: Stat) -> Card:
    series = [group.axis.summed(group.name, group.tone, lambda usage: usage.trace_count) for group in groups]
    parts = [group.part(f"{group.total.usage.trace_count:,}") for group in groups]
    return Card("by-label-runs", lead, groups[0].axis.stacked(series), parts)


def _lines(
    name: str,
    lead: Stat,
    groups: Sequence[Group],
    value: Callable[[Runs], float | None],
    text: Callable[[Runs], str],
    unit: Unit,
) -> Card:
    series = [group.axis.row(group.name, group.tone, value) for group in groups]
    parts = [group.part(text(group.total)) for group in groups]
    return Card(f"by-label-{name}", lead, groups[0].axis.lines(series, unit), parts)


def _error_rate(runs: Runs) -> float:
    return 100 * runs.usage.error_trace_count / runs.usage.trace_count


def _error_words(runs: Runs) -> str:
    return formats.percent(runs.usage.error_trace_count, runs.usage.trace_count)


def _latency_words(runs: Runs) -> str:
    return formats.duration(runs.p50_us)


def _tokens(runs: Runs) -> float:
    return runs.usage.total_tokens / runs.usage.trace_count


def _tokens_words(runs: Runs) -> str:
    return formats.short(round(_tokens(runs))) if runs.usage.total_tokens else ""


def _cost(runs: Runs) -> float | None:
    return float(runs.usage.cost) / runs.usage.trace_count if is_priced(runs.usage) else None


def _cost_words(runs: Runs) -> str:
    return formats.usd(_cost(runs))
