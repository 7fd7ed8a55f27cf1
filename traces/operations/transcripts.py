"""Operations on transcripts of traces, spans and sessions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from catalyst.core.operation_context import Context
from catalyst.operations import CAMEL, Effect, Input, InvalidInput, Scope, operation
from catalyst.params import MAX_OFFSET
from traces.conventions.citations import Citation
from traces.conventions.embedded_files import Attachment
from traces.conventions.message_formats import Message, ToolCall
from traces.models.span import hex_span_id
from traces.operations.inputs import session_of, span_of, trace_of
from traces.transcripts import conversations, presentation

MAX_TURNS = 50


class TranscriptInput(Input):
    trace: str | None = Field(None, description="Trace ID, 32 hexadecimal digits.")
    span: str | None = Field(None, description="Span ID within the trace, 16 hexadecimal digits.")
    session: str | None = Field(None, description="Session ID, as spans carry it.")
    after: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = Field(
        0, description="Continue a transcript: `next` of the part before."
    )


@dataclass(frozen=True, slots=True)
class AttachmentRecord:
    """A file, without its data."""

    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    # image, audio, video, document or file
    kind: str
    media_type: str | None
    size_bytes: int | None
    name: str | None
    # A URL, or the id of a file. None if the data were sent.
    address: str | None

    @classmethod
    def of(cls, attachment: Attachment) -> "AttachmentRecord":
        return cls(
            attachment.kind,
            attachment.media_type or None,
            attachment.size_bytes,
            attachment.name or None,
            attachment.address or None,
        )


def attachment_records(attachments: Iterable[Attachment]) -> list[AttachmentRecord]:
    return [AttachmentRecord.of(attachment) for attachment in attachments]


@dataclass(frozen=True, slots=True)
class CitationRecord:
    title: str | None
    # A URL, or the id of a file.
    address: str | None
    quote: str | None

    @classmethod
    def of(cls, citation: Citation) -> "CitationRecord":
        return cls(citation.title or None, citation.address or None, citation.quote or None)


@dataclass(frozen=True, slots=True)
class ToolCallRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    name: str
    arguments: str
    # None if none was seen.
    result: str | None
    error: str | None
    duration_us: int | None
    # Files in the arguments and the result.
    attachments: list[AttachmentRecord]

    @classmethod
    def of(cls, call: ToolCall) -> "ToolCallRecord":
        files = attachment_records(call.attachments)
        return cls(call.name, call.arguments, call.result, call.error or None, call.duration_us, files)


@dataclass(frozen=True, slots=True)
class MessageRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL
    IN_FULL: ClassVar[bool] = True

    trace_id: str | None
    span_id: str | None
    role: str
    text: str
    # What the model thought before it answered.
    thinking: str | None
    tool_calls: list[ToolCallRecord]
    attachments: list[AttachmentRecord]
    citations: list[CitationRecord]
    # Whether the model, or its maker, refused to answer.
    refused: bool
    error: str | None
    # Whether a span put it out. Else it was given to one.
    produced: bool

    @classmethod
    def of(cls, message: Message) -> "MessageRecord":
        return cls(
            trace_id=message.trace_id.hex if message.trace_id else None,
            span_id=hex_span_id(message.span_id) if message.span_id is not None else None,
            role=message.role,
            # A page marks text that it shows plain by a type of its own.
            text=str(message.text),
            thinking=str(message.thinking) or None,
            tool_calls=[ToolCallRecord.of(call) for call in message.tool_calls],
            attachments=attachment_records(message.attachments),
            citations=[CitationRecord.of(citation) for citation in message.citations],
            refused=message.refused,
            error=message.error or None,
            produced=message.produced,
        )


@dataclass(frozen=True, slots=True)
class TranscriptPart:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    messages: list[MessageRecord]
    left_out_count: int
    """Older messages that are left out."""
    unread_span_count: int
    """Spans whose text was not read, because there is too much."""
    # `after` of the next part, None at the end.
    next: int | None


@operation("traces.transcript", Scope.READ, Effect.READS)
def show_transcript(context: Context, arguments: TranscriptInput) -> TranscriptPart:
    """Show what was said in a trace, in a span of it, or in a session."""
    if arguments.session is not None and arguments.trace is None:
        return _of_session(context, arguments.session, arguments.after)
    if arguments.trace is None or arguments.session is not None:
        raise InvalidInput({"": "Give either a trace or a session."})
    if arguments.span is not None:
        return _of_span(context, arguments.trace, arguments.span)
    return _of_trace(context, arguments.trace, arguments.after)


def _of_trace(context: Context, hex_id: str, start: int) -> TranscriptPart:
    trace = trace_of(context, hex_id)
    spans = conversations.spans_of(trace)
    conversation, read = conversations.of_trace(trace, spans, start)
    unread = len(presentation.with_text(spans)) - read
    messages = conversation.system + conversation.earlier + conversation.shown
    return TranscriptPart(_records(messages), conversation.left_out, unread, conversation.next_part)


def _of_span(context: Context, hex_id: str, span_hex_id: str) -> TranscriptPart:
    trace = trace_of(context, hex_id)
    span = span_of(trace, conversations.spans_of(trace), span_hex_id)
    conversation = conversations.of_span(span, conversations.payload_of(trace, span))
    messages = conversation.system + conversation.earlier + conversation.shown
    return TranscriptPart(_records(messages), conversation.left_out, 0, None)


def _of_session(context: Context, key: str, first: int) -> TranscriptPart:
    session = session_of(context, key)
    traces = list(context.project.traces.filter(session=session).in_order()[first : first + MAX_TURNS + 1])
    turns = conversations.of_session(traces[:MAX_TURNS], first + 1)
    messages = [message for turn in turns for message in turn.messages]
    unread = sum(turn.unread for turn in turns)
    return TranscriptPart(_records(messages), 0, unread, first + MAX_TURNS if len(traces) > MAX_TURNS else None)


def _records(messages: Iterable[Message]) -> list[MessageRecord]:
    return [MessageRecord.of(message) for message in messages]
