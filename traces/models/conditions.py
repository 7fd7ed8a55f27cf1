"""SQL conditions of a filter on rows of traces. Must match the same as `traces.filters`."""

from datetime import timedelta

from django.db.models import F, Q
from django.db.models.expressions import Combinable
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

from traces.filters import Filter
from traces.span_store import SpanQuery, span_store


def of_traces(project_id: int, wanted: Filter) -> Q:
    found = Q(**exact(wanted)) & status_is(wanted, Q(status="error"))
    if wanted.model:
        found &= Q(model_names__contains=[wanted.model])
    found &= between(F("duration_us"), microseconds(wanted.min_duration_ms), microseconds(wanted.max_duration_ms))
    found &= between(F("input_tokens") + F("output_tokens"), wanted.min_tokens, wanted.max_tokens)
    for one in wanted.by_attribute:
        found &= has_attribute(project_id, one)
    return found


def exact(wanted: Filter) -> dict[str, str]:
    return {name: value for name in ("environment", "service") if (value := getattr(wanted, name))}


def status_is(wanted: Filter, failed: Q) -> Q:
    return {"error": failed, "ok": ~failed}.get(wanted.status, Q())


def between(number: Combinable, least: int | timedelta | None, most: int | timedelta | None) -> Q:
    found = Q()
    if least is not None:
        found &= Q(GreaterThanOrEqual(number, least))
    if most is not None:
        found &= Q(LessThanOrEqual(number, most))
    return found


def has_attribute(project_id: int, wanted: Filter) -> Q:
    """Traces that have a span with this attribute."""
    return span_store().traces_with(project_id, SpanQuery(wanted))


def microseconds(ms: int | None) -> int | None:
    return None if ms is None else ms * 1000


def milliseconds(ms: int | None) -> timedelta | None:
    return None if ms is None else timedelta(milliseconds=ms)
