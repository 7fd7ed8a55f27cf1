"""Spans and their text out of the store, as the conversations that pages show."""

from collections.abc import Sequence
from dataclasses import dataclass

from traces import reading
from traces.dialects import Message
from traces.models import Trace
from traces.reading import Conversation
from traces.store.base import Extent, PayloadRecord, SpanRecord
from traces.store.postgres import PostgresSpanStore
from traces.transcript import Transcript, session_transcript, span_transcript, trace_transcript

STORE = PostgresSpanStore()


@dataclass(frozen=True, slots=True)
class Turn:
    """One trace of a session with what is new in it."""

    number: int
    trace: Trace
    messages: list[Message]


def spans_of(trace: Trace) -> list[SpanRecord]:
    """All spans of a trace, in order of start."""
    return STORE.spans(trace.project_id, [_extent(trace)]).get(trace.trace_id, [])


def payload_of(trace: Trace, span: SpanRecord) -> PayloadRecord:
    """The text of one span; empty when it has none."""
    extent = Extent(trace.trace_id, span.start_time, span.start_time)
    return STORE.payloads(trace.project_id, extent, [span.span_id]).get(span.span_id, PayloadRecord())


def of_span(span: SpanRecord, payload: PayloadRecord) -> Conversation:
    """What one span was given and put out."""
    return reading.of_span(span_transcript(span, payload).messages)


def of_trace(trace: Trace, spans: Sequence[SpanRecord]) -> tuple[Conversation, int]:
    """The whole turn, and of how many spans it was read: not all, when there is too much text."""
    chosen = reading.worth_reading(spans)
    return reading.whole(_transcript(trace, chosen).messages), len(chosen)


def of_session(traces: Sequence[Trace], first: int) -> list[Turn]:
    """Turns of one session in order, numbered from `first`, each without the history that it resends."""
    if not traces:
        return []
    spans = STORE.spans(traces[0].project_id, map(_extent, traces))
    told = session_transcript(
        _transcript(trace, reading.worth_reading(spans.get(trace.trace_id, []))) for trace in traces
    )
    said = dict(told.turns())
    return [Turn(number, trace, said.get(trace.trace_id, [])) for number, trace in enumerate(traces, start=first)]


def _transcript(trace: Trace, spans: Sequence[SpanRecord]) -> Transcript:
    payloads = STORE.payloads(trace.project_id, _extent(trace), [span.span_id for span in spans])
    return trace_transcript(spans, payloads)


def _extent(trace: Trace) -> Extent:
    return Extent(trace.trace_id, trace.start_time, trace.end_time)
