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
    """The runs of an agent by bar, and those since `since`, the start of the equal period before.

    `is_comparable`: whether the agent was seen in that period.
    """

    since: datetime
    bars: Mapping[datetime, Runs]
    earlier: Sequence[Runs]
    is_comparable: bool


def against_before(project: Project, agent: SeenAgent, time_range: TimeRange, now: datetime) -> Compared:
    """The runs of an agent in a range and in the period before, which is empty if the agent was not seen in it."""
    since = time_range.prior_start(now)
    bars = usage.by_start(*sums(project, time_range, agent_is(agent.pk), since=since))
    shown = {start: runs for start, runs in bars.items() if start >= time_range.start}
    is_comparable = agent.first_run < since + time_range.bucket_width
    earlier = [runs for start, runs in bars.items() if start not in shown] if is_comparable else []
    return Compared(since, shown, earlier, is_comparable)


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
