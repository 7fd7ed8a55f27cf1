"""The order of a list of agents."""

from collections.abc import Mapping
from typing import Any

from django.db.models import (
    Aggregate,
    Case,
    Count,
    F,
    FloatField,
    OuterRef,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
    Window,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Lower, NullIf

from catalyst import timerange
from catalyst.core.models import Project
from catalyst.pagination import Sort
from catalyst.timerange import TimeRange
from traces.analytics.runs import SeenAgent, with_run_times
from traces.models import AgentHour, AgentHourLatency
from traces.models.agent_hours import SUMS_OF_HOURS
from traces.models.trace import SUMS_OF_TRACES

_OF_AGENT: Mapping[str, Combinable] = {"name": Lower("name"), "first": F("first_run"), "last": F("last_run")}
_SHARES = {"p50": 0.5, "p95": 0.95}
_OF_RUNS: Mapping[str, Combinable] = {
    "runs": F("sum_trace_count"),
    "errors": Cast("sum_error_trace_count", FloatField()) / NullIf("sum_trace_count", 0),
    "tokens": F("sum_input_tokens") + F("sum_output_tokens"),
    "cost": Case(When(sum_cost=0, sum_unpriced_count__gt=0, then=None), default=F("sum_cost")),
}


def in_order(project: Project, time_range: TimeRange, sort: Sort) -> QuerySet[SeenAgent]:
    """Agents sorted by their name, times, or runs in the range. Those without a value come last, whichever way."""
    agents = with_run_times(project).annotate(sort_value=_value(project, time_range, sort.key))
    value = F("sort_value")
    way = value.desc(nulls_last=True) if sort.is_descending else value.asc(nulls_last=True)
    return agents.order_by(way, "name", "id")


def _value(project: Project, time_range: TimeRange, key: str) -> Combinable:
    if key in _OF_AGENT:
        return _OF_AGENT[key]
    if key in _SHARES:
        return Subquery(_percentile(project, time_range, _SHARES[key]))
    return Subquery(_sums(project, time_range).annotate(value=_OF_RUNS[key]).values("value"))


# From the same rows as the numbers of the list (`runs.sums`), so that the order is theirs.
def _sums(project: Project, time_range: TimeRange) -> QuerySet[Any, Any]:
    if time_range.bucket_width < timerange.HOUR:
        runs = project.traces.within(time_range).filter(agent=OuterRef("pk"))
        return runs.order_by().values("agent").annotate(**SUMS_OF_TRACES)
    hours = AgentHour.objects.filter(**_hours(project, time_range))
    return hours.order_by().values("agent").annotate(**SUMS_OF_HOURS)


def _percentile(project: Project, time_range: TimeRange, share: float) -> QuerySet[Any, Any]:
    if time_range.bucket_width < timerange.HOUR:
        runs = project.traces.within(time_range).filter(agent=OuterRef("pk"))
        return _first_above(runs, "duration_us", Count("pk"), share)
    hours = AgentHourLatency.objects.filter(**_hours(project, time_range))
    return _first_above(hours, "bucket", Sum("trace_count"), share)


def _first_above(rows: QuerySet[Any], value: str, count: Aggregate, share: float) -> QuerySet[Any, Any]:
    """The first value up to which this share of the runs lies, as `usage.percentile`."""
    ranked = rows.annotate(rank=Window(count, order_by=value), total=Window(count))
    found: QuerySet[Any, Any] = ranked.filter(rank__gte=F("total") * Value(share)).order_by(value).values(value)
    return found[:1]


def _hours(project: Project, time_range: TimeRange) -> dict[str, Any]:
    return {
        "project": project,
        "agent": OuterRef("pk"),
        "hour__gte": time_range.start,
        "hour__lt": time_range.end,
    }
