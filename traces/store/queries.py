"""SQL conditions of a SpanQuery."""

from datetime import datetime

from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce

from traces.filters import Filter
from traces.models import Span
from traces.models.conditions import between, exact, microseconds, status_is
from traces.span_store import SpanQuery, SpanRole

_ROLES = {SpanRole.CALL: Q(kind="LLM"), SpanRole.ROOT: ~Q(kind="LLM") & Q(parent_id=None)}


def of_spans(project_id: int, query: SpanQuery) -> Q:
    found = Q(project_id=project_id) & _passing(query.traffic_filter) & _starting(query.start, query.end)
    if query.has_ended:
        found &= Q(duration_us__isnull=False)
    if query.received_since is not None:
        found &= Q(received_at__gte=query.received_since)
    found &= _naming(query.agents) & _having(query.roles)
    if query.traces is not None:
        found &= Q(Exists(query.traces.filter(project_id=project_id, trace_id=OuterRef("trace_id"))))
    return found


def traces_with(project_id: int, query: SpanQuery) -> Q:
    """Trace rows that have a matching span."""
    spans = Span.objects.filter(
        of_spans(project_id, query), trace_id=OuterRef("trace_id"), start_time__lte=OuterRef("end_time")
    )
    # Of two lower bounds the planner would take the estimates of both, and choose another plan.
    if query.start is None:
        spans = spans.filter(start_time__gte=OuterRef("start_time"))
    return Q(Exists(spans), project_id=project_id)


def _passing(wanted: Filter) -> Q:
    found = Q(**exact(wanted)) & status_is(wanted, Q(status="error"))
    if wanted.model:
        found &= Q(model=wanted.model)
    found &= between(F("duration_us"), microseconds(wanted.min_duration_ms), microseconds(wanted.max_duration_ms))
    tokens = Coalesce(F("input_tokens"), 0) + Coalesce(F("output_tokens"), 0)
    found &= between(tokens, wanted.min_tokens, wanted.max_tokens)
    if wanted.attributes:
        found &= Q(attribute_tokens__contains=wanted.attribute_tokens)
    return found


def _starting(start: datetime | None, end: datetime | None) -> Q:
    found = Q()
    if start is not None:
        found &= Q(start_time__gte=start)
    if end is not None:
        found &= Q(start_time__lt=end)
    return found


def _naming(agents: tuple[int | None, ...]) -> Q:
    found = Q()
    for agent in agents:
        found |= Q(agent_id=agent)
    return found


def _having(roles: tuple[SpanRole, ...]) -> Q:
    found = Q()
    for role in roles:
        found |= _ROLES[role]
    return found
