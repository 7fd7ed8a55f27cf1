"""Spans and their text out of the store, as the conversations that pages show."""

from collections.abc import Sequence
from dataclasses import dataclass

from traces.conventions.dialects import Message
from traces.models import Trace
from traces.records import Extent, PayloadRecord, SpanRecord
from traces.span_store import span_store
from traces.transcripts import presentation
from traces.transcripts.presentation import Conversation
from traces.transcripts.transcript import session_transcript, span_transcript, trace_transcript


@dataclass(frozen=True, slots=True)
class Turn:
    """One trace of a session with what is new in it."""

    number: int
    trace: Trace
    messages: list[Message]
    unread: int
    """Spans whose text was not looked at."""


def spans_of(trace: Trace) -> list[SpanRecord]:
    """All spans of a trace, in order of start."""
    return span_store().spans(trace.project_id, [trace.extent]).get(trace.trace_id, [])


def payload_of(trace: Trace, span: SpanRecord) -> PayloadRecord:
    """The text of one span; empty when it has none."""
    extent = Extent(trace.trace_id, span.start_time, span.start_time)
    return span_store().payloads(trace.project_id, extent, [span.span_id]).get(span.span_id, PayloadRecord())


def of_span(span: SpanRecord, payload: PayloadRecord) -> Conversation:
    """What one span was given and put out."""
    return presentation.of_span(span_transcript(span, payload).messages)


def of_trace(trace: Trace, spans: Sequence[SpanRecord], start: int) -> tuple[Conversation, int]:
    """The turn from its message `start` on, and of how many spans it was read: not all, when there is too much text."""
    chosen = presentation.worth_reading(spans)
    payloads = span_store().payloads(trace.project_id, trace.extent, [span.span_id for span in chosen])
    return presentation.part_of_turn(trace_transcript(chosen, payloads).messages, start), len(chosen)


def of_session(traces: Sequence[Trace], first: int) -> list[Turn]:
    """Turns of one session in order, numbered from `first`, each without the history that it resends."""
    if not traces:
        return []
    project_id, rendering = traces[0].project_id, presentation.Rendering()
    stored = span_store().spans(project_id, [trace.extent for trace in traces])
    spans = [stored.get(trace.trace_id, []) for trace in traces]
    chosen = presentation.worth_reading_of_turns(spans)
    wanted = {trace.extent: [span.span_id for span in some] for trace, some in zip(traces, chosen, strict=True)}
    payloads = span_store().payloads_of(project_id, wanted)
    told = session_transcript(
        trace_transcript(some, payloads.get(trace.trace_id, {})) for trace, some in zip(traces, chosen, strict=True)
    )
    said = dict(told.turns())
    unread = [len(presentation.with_text(every)) - len(some) for every, some in zip(spans, chosen, strict=True)]
    return [
        Turn(number, trace, rendering.of(said.get(trace.trace_id, [])), left)
        for number, (trace, left) in enumerate(zip(traces, unread, strict=True), start=first)
    ]
