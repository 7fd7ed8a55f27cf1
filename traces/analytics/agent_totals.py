"""Sums over an agent's traces in time windows, for alerts: by when they settled, or by when they began."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import Min

from catalyst import database
from catalyst.timerange import HOUR, MINUTE
from traces.models import AgentHour, AgentHourLatency, AgentMinute

# Laterally, so that each window is one scan of an index, whatever the planner knows of the table.
_EACH = """
    SELECT w.place, t.*
    FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
        AS w (place, project_id, agent_id, start, until)
    CROSS JOIN LATERAL ({}) t
"""
_MINUTES = "s.project_id = w.project_id AND s.agent_id = w.agent_id AND s.minute >= w.start AND s.minute < w.until"
_HOURS = "s.project_id = w.project_id AND s.agent_id = w.agent_id AND s.hour >= w.start AND s.hour < w.until"
_TOTALS = """
    SELECT sum(s.trace_count)::bigint, sum(s.error_trace_count)::bigint, sum({})::bigint, sum(s.cost),
        sum(s.unpriced_count)::bigint
    FROM {} s WHERE {} HAVING count(*) > 0
"""
_TOTALS_OF_MINUTES = _EACH.format(_TOTALS.format("s.tokens", "traces_agentminute", _MINUTES))
_TOTALS_OF_HOURS = _EACH.format(_TOTALS.format("s.input_tokens + s.output_tokens", "traces_agenthour", _HOURS))
_LATENCIES_OF_MINUTES = _EACH.format(f"""
    SELECT l.key::int, sum(l.value::int)::bigint
    FROM traces_agentminute s CROSS JOIN jsonb_each_text(s.latencies) l WHERE {_MINUTES} GROUP BY 1
""")
_LATENCIES_OF_HOURS = _EACH.format(f"""
    SELECT s.bucket, sum(s.trace_count)::bigint
    FROM traces_agenthourlatency s WHERE {_HOURS} GROUP BY 1 HAVING sum(s.trace_count) > 0
""")
_STEPS_OF_MINUTES = """
    SELECT minute, trace_count, error_trace_count, tokens, cost, unpriced_count
    FROM traces_agentminute WHERE project_id = %s AND agent_id = %s AND minute >= %s AND minute < %s
"""
_STEPS_OF_HOURS = """
    SELECT hour, trace_count, error_trace_count, input_tokens + output_tokens, cost, unpriced_count
    FROM traces_agenthour WHERE project_id = %s AND agent_id = %s AND hour >= %s AND hour < %s
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


def steps(window: AgentWindow, *, hourly: bool) -> list[Totals]:
    """Sums of each minute or hour of a window."""
    step, statement = (HOUR, _STEPS_OF_HOURS) if hourly else (MINUTE, _STEPS_OF_MINUTES)
    found = [Totals()] * ((window.end - window.start) // step)
    for moment, *sums in database.fetch(statement, window):
        found[(moment - window.start) // step] = Totals(*sums)
    return found


def latency_steps(window: AgentWindow, *, hourly: bool) -> list[dict[int, int]]:
    """The latency histogram of each minute or hour of a window."""
    found: list[dict[int, int]] = [{} for _ in range((window.end - window.start) // (HOUR if hourly else MINUTE))]
    of_agent = {"project": window.project_id, "agent": window.agent_id}
    if hourly:
        hours = AgentHourLatency.objects.filter(**of_agent, hour__gte=window.start, hour__lt=window.end)
        for hour, bucket, count in hours.filter(trace_count__gt=0).values_list("hour", "bucket", "trace_count"):
            found[(hour - window.start) // HOUR][bucket] = count
    else:
        minutes = AgentMinute.objects.filter(**of_agent, minute__gte=window.start, minute__lt=window.end)
        for minute, histogram in minutes.values_list("minute", "latencies"):
            found[(minute - window.start) // MINUTE] = {int(bucket): count for bucket, count in histogram.items()}
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
