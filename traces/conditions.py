"""A filter as conditions of SQL on spans, traces and sessions, and what it looks at of stored traces and sessions.

`traces.filters` says what each part of a filter means. Both ways give the same answer.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from django.apps import apps
from django.db import connection
from django.db.models import DurationField, Exists, ExpressionWrapper, F, OuterRef, Q
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

from traces.filters import Facts, Filter

if TYPE_CHECKING:
    from traces.models import Session, Trace

_TOKENS_OF = """
    SELECT DISTINCT t.{column}, a.token
    FROM traces_trace t
    JOIN traces_span s ON s.project_id = t.project_id AND s.trace_id = t.trace_id
        AND s.start_time BETWEEN t.start_time AND t.end_time
    CROSS JOIN unnest(s.attribute_tokens) a (token)
    WHERE t.{column} = ANY(%s) AND a.token = ANY(%s)
"""


def of_spans(wanted: Filter) -> Q:
    """Spans that pass."""
    found = Q(**_named(wanted)) & _status(wanted, Q(status="error"))
    if wanted.model:
        found &= Q(model=wanted.model)
    found &= _within(F("duration_us"), _us(wanted.min_duration_ms), _us(wanted.max_duration_ms))
    tokens = Coalesce(F("input_tokens"), 0) + Coalesce(F("output_tokens"), 0)
    found &= _within(tokens, wanted.min_tokens, wanted.max_tokens)
    return found & Q(attribute_tokens__contains=wanted.attribute_tokens) if wanted.attributes else found


def of_traces(wanted: Filter) -> Q:
    """Traces that pass."""
    found = Q(**_named(wanted)) & _status(wanted, Q(status="error"))
    if wanted.model:
        found &= Q(model_names__contains=[wanted.model])
    found &= _within(F("duration_us"), _us(wanted.min_duration_ms), _us(wanted.max_duration_ms))
    found &= _within(F("input_tokens") + F("output_tokens"), wanted.min_tokens, wanted.max_tokens)
    for token in wanted.attribute_tokens:
        found &= Q(_has_attribute(token))
    return found


def of_sessions(wanted: Filter) -> Q:
    """Sessions that pass."""
    traces = apps.get_model("traces.Trace").objects.filter(session=OuterRef("pk"))
    found = _status(wanted, Q(error_trace_count__gt=0))
    for name, value in _named(wanted).items():
        found &= Q(Exists(traces.filter(**{name: value})))
    if wanted.model:
        found &= Q(Exists(traces.filter(model_names__contains=[wanted.model])))
    lasted = ExpressionWrapper(F("end_time") - F("start_time"), DurationField())
    found &= _within(lasted, _time(wanted.min_duration_ms), _time(wanted.max_duration_ms))
    found &= _within(F("input_tokens") + F("output_tokens"), wanted.min_tokens, wanted.max_tokens)
    for token in wanted.attribute_tokens:
        found &= Q(Exists(traces.filter(_has_attribute(token))))
    return found


def facts_of_traces(traces: Sequence["Trace"], filters: Iterable[Filter]) -> dict[int, Facts]:
    """What these filters look at of traces, by primary key. Spans are only read where a filter names attributes."""
    attributes = _attributes_of("id", [trace.pk for trace in traces], filters)
    return {
        trace.pk: Facts(
            environments=frozenset((trace.environment,)),
            services=frozenset((trace.service,)),
            models=frozenset(trace.model_names),
            failed=trace.status == "error",
            duration_us=trace.duration_us,
            tokens=trace.total_tokens,
            attributes=frozenset(attributes.get(trace.pk, ())),
        )
        for trace in traces
    }


def facts_of_sessions(sessions: Sequence["Session"], filters: Collection[Filter]) -> dict[int, Facts]:
    """The same of sessions. Traces and spans are only read where a filter asks for something of theirs."""
    ids = [session.pk for session in sessions]
    attributes = _attributes_of("session_id", ids, filters)
    environments, services, models = (defaultdict[int, set[str]](set) for _ in range(3))
    if any(wanted.environment or wanted.service or wanted.model for wanted in filters):
        traces = apps.get_model("traces.Trace").objects.filter(session__in=ids).order_by()
        rows = traces.values_list("session_id", "environment", "service", "model_names").distinct()
        for pk, environment, service, names in rows:
            environments[pk].add(environment)
            services[pk].add(service)
            models[pk].update(names)
    return {
        session.pk: Facts(
            environments=frozenset(environments[session.pk]),
            services=frozenset(services[session.pk]),
            models=frozenset(models[session.pk]),
            failed=session.error_trace_count > 0,
            duration_us=session.duration_us,
            tokens=session.total_tokens,
            attributes=frozenset(attributes.get(session.pk, ())),
        )
        for session in sessions
    }


def _attributes_of(column: str, ids: Sequence[int], filters: Iterable[Filter]) -> dict[int, set[int]]:
    """Which of the attributes that these filters name each trace or session has, as tokens."""
    tokens = sorted({token for wanted in filters for token in wanted.attribute_tokens})
    found: dict[int, set[int]] = {}
    if tokens and ids:
        with connection.cursor() as cursor:
            cursor.execute(_TOKENS_OF.format(column=column), [list(ids), tokens])
            for pk, token in cursor.fetchall():
                found.setdefault(pk, set()).add(token)
    return found


def _named(wanted: Filter) -> dict[str, str]:
    return {name: value for name in ("environment", "service") if (value := getattr(wanted, name))}


def _status(wanted: Filter, failed: Q) -> Q:
    return {"error": failed, "ok": ~failed}.get(wanted.status, Q())


def _within(number: Combinable, least: int | timedelta | None, most: int | timedelta | None) -> Q:
    found = Q()
    if least is not None:
        found &= Q(GreaterThanOrEqual(number, least))
    if most is not None:
        found &= Q(LessThanOrEqual(number, most))
    return found


def _has_attribute(token: int) -> Exists:
    """Whether one of a trace's spans has it."""
    spans = apps.get_model("traces.Span").objects.filter(
        project_id=OuterRef("project_id"),
        trace_id=OuterRef("trace_id"),
        start_time__gte=OuterRef("start_time"),
        start_time__lte=OuterRef("end_time"),
        attribute_tokens__contains=[token],
    )
    return Exists(spans)


def _us(ms: int | None) -> int | None:
    return None if ms is None else ms * 1000


def _time(ms: int | None) -> timedelta | None:
    return None if ms is None else timedelta(milliseconds=ms)
