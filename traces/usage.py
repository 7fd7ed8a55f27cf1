"""What runs add up to, and whether two stretches of time differ by more than chance. Pure."""

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
    """Sums over runs, by the names that `traces.models.agent_hours.AgentHour` has for them."""

    trace_count: int = 0
    error_trace_count: int = 0
    success_count: int = 0
    failure_count: int = 0
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
        """Runs that say neither success nor failure."""
        return self.trace_count - self.success_count - self.failure_count

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


SUMS = tuple(field.name for field in fields(Usage))


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The runs of one agent that started in one bar of a chart; None for runs that name no agent."""

    agent_id: int | None
    start: datetime
    usage: Usage


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """How many of them took how long: `bucket` as in `traces.summary.latency_bucket`."""

    agent_id: int | None
    start: datetime
    bucket: int
    count: int


class Timed:
    """What has a latency histogram."""

    __slots__ = ()
    latencies: Counter[int]

    @property
    def p50_us(self) -> float | None:
        """The median duration, within 5 %."""
        return percentile(self.latencies, 0.5)

    @property
    def p95_us(self) -> float | None:
        """The duration that one in twenty exceeded, within 5 %."""
        return percentile(self.latencies, 0.95)


@dataclass(slots=True)
class Runs(Timed):
    """Some runs: what they add up to, and how many took how long by latency bucket."""

    usage: Usage = field(default_factory=Usage)
    latencies: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class Called(Timed):
    """A model or tool: what its calls add up to, and how many took how long by latency bucket."""

    name: str
    calls: Calls
    latencies: Counter[int] = field(default_factory=Counter)


def by_agent(rows: Iterable[UsageRow], latencies: Iterable[LatencyRow]) -> dict[int | None, Runs]:
    """All runs of each agent; None holds those that name none."""
    found: dict[int | None, Runs] = defaultdict(Runs)
    for row in rows:
        found[row.agent_id].usage += row.usage
    for latency in latencies:
        found[latency.agent_id].latencies[latency.bucket] += latency.count
    return found


def by_start(rows: Iterable[UsageRow], latencies: Iterable[LatencyRow]) -> dict[datetime, Runs]:
    """The runs of each bar; no key where there was none."""
    found: dict[datetime, Runs] = defaultdict(Runs)
    for row in rows:
        if row.usage.trace_count:
            found[row.start].usage += row.usage
    for latency in latencies:
        if latency.count:
            found[latency.start].latencies[latency.bucket] += latency.count
    return dict(found)


def total(parts: Iterable[Runs]) -> Runs:
    """All of them together."""
    whole = Runs()
    for part in parts:
        whole.usage += part.usage
        whole.latencies.update(part.latencies)
    return whole


def rest(bars: Mapping[datetime, Runs], parts: Iterable[Mapping[datetime, Runs]]) -> dict[datetime, Runs]:
    """What is in none of these parts, by bar; no key where nothing is."""
    left = {}
    parts = list(parts)
    for start, runs in bars.items():
        taken = total(part[start] for part in parts if start in part)
        if runs.usage.trace_count > taken.usage.trace_count:
            left[start] = Runs(runs.usage - taken.usage, runs.latencies - taken.latencies)
    return left


def percentile(latencies: Mapping[int, int], share: float) -> float | None:
    """The duration in microseconds, within 5 %, that this share of runs did not exceed; None without runs."""
    total = sum(latencies.values())
    return bucket_duration_us(_bucket_at(latencies, ceil(share * total))) if total else None


def slower(before: Mapping[int, int], after: Mapping[int, int], share: float) -> int:
    """1 when a percentile rose, -1 when it fell, 0 when that may be chance or the width of a bucket.

    The 95 % intervals of both, from the ranks between which the true one lies, must lie apart.
    """
    if not before or not after:
        return 0
    (low, high), (new_low, new_high) = _interval(before, share), _interval(after, share)
    return (new_low > high + 1) - (new_high < low - 1)


def more_often(before: tuple[int, int], after: tuple[int, int]) -> int:
    """1 when a share rose, -1 when it fell, 0 when that may be chance. Each is (part, whole).

    Their 95 % intervals must lie apart.
    """
    (low, high), (new_low, new_high) = wilson(*before), wilson(*after)
    return (new_low > high) - (new_high < low)


def _interval(latencies: Mapping[int, int], share: float) -> tuple[int, int]:
    total = sum(latencies.values())
    low, high = wilson(share * total, total)
    return _bucket_at(latencies, ceil(low * total)), _bucket_at(latencies, ceil(high * total))


def _bucket_at(latencies: Mapping[int, int], rank: int) -> int:
    """The bucket of the run with this rank, the fastest having 1; ranks beyond the ends mean the ends."""
    seen = 0
    for bucket, count in sorted(latencies.items()):
        seen += count
        if seen >= rank and count:
            return bucket
    return max(latencies)
