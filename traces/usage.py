"""Sums over runs, and whether two periods differ significantly."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from math import ceil

from catalyst.confidence import wilson
from traces.summary import Calls, bucket_duration_us


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums over runs; names as in `traces.models.agent_hours.AgentHour`."""

    trace_count: int = 0
    error_trace_count: int = 0
    success_count: int = 0
    failure_count: int = 0
    reported_outcome_count: int = 0
    llm_count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: Decimal = Decimal(0)
    input_cost: Decimal = Decimal(0)
    cache_cost: Decimal = Decimal(0)
    output_cost: Decimal = Decimal(0)
    unpriced_count: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, name) + getattr(other, name) for name in SUMS))

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, name) - getattr(other, name) for name in SUMS))

    @property
    def unknown_count(self) -> int:
        return self.trace_count - self.success_count - self.failure_count

    @property
    def has_outcomes(self) -> bool:
        """Whether a run reported another outcome than its status says. Where none does the status stands in."""
        return self.reported_outcome_count > 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


SUMS = tuple(field.name for field in fields(Usage))


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Runs of an agent in one bar of a chart. `agent_id` is None for runs without an agent."""

    agent_id: int | None
    start: datetime
    usage: Usage


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """The number of runs in a latency bucket (`traces.summary.latency_bucket`)."""

    agent_id: int | None
    start: datetime
    bucket: int
    count: int


class Timed:
    __slots__ = ()
    latencies: Counter[int]

    @property
    def p50_us(self) -> float | None:
        return percentile(self.latencies, 0.5)

    @property
    def p95_us(self) -> float | None:
        return percentile(self.latencies, 0.95)


@dataclass(slots=True)
class Runs(Timed):
    usage: Usage = field(default_factory=Usage)
    latencies: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class Called(Timed):
    """The calls of a model or tool."""

    name: str
    calls: Calls
    latencies: Counter[int] = field(default_factory=Counter)


def by_agent(rows: Iterable[UsageRow], latencies: Iterable[LatencyRow]) -> dict[int | None, Runs]:
    """Runs by agent; None holds those without an agent."""
    runs_by_agent: dict[int | None, Runs] = defaultdict(Runs)
    for row in rows:
        runs_by_agent[row.agent_id].usage += row.usage
    for latency in latencies:
        runs_by_agent[latency.agent_id].latencies[latency.bucket] += latency.count
    return runs_by_agent


def by_start(rows: Iterable[UsageRow], latencies: Iterable[LatencyRow]) -> dict[datetime, Runs]:
    """Runs by bar, without empty bars."""
    runs_by_start: dict[datetime, Runs] = defaultdict(Runs)
    for row in rows:
        if row.usage.trace_count:
            runs_by_start[row.start].usage += row.usage
    for latency in latencies:
        if latency.count:
            runs_by_start[latency.start].latencies[latency.bucket] += latency.count
    return dict(runs_by_start)


def total(parts: Iterable[Runs]) -> Runs:
    runs = Runs()
    for part in parts:
        runs.usage += part.usage
        runs.latencies.update(part.latencies)
    return runs


def rest(bars: Mapping[datetime, Runs], parts: Iterable[Mapping[datetime, Runs]]) -> dict[datetime, Runs]:
    """Runs by bar that are in none of the parts, without empty bars."""
    remaining = {}
    parts = list(parts)
    for start, runs in bars.items():
        counted = total(part[start] for part in parts if start in part)
        if runs.usage.trace_count > counted.usage.trace_count:
            remaining[start] = Runs(runs.usage - counted.usage, runs.latencies - counted.latencies)
    return remaining


def percentile(latencies: Mapping[int, int], share: float) -> float | None:
    """The percentile in microseconds, within 5 %. Returns None without runs."""
    total = sum(latencies.values())
    return bucket_duration_us(_bucket_at(latencies, ceil(share * total))) if total else None


def percentile_trend(before: Mapping[int, int], after: Mapping[int, int], share: float) -> int:
    """Returns 1 if a percentile rose, -1 if it fell, 0 if the 95 % confidence intervals overlap or touch."""
    if not before or not after:
        return 0
    (low, high), (new_low, new_high) = _interval(before, share), _interval(after, share)
    return (new_low > high + 1) - (new_high < low - 1)


def share_trend(before: tuple[int, int], after: tuple[int, int]) -> int:
    """Returns 1 if a share (part, whole) rose, -1 if it fell, 0 if the 95 % confidence intervals overlap."""
    (low, high), (new_low, new_high) = wilson(*before), wilson(*after)
    return (new_low > high) - (new_high < low)


def _interval(latencies: Mapping[int, int], share: float) -> tuple[int, int]:
    total = sum(latencies.values())
    low, high = wilson(share * total, total)
    return _bucket_at(latencies, ceil(low * total)), _bucket_at(latencies, ceil(high * total))


def _bucket_at(latencies: Mapping[int, int], rank: int) -> int:
    seen = 0
    for bucket, count in sorted(latencies.items()):
        seen += count
        if seen >= rank and count:
            return bucket
    # Ranks beyond the last run.
    return max(latencies)
