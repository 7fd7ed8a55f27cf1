"""What filters look at of stored traces and sessions."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from django.db import connection

from traces.filters import Facts, Filter
from traces.models import Session, Trace

_TOKENS_OF = """
    SELECT DISTINCT t.{column}, a.token
    FROM traces_trace t
    JOIN traces_span s ON s.project_id = t.project_id AND s.trace_id = t.trace_id
        AND s.start_time BETWEEN t.start_time AND t.end_time
    CROSS JOIN unnest(s.attribute_tokens) a (token)
    WHERE t.{column} = ANY(%s) AND a.token = ANY(%s)
"""


def facts_of_traces(traces: Sequence[Trace], filters: Iterable[Filter]) -> dict[int, Facts]:
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


def facts_of_sessions(sessions: Sequence[Session], filters: Collection[Filter]) -> dict[int, Facts]:
    """The same of sessions. Traces and spans are only read where a filter asks for something of theirs."""
    ids = [session.pk for session in sessions]
    attributes = _attributes_of("session_id", ids, filters)
    environments, services, models = (defaultdict[int, set[str]](set) for _ in range(3))
    if any(wanted.environment or wanted.service or wanted.model for wanted in filters):
        traces = Trace.objects.filter(session__in=ids).order_by()
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
