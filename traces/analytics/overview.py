"""The numbers above the list of traces."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from catalyst.figures import Strip, volume_strip
from catalyst.timerange import Query, TimeRange
from traces.models.trace import TraceFilter
from traces.models.volumes import Volume, Volumes


@dataclass(frozen=True, slots=True)
class Overview:
    """`agents`, `statuses`: counts that each choice would give under the other filters.

    `cost` is 0 under a status: it is not known by status. `since`: older traces are not counted; None if all are.
    """

    traces: int
    errors: int
    cost: Decimal
    unpriced_count: int
    strip: Strip
    agents: list[tuple[int, int]]
    statuses: dict[str, int]
    since: datetime | None = None


def overview(
    volumes: Volumes, time_range: TimeRange, trace_filter: TraceFilter, query: Query, since: datetime | None = None
) -> Overview:
    """Compute the numbers. `query`: parameters that a click on a bar keeps."""
    agent_volumes = list(volumes.agents.values())
    if trace_filter.agent is not None:
        agent_volumes = [volumes.agents.get(trace_filter.agent, Volume())]
    statuses = {"ok": sum(map(_ok, agent_volumes)), "error": sum(volume.errors for volume in agent_volumes)}
    shows_ok, shows_errors = trace_filter.status != "error", trace_filter.status != "ok"
    starts = time_range.buckets()
    bars = [volumes.bars.get(start, Volume()) for start in starts]
    priced = [] if trace_filter.status else agent_volumes
    counts: Counter[int] = Counter()
    for agent, volume in volumes.agents.items():
        counts[agent] = _ok(volume) * shows_ok + volume.errors * shows_errors
    return Overview(
        traces=statuses["ok"] * shows_ok + statuses["error"] * shows_errors,
        errors=statuses["error"] * shows_errors,
        cost=sum((volume.cost for volume in priced), Decimal(0)),
        unpriced_count=sum(volume.unpriced for volume in priced),
        strip=volume_strip(
            starts,
            [_ok(bar) * shows_ok for bar in bars],
            [bar.errors * shows_errors for bar in bars],
            [time_range.bucket_query(start, query) for start in starts],
        ),
        # Of equal counts the database gives now one first, now another.
        agents=[(agent, counts[agent]) for agent in sorted(counts, key=lambda pk: (-counts[pk], pk)) if counts[agent]],
        statuses=statuses,
        since=since,
    )


def _ok(volume: Volume) -> int:
    return volume.traces - volume.errors
