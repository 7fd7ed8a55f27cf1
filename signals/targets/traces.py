"""Traces as targets."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import override
from uuid import UUID

from catalyst.pagination import Cursor
from signals.definitions.choices import Scope
from signals.definitions.judge_view import JudgeView
from signals.models import Job, Label
from signals.sampling import trace_key
from signals.targets import inputs
from signals.targets.base import Chunk, SettledTarget, cursor_of
from signals.targets.inputs import JudgeInput, Part, Texts
from signals.targets.target import Target, of_trace
from signals.targets.trace_based import TraceBasedTargets
from traces.facts import facts_of_traces
from traces.filters import Filter
from traces.models import Trace, Unsettled, conditions
from traces.models.trace import TraceQuerySet
from traces.records import SpanRecord
from traces.transcripts.transcript import trace_transcript

TRACE_KEY = re.compile("[0-9a-f]{32}")


class TraceTargets(TraceBasedTargets):
    __slots__ = ()
    scope = Scope.TRACE

    @override
    def count(self) -> int:
        return self._traces().count()

    @override
    def newest(self, limit: int) -> list[Target]:
        return [of_trace(trace) for trace in self._traces().newest()[:limit]]

    @override
    def _with_keys(self, keys: Sequence[str]) -> Iterator[Target]:
        yield from map(of_trace, self._traces().filter(trace_id__in=trace_ids_in(keys)))

    @override
    def _next_chunk(self, after: Cursor | None) -> Chunk | None:
        traces = list(self._traces().newest(after)[: self.rows_at_once])
        return Chunk(list(map(of_trace, traces)), cursor_of(traces[-1])) if traces else None

    def _traces(self) -> TraceQuerySet:
        project_id = self.agent.project_id
        of_agent = Trace.objects.filter(project_id=project_id, agent=self.agent)
        began = of_agent.filter(start_time__gte=self.start, start_time__lt=self.end)
        return began.filter(conditions.of_traces(project_id, self.traffic_filter), self._not_live())

    @override
    @classmethod
    def settled(cls, rows: Sequence[Unsettled], filters: Collection[Filter]) -> Iterator[SettledTarget]:
        traces = list(Trace.objects.filter(id__in=[row.target_id for row in rows if row.scope == Scope.TRACE]))
        facts = facts_of_traces(traces, filters)
        for trace in traces:
            yield SettledTarget(of_trace(trace), trace.agent_id, trace.last_received_at, facts[trace.pk])

    @override
    @classmethod
    def passing(cls, labels: Sequence[Label], wanted: Filter) -> set[str]:
        project_id = labels[0].project_id
        traces = Trace.objects.filter(project_id=project_id, trace_id__in={label.trace_id for label in labels})
        passing = traces.filter(conditions.of_traces(project_id, wanted))
        return {trace_key(trace_id) for trace_id in passing.values_list("trace_id", flat=True)}

    @override
    @classmethod
    def _part(cls, job: Job, trace: Trace, spans: Sequence[SpanRecord]) -> Part:
        return Part(trace, spans, inputs.readable(spans))

    @override
    @classmethod
    def _input(cls, part: Part, texts: Texts, view: JudgeView) -> JudgeInput:
        transcript = view.narrowed(trace_transcript(view.spans(part.spans), texts.of(part)))
        hidden = len(part.spans) - len(part.read)
        left_out = f"the text of {hidden:,} steps" if hidden else ""
        return JudgeInput(transcript, part.spans, part.trace.revision, left_out)


def trace_ids_in(keys: Sequence[str]) -> list[UUID]:
    """The trace ids in keys of traces or spans. Invalid keys are ignored."""
    hex_ids = [key.partition(":")[0] for key in keys]
    return [UUID(hex_id) for hex_id in hex_ids if TRACE_KEY.fullmatch(hex_id)]
