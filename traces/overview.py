"""What the head of the Traces page says about a range: totals, bars, what each filter would keep. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from catalyst.charts import Strip, volume_strip
from catalyst.timerange import Query, TimeRange
from traces.querysets import TraceFilter, Volume


@dataclass(frozen=True, slots=True)
class Overview:
    """`agents` and `statuses` are counts under the other filters, so that a choice shows what it would give.

    `since`: what is older was not looked at; None where all was.
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
    rows: Sequence[Volume], time_range: TimeRange, wanted: TraceFilter, query: Query, since: datetime | None = None
) -> Overview:
    """Add up the volumes of a range. `query` is the page's own, kept when a bar is clicked."""
    mine = [row for row in rows if wanted.agent is None or (row.agent_id or 0) == wanted.agent]
    ok, errors, agents = Counter[object](), Counter[object](), Counter[int]()
    for row in mine:
        ok[row.bucket] += row.traces - row.errors
        errors[row.bucket] += row.errors
    for row in rows:
        agents[row.agent_id or 0] += _kept(row.traces - row.errors, row.errors, wanted.status)
    statuses = {"ok": ok.total(), "error": errors.total()}
    if wanted.status:
        (errors if wanted.status == "ok" else ok).clear()
    starts = time_range.buckets()
    return Overview(
        traces=ok.total() + errors.total(),
        errors=errors.total(),
        cost=sum((row.cost for row in mine), Decimal(0)),
        unpriced_count=sum(row.unpriced for row in mine),
        strip=volume_strip(
            starts,
            [ok[start] for start in starts],
            [errors[start] for start in starts],
            [time_range.bucket_query(start, query) for start in starts],
        ),
        agents=[(agent, count) for agent, count in agents.most_common() if count],
        statuses=statuses,
        since=since,
    )


def _kept(ok: int, errors: int, status: str) -> int:
    return {"ok": ok, "error": errors}.get(status, ok + errors)
