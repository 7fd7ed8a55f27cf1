"""What beside a list narrows it: each value with the number of rows that a click on it lists."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import Any

from django.db import OperationalError
from django.db.models import Count, Q, QuerySet

from catalyst import database
from catalyst.agents.models import Agent
from catalyst.core.access import ProjectRequest
from catalyst.core.models import Project
from catalyst.timerange import TimeRange
from traces import filter_box, label_sources
from traces.analytics import name_facets
from traces.analytics.list_volumes import list_volumes
from traces.analytics.overview import overview
from traces.label_sources import Facet
from traces.models.trace import MAX_SKEWED, TraceFilter

MAX_AGENTS = 12
MAX_COUNTED_SESSIONS = 10_000
# Counts that take longer are left out. Those of labels have what the others leave, but at least the least.
MAX_MILLISECONDS = 500
MAX_NAMES_MILLISECONDS = 350
MIN_LABELS_MILLISECONDS = 150

type Rows = Callable[[TraceFilter], QuerySet[Any]]


def is_wanted(request: ProjectRequest) -> bool:
    """True if htmx asks for the facets alone."""
    return bool(request.htmx.target == "facets")


def of_traces(
    request: ProjectRequest, time_range: TimeRange, trace_filter: TraceFilter, now: datetime
) -> dict[str, Any]:
    project = request.project
    volumes, since = list_volumes(project, time_range, trace_filter, now)
    head = overview(volumes, time_range, trace_filter, {})
    top = head.agents[:MAX_AGENTS]
    agents = top + _chosen_agent(trace_filter, head.agents, top)
    names = project.agents.in_bulk([agent for agent, _ in agents])

    def rows(wanted: TraceFilter) -> QuerySet[Any]:
        by = wanted.time_field
        return project.traces.matching(wanted).within(time_range, by).order_by(f"-{by}", "-id")

    return {
        # Counts of the newest traces only would be less than a click lists.
        "statuses": {} if since else head.statuses,
        "agents": [(agent, _name(agent, names), None if since else count) for agent, count in agents],
        "max_skewed": MAX_SKEWED,
        "skewed_count": project.traces.matching(replace(trace_filter, skewed=True)).count_skewed(time_range),
        **_names_and_labels(project, time_range, trace_filter, rows),
    }


def _name(agent: int, names: Mapping[int, Agent]) -> str:
    return str(names[agent]) if agent in names else "unknown" if agent else "No agent"


def _chosen_agent(
    trace_filter: TraceFilter, counted: list[tuple[int, int]], shown: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """The chosen agent if it is not shown. It is offered even without rows, so that a click removes it."""
    chosen = trace_filter.agent
    return [] if chosen is None or chosen in dict(shown) else [(chosen, dict(counted).get(chosen, 0))]


def of_sessions(request: ProjectRequest, time_range: TimeRange, trace_filter: TraceFilter) -> dict[str, Any]:
    project = request.project

    def rows(wanted: TraceFilter) -> QuerySet[Any]:
        return project.sessions.with_traces().matching(wanted).within(time_range).order_by("-end_time", "-id")

    any_status = trace_filter.traffic_filter.model_copy(update={"status": ""})
    some = rows(replace(trace_filter, traffic_filter=any_status)).order_by()[: MAX_COUNTED_SESSIONS + 1]
    statuses = some.aggregate(
        ok=Count("pk", filter=Q(error_trace_count=0)), error=Count("pk", filter=Q(error_trace_count__gt=0))
    )
    return {
        "statuses": statuses if sum(statuses.values()) <= MAX_COUNTED_SESSIONS else {},
        **_names_and_labels(project, time_range, trace_filter, rows),
    }


def _names_and_labels(project: Project, time_range: TimeRange, trace_filter: TraceFilter, rows: Rows) -> dict[str, Any]:
    began = monotonic()
    late = False
    try:
        with database.time_limit(MAX_NAMES_MILLISECONDS):
            names = name_facets.count(trace_filter, rows)
    except OperationalError:
        names, late = name_facets.uncounted(trace_filter), True
    left = MAX_MILLISECONDS - int((monotonic() - began) * 1000)
    return {
        "names": names,
        "names_late": late,
        "max_counted_rows": name_facets.MAX_COUNTED_ROWS,
        "facets": _labels(project, time_range, trace_filter, rows, max(left, MIN_LABELS_MILLISECONDS)),
        "suggestions": [
            *filter_box.EXAMPLES,
            *(f"{facet.name} = {each.value}" for facet in names for each in facet.values if not each.is_chosen),
        ],
    }


def _labels(
    project: Project, time_range: TimeRange, trace_filter: TraceFilter, rows: Rows, milliseconds: int
) -> list[Facet]:
    try:
        with database.time_limit(milliseconds):
            counted = label_sources.counted_facets(
                project,
                trace_filter.agent,
                trace_filter.labels,
                lambda labels: rows(replace(trace_filter, labels=tuple(labels))),
            )
    except OperationalError:
        counted = None
    return _uncounted(label_sources.facets(project, time_range, trace_filter.agent)) if counted is None else counted


def _uncounted(facets: list[Facet]) -> list[Facet]:
    return [replace(facet, values=[replace(value, count=None) for value in facet.values]) for facet in facets]
