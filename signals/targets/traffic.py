"""Stored targets of an agent that a version may judge."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, Sum

from catalyst.agents.models import Agent
from catalyst.querysets import Cursor
from signals.definitions.choices import Scope
from signals.models import Label
from signals.sampling import span_key, trace_key
from signals.targets.target import Target, agents_of, judged_spans, of_session, of_span, of_trace
from traces.filters import EVERYTHING, Filter, facts_of_span
from traces.models import AgentHour, Session, Trace, Unsettled, conditions
from traces.models.trace import SessionQuerySet, TraceQuerySet, of_sessions
from traces.records import SpanRecord
from traces.span_store import SpanQuery, SpanRole, span_store
from traces.store.reads import spans_of

RECENT = timedelta(days=7)
MAX_SESSIONS = 10_000
CHUNK = 1_000
TRACE_KEY = re.compile("[0-9a-f]{32}")
TRACES_AT_ONCE = 500
SPANS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class RecentVolume:
    """How many targets of each scope an agent had in the last days; of sessions at most MOST_SESSIONS are counted."""

    spans: int
    traces: int
    sessions: int

    @property
    def has_no_sessions(self) -> bool:
        """True when it has traffic, none of which says which conversation it belongs to."""
        return bool(self.traces) and not self.sessions


def recent_volume(agent: Agent, now: datetime) -> RecentVolume:
    """From hourly sums. Spans are the model calls, or as many as traces where there are none."""
    since = now - RECENT
    hours = AgentHour.objects.filter(project_id=agent.project_id, agent=agent, hour__gte=since)
    sums = hours.aggregate(traces=Sum("trace_count", default=0), calls=Sum("llm_count", default=0))
    mine = Session.objects.filter(project_id=agent.project_id, agent=agent, end_time__gte=since).with_traces()
    return RecentVolume(sums["calls"] or sums["traces"], sums["traces"], mine[:MAX_SESSIONS].count())


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some targets, and where to go on behind them: what `Traffic.chunks` takes to resume."""

    matches: list[Target]
    last: Cursor


@dataclass(frozen=True, slots=True)
class Traffic:
    """The targets of an agent that began in [start, end) and pass a filter.

    It is what is stored: a target that still waits to settle belongs to it as it is so far. With `live_since`, the last
    activation of a signal that is live, those that wait and got a span since are left out: they are live judging's.
    """

    agent: Agent
    scope: str
    start: datetime
    end: datetime
    traffic_filter: Filter = EVERYTHING
    live_since: datetime | None = None

    def count(self) -> int:
        """How many there are. Exact for traces and sessions.

        A span that names no agent counts for its trace's, also where a span between them names another one.
        """
        if self.scope == Scope.SPAN:
            return self._count_spans()
        return self._traces().count() if self.scope == Scope.TRACE else self._sessions().count()

    def newest(self, most: int) -> list[Target]:
        """The newest so many: traces by start, sessions by end, spans of the traces that began last."""
        if self.scope == Scope.TRACE:
            return [of_trace(trace) for trace in self._traces().newest()[:most]]
        if self.scope == Scope.SESSION:
            return [of_session(session) for session in self._sessions().newest()[:most]]
        found: list[Target] = []
        for chunk in self.chunks():
            found += chunk.matches
            if len(found) >= most:
                break
        return sorted(found, key=lambda match: match.target_time, reverse=True)[:most]

    def among(self, keys: Sequence[str]) -> list[Target]:
        """Those with these target keys, in their order. Keys that make no sense are of no target."""
        by_key = {target.target_key: target for target in self._stored(keys)}
        return [by_key[key] for key in dict.fromkeys(keys) if key in by_key]

    def _stored(self, keys: Sequence[str]) -> Iterator[Target]:
        """The targets with these keys, and of their traces other spans."""
        if self.scope == Scope.SESSION:
            yield from map(of_session, self._sessions().filter(key__in=[key for key in keys if "\0" not in key]))
            return
        ids = [UUID(hex_id) for key in keys if TRACE_KEY.fullmatch(hex_id := key.partition(":")[0])]
        if self.scope == Scope.TRACE:
            yield from map(of_trace, self._traces().filter(trace_id__in=ids))
            return
        traces = list(self._traces_with_spans().filter(trace_id__in=ids))
        spans = spans_of(traces)
        for trace in traces:
            yield from self._of_trace(trace, spans[trace.pk], is_live=False)

    def chunks(self, after: Cursor | None = None) -> Iterator[Chunk]:
        """All of them, about the newest first; from behind `after`. Holds one chunk in memory.

        A target that changes meanwhile may come twice, but none that was there at the start is missed.
        """
        read = {Scope.SPAN: self._chunk_of_spans, Scope.TRACE: self._chunk_of_traces}
        next_chunk = read.get(Scope(self.scope), self._chunk_of_sessions)
        while chunk := next_chunk(after):
            yield chunk
            after = chunk.last

    def _traces(self) -> TraceQuerySet:
        mine = Trace.objects.filter(project_id=self.agent.project_id, agent=self.agent)
        began = mine.filter(start_time__gte=self.start, start_time__lt=self.end)
        return began.filter(
            conditions.of_traces(self.agent.project_id, self.traffic_filter), self._not_live(Scope.TRACE)
        )

    def _sessions(self) -> SessionQuerySet:
        mine = Session.objects.filter(project_id=self.agent.project_id, agent=self.agent).with_traces()
        began = mine.filter(start_time__gte=self.start, start_time__lt=self.end, end_time__gte=self.start)
        return began.filter(of_sessions(self.agent.project_id, self.traffic_filter), self._not_live(Scope.SESSION))

    def _not_live(self, scope: str) -> Q:
        if self.live_since is None:
            return Q()
        waits = Exists(Unsettled.objects.filter(scope=scope, target_id=OuterRef("pk")))
        return Q(last_received_at__lt=self.live_since) | ~Q(waits)

    def _count_spans(self) -> int:
        queries = self._span_queries()
        store, project_id = span_store(), self.agent.project_id
        count = sum(store.count(project_id, query) for query in queries)
        if self.live_since is None:
            return count
        return count - sum(store.count(project_id, self._live(query)) for query in queries)

    def _span_queries(self) -> list[SpanQuery]:
        """Each of the spans matches one of these: it names the agent or none, it is a model call or a root."""
        traces = Trace.objects.filter(project_id=self.agent.project_id)
        mine, without_calls = traces.filter(agent=self.agent), traces.filter(llm_count=0)
        call = replace(self._span_query(), roles=(SpanRole.CALL,))
        root = replace(self._span_query(), roles=(SpanRole.ROOT,))
        return [
            replace(call, agents=(self.agent.pk,)),
            replace(call, agents=(None,), traces=mine),
            replace(root, agents=(self.agent.pk,), traces=without_calls),
            replace(root, agents=(None,), traces=mine & without_calls),
        ]

    def _span_query(self) -> SpanQuery:
        return SpanQuery(self.traffic_filter, self.start, self.end, has_ended=True)

    def _live(self, query: SpanQuery) -> SpanQuery:
        """The spans that match and are live judging's."""
        waiting = Unsettled.objects.filter(scope__in=(Scope.SPAN, Scope.TRACE)).values("target_id")
        traces = Trace.objects.all() if query.traces is None else query.traces
        return replace(query, received_since=self.live_since, traces=traces.filter(pk__in=waiting))

    def _chunk_of_traces(self, after: Cursor | None) -> Chunk | None:
        traces = list(self._traces().newest(after)[:CHUNK])
        return Chunk(list(map(of_trace, traces)), _cursor(traces[-1])) if traces else None

    def _chunk_of_sessions(self, after: Cursor | None) -> Chunk | None:
        """By primary key: the times of a session change while it goes on."""
        behind = self._sessions().filter(pk__lt=after.id) if after else self._sessions()
        sessions = list(behind.order_by("-pk")[:CHUNK])
        return Chunk(list(map(of_session, sessions)), _cursor(sessions[-1])) if sessions else None

    def _chunk_of_spans(self, after: Cursor | None) -> Chunk | None:
        traces = _few(self._traces_with_spans().newest(after)[:TRACES_AT_ONCE])
        if not traces:
            return None
        spans = spans_of(traces)
        live = self._live_among(traces)
        found = [match for trace in traces for match in self._of_trace(trace, spans[trace.pk], trace.pk in live)]
        return Chunk(found, _cursor(traces[-1]))

    def _traces_with_spans(self) -> TraceQuerySet:
        """Traces that may hold some of the spans: none that does is missing."""
        project_id, agent = self.agent.project_id, self.agent.pk
        wanted = replace(self._span_query(), agents=(agent, None), roles=(SpanRole.CALL, SpanRole.ROOT))
        naming = SpanQuery(agents=(agent,))
        reaching = Trace.objects.filter(project_id=project_id, start_time__lt=self.end, end_time__gte=self.start)
        mine = Q(agent=self.agent) | span_store().traces_with(project_id, naming)
        return reaching.filter(span_store().traces_with(project_id, wanted), mine)

    def _live_among(self, traces: Sequence[Trace]) -> set[int]:
        """Primary keys of the traces whose arriving spans are live judging's."""
        if self.live_since is None:
            return set()
        waiting = Unsettled.objects.filter(scope__in=(Scope.SPAN, Scope.TRACE), target_id__in=[t.pk for t in traces])
        return set(waiting.values_list("target_id", flat=True))

    def _of_trace(self, trace: Trace, spans: Sequence[SpanRecord], is_live: bool) -> Iterator[Target]:
        agents = agents_of(spans, trace.agent_id)
        for span in judged_spans(spans):
            is_mine = agents[span.span_id] == self.agent.pk and self.start <= span.start_time < self.end
            arrives = is_live and self.live_since is not None and span.received_at >= self.live_since
            if is_mine and not arrives and self.traffic_filter.passes(facts_of_span(span)):
                yield of_span(trace, span)


def labels_passing(labels: Sequence[Label], wanted: Filter) -> list[Label]:
    """Those of these labels, which are of one scope and project, whose targets pass the filter as they are now."""
    if wanted.is_empty or not labels:
        return list(labels)
    found = _stored(labels, wanted)
    return [label for label in labels if label.target_key in found]


def _stored(labels: Sequence[Label], wanted: Filter) -> set[str]:
    """The keys of the targets that pass."""
    project_id, scope = labels[0].project_id, labels[0].scope
    if scope == Scope.SESSION:
        sessions = Session.objects.filter(project_id=project_id, key__in=[label.session_key for label in labels])
        return set(sessions.filter(of_sessions(project_id, wanted)).values_list("key", flat=True))
    trace_ids = {label.trace_id for label in labels if label.trace_id}
    if scope == Scope.TRACE:
        traces = Trace.objects.filter(project_id=project_id, trace_id__in=trace_ids)
        return set(
            map(trace_key, traces.filter(conditions.of_traces(project_id, wanted)).values_list("trace_id", flat=True))
        )
    spans = {(label.trace_id, label.span_id) for label in labels if label.trace_id and label.span_id is not None}
    first = min(label.target_time for label in labels)
    behind_last = max(label.target_time for label in labels) + timedelta(microseconds=1)
    query = SpanQuery(wanted, first, behind_last)
    return {span_key(*ids) for ids in span_store().matching(project_id, spans, query)}


def _few(traces: Iterable[Trace]) -> list[Trace]:
    """The first of these traces, as many as have not too many spans together; at least one."""
    some: list[Trace] = []
    room = SPANS_AT_ONCE
    for trace in traces:
        room -= trace.span_count
        if some and room < 0:
            break
        some.append(trace)
    return some


def _cursor(row: Trace | Session) -> Cursor:
    return Cursor(row.start_time, row.pk)
