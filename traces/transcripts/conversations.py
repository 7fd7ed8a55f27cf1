"""Conversations of stored spans, for pages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from traces.conventions import embedded_files
from traces.conventions.embedded_files import Attachment
from traces.conventions.message_formats import Message, parse
from traces.models import Trace
from traces.records import NAMES, Extent, PayloadRecord, SpanRecord
from traces.span_store import span_store
from traces.transcripts import presentation
from traces.transcripts.presentation import Conversation
from traces.transcripts.transcript import session_transcript, span_transcript, trace_transcript


@dataclass(frozen=True, slots=True)
class Turn:
    """The new messages of a trace of a session."""

    number: int
    trace: Trace
    messages: list[Message]
    # Spans whose text was not loaded.
    unread: int

    @property
    def answer(self) -> Message | None:
        return presentation.answer_of(self.messages)


def spans_of(trace: Trace) -> list[SpanRecord]:
    """The spans of a trace, ordered by start."""
    return span_store().spans(trace.project_id, [trace.extent]).get(trace.trace_id, [])


def payload_of(trace: Trace, span: SpanRecord) -> PayloadRecord:
    """The text of a span; empty if it has none."""
    extent = Extent(trace.trace_id, span.start_time, span.start_time)
    return span_store().payloads(trace.project_id, extent, [span.span_id]).get(span.span_id, PayloadRecord())


def without_files(payload: PayloadRecord) -> PayloadRecord:
    """The text of a span with mentions in the place of the data of files."""
    return PayloadRecord(**{name: embedded_files.without_data(getattr(payload, name)) for name in NAMES})


def files_of(span: SpanRecord, payload: PayloadRecord) -> list[Attachment]:
    """The attachments of all messages and tool calls of a span."""
    messages = span_transcript(span, payload).messages
    calls = [call for message in messages for call in message.tool_calls]
    of_messages = [attachment for message in messages for attachment in message.attachments]
    return of_messages + [attachment for call in calls for attachment in call.attachments]


def picture_of(payload: PayloadRecord, digest: str) -> tuple[str, bytes] | None:
    """Media type and bytes of a picture within the text of a span. Returns None if there is none with this digest."""
    return embedded_files.picture(_texts([getattr(payload, name) for name in NAMES]), digest)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield from _texts(parse(value))
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def of_span(span: SpanRecord, payload: PayloadRecord) -> Conversation:
    return presentation.of_span(span_transcript(span, payload).messages)


def of_trace(trace: Trace, spans: Sequence[SpanRecord], start: int) -> tuple[Conversation, int]:
    """The turn from message `start` on, and the number of spans whose text was loaded."""
    chosen = presentation.spans_to_load(spans)
    payloads = span_store().payloads(trace.project_id, trace.extent, [span.span_id for span in chosen])
    return presentation.part_of_turn(trace_transcript(chosen, payloads).messages, start), len(chosen)


def of_session(traces: Sequence[Trace], first: int) -> list[Turn]:
    """Turns numbered from `first`, without the history that they resend."""
    if not traces:
        return []
    project_id = traces[0].project_id
    stored = span_store().spans(project_id, [trace.extent for trace in traces])
    spans = [stored.get(trace.trace_id, []) for trace in traces]
    loaded = presentation.spans_to_load_by_turn(spans)
    span_ids = {}
    for trace, turn_spans in zip(traces, loaded, strict=True):
        span_ids[trace.extent] = [span.span_id for span in turn_spans]
    payloads = span_store().payloads_of(project_id, span_ids)
    transcript = session_transcript(
        trace_transcript(turn_spans, payloads.get(trace.trace_id, {}))
        for trace, turn_spans in zip(traces, loaded, strict=True)
    )
    messages = dict(transcript.turns())
    budget = presentation.RenderBudget()
    turns = []
    for number, (trace, all_spans, turn_spans) in enumerate(zip(traces, spans, loaded, strict=True), start=first):
        unread = len(presentation.with_text(all_spans)) - len(turn_spans)
        turns.append(Turn(number, trace, budget.fit(messages.get(trace.trace_id, [])), unread))
    return turns
