"""The numbers above the list of traces."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from catalyst.charts import Strip, volume_strip
from catalyst.timerange import Query, TimeRange
from traces.models.trace import TraceFilter
from traces.models.volumes import Volume, Volumes


@dataclass(frozen=True, slots=True)
class Overview:
    """`agents`, `statuses`: counts that each choice would give under the other filters.

    `since`: older traces are not counted; None if all are.
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
    found: Volumes, time_range: TimeRange, wanted: TraceFilter, query: Query, since: datetime | None = None
) -> Overview:
    """Compute the numbers. `query`: parameters that a click on a bar keeps."""
    mine = list(found.agents.values()) if wanted.agent is None else [found.agents.get(wanted.agent, Volume())]
    statuses = {"ok": sum(map(_ok, mine)), "error": sum(each.errors for each in mine)}
    shows_ok, shows_errors = wanted.status != "error", wanted.status != "ok"
    starts = time_range.buckets()
    bars = [found.bars.get(start, Volume()) for start in starts]
    kept = Counter({agent: _ok(each) * shows_ok + each.errors * shows_errors for agent, each in found.agents.items()})
    return Overview(
        traces=statuses["ok"] * shows_ok + statuses["error"] * shows_errors,
        errors=statuses["error"] * shows_errors,
        cost=sum((each.cost for each in mine), Decimal(0)),
        unpriced_count=sum(each.unpriced for each in mine),
        strip=volume_strip(
            starts,
            [_ok(bar) * shows_ok for bar in bars],
            [bar.errors * shows_errors for bar in bars],
            [time_range.bucket_query(start, query) for start in starts],
        ),
        agents=[(agent, count) for agent, count in kept.most_common() if count],
        statuses=statuses,
        since=since,
    )


def _ok(volume: Volume) -> int:
    return volume.traces - volume.errors
