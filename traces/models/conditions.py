"""A filter as conditions of SQL on spans and traces.

`traces.filters` evaluates the same filters in memory. Both must give the same answer.
"""

from datetime import timedelta

from django.db.models import Exists, F, OuterRef, Q
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

from traces.filters import Filter
from traces.models.span import Span


def of_spans(wanted: Filter) -> Q:
    """Spans that pass."""
    found = Q(**exact(wanted)) & status_is(wanted, Q(status="error"))
    if wanted.model:
        found &= Q(model=wanted.model)
    found &= between(F("duration_us"), _us(wanted.min_duration_ms), _us(wanted.max_duration_ms))
    tokens = Coalesce(F("input_tokens"), 0) + Coalesce(F("output_tokens"), 0)
    found &= between(tokens, wanted.min_tokens, wanted.max_tokens)
    return found & Q(attribute_tokens__contains=wanted.attribute_tokens) if wanted.attributes else found


def of_traces(wanted: Filter) -> Q:
    """Traces that pass."""
    found = Q(**exact(wanted)) & status_is(wanted, Q(status="error"))
    if wanted.model:
        found &= Q(model_names__contains=[wanted.model])
    found &= between(F("duration_us"), _us(wanted.min_duration_ms), _us(wanted.max_duration_ms))
    found &= between(F("input_tokens") + F("output_tokens"), wanted.min_tokens, wanted.max_tokens)
    for token in wanted.attribute_tokens:
        found &= Q(has_attribute(token))
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


def has_attribute(token: int) -> Exists:
    """Whether one of a trace's spans has it."""
    spans = Span.objects.filter(
        project_id=OuterRef("project_id"),
        trace_id=OuterRef("trace_id"),
        start_time__gte=OuterRef("start_time"),
        start_time__lte=OuterRef("end_time"),
        attribute_tokens__contains=[token],
    )
    return Exists(spans)


def _us(ms: int | None) -> int | None:
    return None if ms is None else ms * 1000


def milliseconds(ms: int | None) -> timedelta | None:
    return None if ms is None else timedelta(milliseconds=ms)
