"""Sums over an agent's traces in time windows, for alerts: by when they settled, or by when they began."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import Min

from catalyst import database
from traces.models import AgentHour, AgentMinute

_WINDOWS = """
    unnest(%s::int[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
        AS w (place, project_id, agent_id, start, until)
"""
_MINUTES = """
    traces_agentminute s ON s.project_id = w.project_id AND s.agent_id = w.agent_id
        AND s.minute >= w.start AND s.minute < w.until
"""
_HOURS = """
    {} s ON s.project_id = w.project_id AND s.agent_id = w.agent_id AND s.hour >= w.start AND s.hour < w.until
"""
_TOTALS = f"""
    SELECT w.place, sum(s.trace_count)::bigint, sum(s.error_trace_count)::bigint, sum({{}})::bigint, sum(s.cost),
        sum(s.unpriced_count)::bigint
    FROM {_WINDOWS} JOIN {{}} GROUP BY 1
"""
_TOTALS_OF_MINUTES = _TOTALS.format("s.tokens", _MINUTES)
_TOTALS_OF_HOURS = _TOTALS.format("s.input_tokens + s.output_tokens", _HOURS.format("traces_agenthour"))
_LATENCIES_OF_MINUTES = f"""
    SELECT w.place, l.key::int, sum(l.value::int)::bigint
    FROM {_WINDOWS} JOIN {_MINUTES} CROSS JOIN jsonb_each_text(s.latencies) l GROUP BY 1, 2
"""
_LATENCIES_OF_HOURS = f"""
    SELECT w.place, s.bucket, sum(s.trace_count)::bigint
    FROM {_WINDOWS} JOIN {_HOURS.format("traces_agenthourlatency")} GROUP BY 1, 2 HAVING sum(s.trace_count) > 0
"""


class AgentWindow(NamedTuple):
    """Traces of an agent in [start, end): whole minutes, or whole hours."""

    project_id: int
    agent_id: int
    start: datetime
    end: datetime


class Totals(NamedTuple):
    """`tokens`: input and output. `cost`: US dollars of priced calls."""

    traces: int = 0
    errors: int = 0
    tokens: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0


def totals(windows: Collection[AgentWindow], *, hourly: bool) -> list[Totals]:
    """Sums of each window, in one query. Hourly: by when traces began, else by when they settled."""
    found = [Totals()] * len(windows)
    for place, *sums in _read(_TOTALS_OF_HOURS if hourly else _TOTALS_OF_MINUTES, windows):
        found[place] = Totals(*sums)
    return found


def latencies(windows: Collection[AgentWindow], *, hourly: bool) -> list[dict[int, int]]:
    """The latency histogram of each window (`traces.summary.latency_bucket`), in one query. As for `totals`."""
    found: list[dict[int, int]] = [{} for _ in windows]
    for place, bucket, count in _read(_LATENCIES_OF_HOURS if hourly else _LATENCIES_OF_MINUTES, windows):
        found[place][bucket] = count
    return found


def first(project_id: int, agent_id: int, start: datetime, *, hourly: bool) -> datetime | None:
    """The first minute or hour since `start` that has traces; None if there is none."""
    of_agent = {"project": project_id, "agent": agent_id}
    moment: datetime | None
    if hourly:
        hours = AgentHour.objects.filter(**of_agent, hour__gte=start, trace_count__gt=0)
        moment = hours.aggregate(first=Min("hour"))["first"]
    else:
        minutes = AgentMinute.objects.filter(**of_agent, minute__gte=start)
        moment = minutes.aggregate(first=Min("minute"))["first"]
    return moment


def _read(statement: str, windows: Collection[AgentWindow]) -> list[tuple[Any, ...]]:
    if not windows:
        return []
    columns = map(list, zip(*windows, strict=True))
    return database.fetch(statement, [list(range(len(windows))), *columns])
