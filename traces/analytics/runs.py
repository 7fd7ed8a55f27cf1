"""Agents with their runs, and sums of runs in a range."""

from dataclasses import replace
from datetime import datetime
from typing import TypedDict

from django.db.models import OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, Least
from django_stubs_ext import WithAnnotations

from catalyst import timerange
from catalyst.agents.models import Agent
from catalyst.core.models import Project
from catalyst.timerange import TimeRange
from traces.models import AgentHour, AgentHourLatency
from traces.usage import LatencyRow, UsageRow


class RunTimes(TypedDict):
    first_run: datetime
    last_run: datetime | None


type SeenAgent = WithAnnotations[Agent, RunTimes]


def with_run_times(project: Project) -> QuerySet[SeenAgent]:
    """Agents with the times of their first and last run."""
    traces = project.traces.filter(agent=OuterRef("pk"))
    newest, oldest = traces.newest().values("start_time"), traces.in_order().values("start_time")
    return project.agents.annotate(
        first_run=Least("first_seen_at", Subquery(oldest[:1])), last_run=Subquery(newest[:1])
    )


def busiest(project: Project, time_range: TimeRange) -> QuerySet[SeenAgent]:
    """Agents with most runs in the hours of the range first."""
    hours = AgentHour.objects.filter(project=project, agent=OuterRef("pk"), hour__lt=time_range.end)
    within = hours.filter(hour__gte=timerange.floor(time_range.start, timerange.HOUR))
    runs = within.order_by().values("agent").annotate(runs=Sum("trace_count")).values("runs")
    return with_run_times(project).annotate(runs=Coalesce(Subquery(runs), 0)).order_by("-runs", "name", "id")


def sums(
    project: Project, time_range: TimeRange, agents: Q, *, since: datetime, merge_latencies: bool = False
) -> tuple[list[UsageRow], list[LatencyRow]]:
    """Usage and latencies of runs since a time, by agent and bar. `merge_latencies`: latencies in a single bar."""
    latency_range = replace(time_range, step=time_range.end - since) if merge_latencies else time_range
    # Hourly sums can't give finer bars. Ranges with finer bars are short.
    if time_range.step < timerange.HOUR:
        traces = project.traces.filter(agents)
        return traces.usage(time_range, since), traces.latencies(latency_range, since)
    hours = AgentHour.objects.filter(agents, project=project)
    latencies = AgentHourLatency.objects.filter(agents, project=project)
    return hours.usage(time_range, since), latencies.latencies(latency_range, since)
