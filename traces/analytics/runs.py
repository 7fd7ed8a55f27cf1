"""Which agents there are, and what their runs add up to in a range of time."""

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


class Times(TypedDict):
    """When an agent was first seen, by its oldest run or the first span that named it; when its newest run started."""

    first_run: datetime
    last_run: datetime | None


type SeenAgent = WithAnnotations[Agent, Times]


def seen(project: Project) -> QuerySet[SeenAgent]:
    """The agents of a project with their times."""
    traces = project.traces.filter(agent=OuterRef("pk"))
    newest, oldest = traces.newest().values("start_time"), traces.in_order().values("start_time")
    return project.agents.annotate(
        first_run=Least("first_seen_at", Subquery(oldest[:1])), last_run=Subquery(newest[:1])
    )


def busiest(project: Project, time_range: TimeRange) -> QuerySet[SeenAgent]:
    """The same, those with most runs in the hours of the range first."""
    hours = AgentHour.objects.filter(project=project, agent=OuterRef("pk"), hour__lt=time_range.end)
    within = hours.filter(hour__gte=timerange.floor(time_range.start, timerange.HOUR))
    runs = within.order_by().values("agent").annotate(runs=Sum("trace_count")).values("runs")
    return seen(project).annotate(runs=Coalesce(Subquery(runs), 0)).order_by("-runs", "name", "id")


def sums(
    project: Project, time_range: TimeRange, agents: Q, *, since: datetime, whole: bool = False
) -> tuple[list[UsageRow], list[LatencyRow]]:
    """What runs since then add up to, and how long they took, per agent and bar. `whole`: latencies in one bar only.

    From hourly sums, but for ranges with finer bars, which are short, from the traces.
    """
    coarse = replace(time_range, step=time_range.end - since) if whole else time_range
    if time_range.step < timerange.HOUR:
        traces = project.traces.filter(agents)
        return traces.usage(time_range, since), traces.latencies(coarse, since)
    hours = AgentHour.objects.filter(agents, project=project)
    latencies = AgentHourLatency.objects.filter(agents, project=project)
    return hours.usage(time_range, since), latencies.latencies(coarse, since)
