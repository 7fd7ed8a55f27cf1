"""Spans as targets: the model calls of traces."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import batched
from typing import override

from django.db.models import Q

from catalyst.pagination import Cursor
from signals.definitions.choices import Scope
from signals.definitions.judge_view import JudgeView
from signals.models import Job, Label
from signals.sampling import span_key
from signals.targets.base import Chunk, SettledTarget, cursor_of
from signals.targets.inputs import JudgeInput, Part, Texts
from signals.targets.target import Target, agents_of, judged_spans, of_span
from signals.targets.trace_based import TraceBasedTargets
from signals.targets.traces import trace_ids_in
from traces.filters import Filter, facts_of_span
from traces.models import Trace, Unsettled
from traces.models.trace import TraceQuerySet
from traces.records import SpanRecord
from traces.span_store import SpanQuery, SpanRole, span_store
from traces.store.reads import spans_of
from traces.summary import with_named_agent
from traces.transcripts.transcript import Transcript, span_transcript

SETTLED_TRACES_AT_ONCE = 50
SPANS_AT_ONCE = 20_000


class SpanTargets(TraceBasedTargets):
    __slots__ = ()
    scope = Scope.SPAN
    rows_at_once = 500  # traces

    @override
    def count(self) -> int:
        # A span that names no agent counts for its trace's, even if a span between them names another one.
        queries = self._span_queries()
        store, project_id = span_store(), self.agent.project_id
        count = sum(store.count(project_id, query) for query in queries)
        if self.live_since is None:
            return count
        return count - sum(store.count(project_id, self._live(query)) for query in queries)

    def _span_queries(self) -> list[SpanQuery]:
        # Each span matches one of these: it names the agent or none, and is a model call or a root.
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
        # Spans that live judging will evaluate.
        waiting = Unsettled.objects.filter(scope__in=(Scope.SPAN, Scope.TRACE)).values("target_id")
        traces = Trace.objects.all() if query.traces is None else query.traces
        return replace(query, received_since=self.live_since, traces=traces.filter(pk__in=waiting))

    @override
    def newest(self, limit: int) -> list[Target]:
        targets: list[Target] = []
        for chunk in self.chunks():
            targets += chunk.targets
            if len(targets) >= limit:
                break
        return sorted(targets, key=lambda target: target.target_time, reverse=True)[:limit]

    @override
    def _with_keys(self, keys: Sequence[str]) -> Iterator[Target]:
        traces = list(self._traces_with_spans().filter(trace_id__in=trace_ids_in(keys)))
        spans = spans_of(traces)
        for trace in traces:
            yield from self._of_trace(trace, spans[trace.pk], is_live=False)

    @override
    def _next_chunk(self, after: Cursor | None) -> Chunk | None:
        traces = _few(self._traces_with_spans().newest(after)[: self.rows_at_once])
        if not traces:
            return None
        spans = spans_of(traces)
        live = self._live_among(traces)
        targets: list[Target] = []
        for trace in traces:
            targets += self._of_trace(trace, spans[trace.pk], trace.pk in live)
        return Chunk(targets, cursor_of(traces[-1]))

    def _traces_with_spans(self) -> TraceQuerySet:
        # A superset: some of these traces have no matching span.
        project_id, agent = self.agent.project_id, self.agent.pk
        wanted = replace(self._span_query(), agents=(agent, None), roles=(SpanRole.CALL, SpanRole.ROOT))
        naming = SpanQuery(agents=(agent,))
        reaching = Trace.objects.filter(project_id=project_id, start_time__lt=self.end, end_time__gte=self.start)
        mine = Q(agent=self.agent) | span_store().traces_with(project_id, naming)
        return reaching.filter(span_store().traces_with(project_id, wanted), mine)

    def _live_among(self, traces: Sequence[Trace]) -> set[int]:
        # Traces whose new spans live judging will evaluate.
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

    @override
    @classmethod
    def settled(cls, rows: Sequence[Unsettled], filters: Collection[Filter]) -> Iterator[SettledTarget]:
        settled = {row.target_id for row in rows if row.scope == Scope.TRACE}
        since = _since(row for row in rows if row.scope in (Scope.SPAN, Scope.TRACE))
        is_due = Q(id__in=settled) | Q(id__in=since, llm_count__gt=0)
        traces = Trace.objects.filter(is_due).order_by("project_id", "start_time", "id")
        for batch in batched(traces, SETTLED_TRACES_AT_ONCE, strict=False):
            spans = spans_of(batch)
            for trace in batch:
                yield from _settled(trace, spans[trace.id], since[trace.id], has_settled=trace.id in settled)

    @override
    @classmethod
    def passing(cls, labels: Sequence[Label], wanted: Filter) -> set[str]:
        spans = {(label.trace_id, label.span_id) for label in labels if label.trace_id and label.span_id is not None}
        times = [label.target_time for label in labels]
        query = SpanQuery(wanted, min(times), max(times) + timedelta(microseconds=1))
        return {span_key(*ids) for ids in span_store().matching(labels[0].project_id, spans, query)}

    @override
    @classmethod
    def _part(cls, job: Job, trace: Trace, spans: Sequence[SpanRecord]) -> Part | None:
        span = next((span for span in spans if span.span_id == job.span_id), None)
        return Part(trace, [span], [span]) if span else None

    @override
    @classmethod
    def _input(cls, part: Part, texts: Texts, view: JudgeView) -> JudgeInput:
        (span,) = part.spans
        payload = texts.of(part).get(span.span_id)
        transcript = view.narrowed(span_transcript(span, payload)) if payload else Transcript()
        return JudgeInput(transcript, part.spans, span.revision)


def _since(rows: Iterable[Unsettled]) -> dict[int, datetime]:
    # A trace may have one row that is due early and one that settles it.
    earliest: dict[int, datetime] = {}
    for row in rows:
        earliest[row.target_id] = min(row.since, earliest.get(row.target_id, row.since))
    return earliest


def _settled(
    trace: Trace, spans: Sequence[SpanRecord], since: datetime, *, has_settled: bool
) -> Iterator[SettledTarget]:
    # Before the trace has settled, only spans whose agent is final.
    ready = [span for span in judged_spans(spans) if span.received_at >= since]
    named = set() if has_settled or not ready else with_named_agent(spans)
    agents = agents_of(spans, trace.agent_id) if ready else {}
    for span in ready:
        if has_settled or span.span_id in named:
            yield SettledTarget(of_span(trace, span), agents[span.span_id], span.received_at, facts_of_span(span))


def _few(traces: Iterable[Trace]) -> list[Trace]:
    # Up to SPANS_AT_ONCE spans together, but at least one trace.
    some: list[Trace] = []
    room = SPANS_AT_ONCE
    for trace in traces:
        room -= trace.span_count
        if some and room < 0:
            break
        some.append(trace)
    return some
