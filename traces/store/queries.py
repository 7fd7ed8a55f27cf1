"""SQL conditions of a SpanQuery."""

from datetime import datetime

from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce

from traces.filters import NAMES, Filter
from traces.models import Span
from traces.models.conditions import any_of, between, microseconds, status_is
from traces.span_store import SpanQuery, SpanRole

_ROLES = {SpanRole.CALL: Q(kind="LLM"), SpanRole.ROOT: ~Q(kind="LLM") & Q(parent_id=None)}


def span_condition(project_id: int, query: SpanQuery) -> Q:
    condition = (
        Q(project_id=project_id) & _matches_filter(query.traffic_filter) & _starts_between(query.start, query.end)
    )
    if query.has_ended:
        condition &= Q(duration_us__isnull=False)
    if query.span_id is not None:
        condition &= Q(span_id=query.span_id)
    if query.counts_as_other:
        condition &= Q(counts_as_other=True)
    if query.received_since is not None:
        condition &= Q(received_at__gte=query.received_since)
    condition &= _names_agent(query.agents) & _has_role(query.roles)
    if query.traces is not None:
        condition &= Q(Exists(query.traces.filter(project_id=project_id, trace_id=OuterRef("trace_id"))))
    return condition


def trace_condition(project_id: int, query: SpanQuery) -> Q:
    """Trace rows that have a matching span."""
    spans = Span.objects.filter(
        span_condition(project_id, query), trace_id=OuterRef("trace_id"), start_time__lte=OuterRef("end_time")
    )
    # Of two lower bounds the planner would take the estimates of both, and choose another plan.
    if query.start is None:
        spans = spans.filter(start_time__gte=OuterRef("start_time"))
    return Q(Exists(spans), project_id=project_id)


def _matches_filter(traffic_filter: Filter) -> Q:
    condition = Q(**any_of(traffic_filter, *NAMES)) & status_is(traffic_filter, Q(status="error"))
    condition &= between(
        F("duration_us"), microseconds(traffic_filter.min_duration_ms), microseconds(traffic_filter.max_duration_ms)
    )
    tokens = Coalesce(F("input_tokens"), 0) + Coalesce(F("output_tokens"), 0)
    condition &= between(tokens, traffic_filter.min_tokens, traffic_filter.max_tokens)
    if traffic_filter.attributes:
        condition &= Q(attribute_tokens__contains=traffic_filter.attribute_tokens)
    return condition


def _starts_between(start: datetime | None, end: datetime | None) -> Q:
    condition = Q()
    if start is not None:
        condition &= Q(start_time__gte=start)
    if end is not None:
        condition &= Q(start_time__lt=end)
    return condition


def _names_agent(agents: tuple[int | None, ...]) -> Q:
    condition = Q()
    for agent in agents:
        condition |= Q(agent_id=agent)
    return condition


def _has_role(roles: tuple[SpanRole, ...]) -> Q:
    condition = Q()
    for role in roles:
        condition |= _ROLES[role]
    return condition
