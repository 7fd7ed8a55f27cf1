"""SQL conditions of a filter on rows of traces. Must match the same as `traces.filters`."""

from datetime import timedelta

from django.db.models import F, Q
from django.db.models.expressions import Combinable
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

from traces.filters import Filter
from traces.span_store import SpanQuery, span_store


def of_traces(project_id: int, traffic_filter: Filter) -> Q:
    named = Q(**any_of(traffic_filter, "environment", "service", "user"))
    condition = named & status_is(traffic_filter, Q(status="error"))
    if traffic_filter.model:
        condition &= Q(model_names__overlap=list(traffic_filter.model))
    condition &= between(
        F("duration_us"), microseconds(traffic_filter.min_duration_ms), microseconds(traffic_filter.max_duration_ms)
    )
    condition &= between(F("input_tokens") + F("output_tokens"), traffic_filter.min_tokens, traffic_filter.max_tokens)
    for attribute_filter in traffic_filter.by_attribute:
        condition &= has_attribute(project_id, attribute_filter)
    return condition


def any_of(traffic_filter: Filter, *columns: str) -> dict[str, tuple[str, ...]]:
    """Lookups of the columns that the filter names."""
    return {f"{name}__in": values for name in columns if (values := getattr(traffic_filter, name))}


def status_is(traffic_filter: Filter, failed: Q) -> Q:
    return {"error": failed, "ok": ~failed}.get(traffic_filter.status, Q())


def between(number: Combinable, minimum: int | timedelta | None, maximum: int | timedelta | None) -> Q:
    condition = Q()
    if minimum is not None:
        condition &= Q(GreaterThanOrEqual(number, minimum))
    if maximum is not None:
        condition &= Q(LessThanOrEqual(number, maximum))
    return condition


def has_attribute(project_id: int, attribute_filter: Filter) -> Q:
    """Traces that have a span with this attribute."""
    return span_store().traces_with(project_id, SpanQuery(attribute_filter))


def microseconds(ms: int | None) -> int | None:
    return None if ms is None else ms * 1000


def milliseconds(ms: int | None) -> timedelta | None:
    return None if ms is None else timedelta(milliseconds=ms)
