"""Facts about stored traces and sessions, for filters in memory."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import batched

from traces.filters import Facts, Filter
from traces.models import Session, Trace
from traces.records import Extent
from traces.span_store import span_store

TRACES_AT_ONCE = 1_000


def facts_of_traces(traces: Sequence[Trace], filters: Iterable[Filter]) -> dict[int, Facts]:
    """Facts by primary key. Reads spans only if a filter names attributes."""
    attributes = _attributes_of(((trace.pk, trace) for trace in traces), filters)
    return {
        trace.pk: Facts(
            environments=frozenset((trace.environment,)),
            services=frozenset((trace.service,)),
            models=frozenset(trace.model_names),
            failed=trace.status == "error",
            duration_us=trace.duration_us,
            tokens=trace.total_tokens,
            users=frozenset((trace.user,)),
            attributes=frozenset(attributes.get(trace.pk, ())),
        )
        for trace in traces
    }


def facts_of_sessions(sessions: Sequence[Session], filters: Collection[Filter]) -> dict[int, Facts]:
    """Facts by primary key. Reads traces and spans only if a filter needs them."""
    ids = [session.pk for session in sessions]
    attributes = _attributes_of(_traces_of_sessions(ids), filters)
    environments, services, models = (defaultdict[int, set[str]](set) for _ in range(3))
    if any(traffic_filter.environment or traffic_filter.service or traffic_filter.model for traffic_filter in filters):
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
            users=frozenset((session.user,)),
            attributes=frozenset(attributes.get(session.pk, ())),
        )
        for session in sessions
    }


def _traces_of_sessions(ids: Sequence[int]) -> Iterable[tuple[int, Trace]]:
    traces = Trace.objects.filter(session__in=ids).only(
        "project_id", "trace_id", "session_id", "start_time", "end_time"
    )
    for trace in traces.order_by().iterator():
        if trace.session_id is not None:
            yield trace.session_id, trace


def _attributes_of(owned: Iterable[tuple[int, Trace]], filters: Iterable[Filter]) -> dict[int, set[int]]:
    tokens = {token for traffic_filter in filters for token in traffic_filter.attribute_tokens}
    tokens_by_owner: dict[int, set[int]] = defaultdict(set)
    if not tokens:
        return tokens_by_owner
    for project_id, batch in _by_project(owned):
        tokens_by_trace = span_store().attribute_tokens(project_id, [extent for _, extent in batch], tokens)
        for owner, extent in batch:
            tokens_by_owner[owner].update(tokens_by_trace.get(extent.trace_id, ()))
    return tokens_by_owner


def _by_project(owned: Iterable[tuple[int, Trace]]) -> Iterator[tuple[int, Sequence[tuple[int, Extent]]]]:
    extents: dict[int, list[tuple[int, Extent]]] = defaultdict(list)
    for owner, trace in owned:
        extents[trace.project_id].append((owner, trace.extent))
    for project_id, pairs in extents.items():
        for batch in batched(pairs, TRACES_AT_ONCE, strict=False):
            yield project_id, batch
