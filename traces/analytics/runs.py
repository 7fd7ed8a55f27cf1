"""Agents with their runs, and sums of runs in a range."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypedDict

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Least
from django_stubs_ext import WithAnnotations

from catalyst import timerange
from catalyst.agents.models import Agent
from catalyst.core.models import Project
from catalyst.timerange import TimeRange
from traces import usage
from traces.models import AgentHour, AgentHourLatency
from traces.models.volumes import agent_is
from traces.usage import LatencyRow, Runs, UsageRow


class RunTimes(TypedDict):
    first_run: datetime
    last_run: datetime | None


type SeenAgent = WithAnnotations[Agent, RunTimes]


def with_run_times(project: Project) -> QuerySet[SeenAgent]:
    """Agents with `first_run` (or when they were first seen, if earlier) and `last_run` (None: no run is stored)."""
    traces = project.traces.filter(agent=OuterRef("pk"))
    newest, oldest = traces.newest().values("start_time"), traces.in_order().values("start_time")
    return project.agents.annotate(
        first_run=Least("first_seen_at", Subquery(oldest[:1])), last_run=Subquery(newest[:1])
    )


@dataclass(frozen=True, slots=True)
class Compared:
    """The runs of an agent by bar until `until`, and those since `since`, the start of the equal period before.

    `is_comparable`: whether the agent was seen in that period.
    """

    since: datetime
    until: datetime
    bars: Mapping[datetime, Runs]
    earlier: Sequence[Runs]
    is_comparable: bool


def against_before(project: Project, agent: SeenAgent, time_range: TimeRange, now: datetime) -> Compared:
    """The runs of an agent in a range and in the period before, which is empty if the agent was not seen in it."""
    since = time_range.prior_start(now)
    bars, before = _split(project, agent_is(agent.pk), time_range, since)
    is_comparable = agent.first_run < since + time_range.bucket_width
    return Compared(since, time_range.until(now), bars, before if is_comparable else [], is_comparable)


def _split(
    project: Project, agents: Q, time_range: TimeRange, since: datetime
) -> tuple[Mapping[datetime, Runs], list[Runs]]:
    """Runs by bar of the range, and those from `since` to its start."""
    # Hourly sums can't tell when in an hour a run started: the traces of the first one can.
    whole = timerange.ceil(since, timerange.HOUR) if time_range.bucket_width >= timerange.HOUR else since
    found = usage.by_start(*sums(project, time_range, agents, since=whole))
    bars = {start: runs for start, runs in found.items() if start >= time_range.start}
    before = [runs for start, runs in found.items() if start < time_range.start]
    if whole > since:
        first, traces = replace(time_range, end=whole), project.traces.filter(agents)
        before += usage.by_start(traces.usage(first, since), traces.latencies(first, since)).values()
    return bars, before


def sums(
    project: Project, time_range: TimeRange, agents: Q, *, since: datetime, merge_latencies: bool = False
) -> tuple[list[UsageRow], list[LatencyRow]]:
    """Usage and latencies of runs since a time, by agent and bar. `merge_latencies`: latencies in a single bar."""
    latency_range = replace(time_range, bucket_width=time_range.end - since) if merge_latencies else time_range
    # Hourly sums can't give finer bars. Ranges with finer bars are short.
    if time_range.bucket_width < timerange.HOUR:
        traces = project.traces.filter(agents)
        return traces.usage(time_range, since), traces.latencies(latency_range, since)
    hours = AgentHour.objects.filter(agents, project=project)
    latencies = AgentHourLatency.objects.filter(agents, project=project)
    return hours.usage(time_range, since), latencies.latencies(latency_range, since)
