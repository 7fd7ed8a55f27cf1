"""Conversations of spans, traces and sessions, for pages, judges and Halo."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

from traces.conventions.embedded_files import Attachment, take_out, united
from traces.conventions.json_objects import as_text, first, name_of
from traces.conventions.message_formats import (
    Message,
    ToolCall,
    call_with_files_apart,
    parse,
    read,
    read_text,
    unquoted,
)
from traces.records import Json, PayloadRecord, SpanRecord
from traces.transcripts.merging import MAX_ERROR_CHARACTERS, Conversation, Key, key_of

__all__ = [
    "Message",
    "ToolCall",
    "Transcript",
    "input_preview",
    "output_preview",
    "session_transcript",
    "span_transcript",
    "trace_transcript",
]

MAX_PREVIEW_CHARACTERS = 300
# Longer texts are not searched for messages.
MAX_PREVIEW_JSON_CHARACTERS = 100_000
MAX_PREVIEW_MESSAGES = 20
TOOL_KINDS = frozenset(("TOOL", "RETRIEVER", "RERANKER"))
# What they return is about the conversation, and no part of it.
CHECK_KINDS = frozenset(("GUARDRAIL", "EVALUATOR", "EMBEDDING"))
_EMPTY = PayloadRecord()


@dataclass(frozen=True, slots=True)
class Transcript:
    """Empty if the spans have no content."""

    messages: tuple[Message, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.messages)

    def turns(self) -> list[tuple[UUID | None, list[Message]]]:
        """Messages by trace."""
        return [
            (trace_id, list(turn)) for trace_id, turn in groupby(self.messages, key=lambda message: message.trace_id)
        ]


def span_transcript(span: SpanRecord, payload: PayloadRecord) -> Transcript:
    """Input, then output of a span."""
    conversation = Conversation(span.trace_id)
    if span.kind in TOOL_KINDS:
        conversation.add_tool_run(_tool_run(span, payload))
    else:
        _add_call(conversation, span, payload, {})
    return Transcript(conversation.messages())


def trace_transcript(spans: Sequence[SpanRecord], payloads: Mapping[int, PayloadRecord]) -> Transcript:
    """A turn without repeated history, with tool results in their calls.

    If LLM spans have no messages, input and output of the outermost spans replace them. Missing payloads are empty.
    """
    if not spans:
        return Transcript()
    conversation = Conversation(spans[0].trace_id)
    cache: dict[bytes, list[Message]] = {}
    outer = _outermost_first(spans)
    for span in sorted(spans, key=_order_of):
        payload = payloads.get(span.span_id, _EMPTY)
        if span.kind in TOOL_KINDS:
            conversation.add_tool_run(_tool_run(span, payload))
        elif span.kind == "LLM":
            _add_call(conversation, span, payload, cache)
        elif span is not outer[0]:
            _add_failure(conversation, span, payload)
    _add_ends(conversation, outer, payloads)
    _add_failure(conversation, outer[0], payloads.get(outer[0].span_id, _EMPTY))
    return Transcript(conversation.messages())


def session_transcript(turns: Iterable[Transcript]) -> Transcript:
    """Turns without the history that they resend."""
    joined = _Joined()
    for turn in turns:
        joined.add(turn.messages)
    return Transcript(tuple(joined.messages))


class _Joined:
    """The messages of turns, and where each stands, by its key and by the ids of its calls."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._places: dict[Key, list[int]] = {}
        self._callers: dict[str, int] = {}

    def add(self, turn: Sequence[Message]) -> None:
        request = _request(turn)
        count: Counter[Key] = Counter()
        added: list[Message] = []
        for message in turn:
            key = key_of(message)
            count[key] += 1
            if (
                message.produced
                or message is request
                or not self._knows(message, self._places.get(key, []), count[key])
            ):
                added.append(message)
        for message in added:
            self._add(message)

    def _add(self, message: Message) -> None:
        place = len(self.messages)
        self._places.setdefault(key_of(message), []).append(place)
        self.messages.append(message)
        if message.role != "tool":
            self._callers |= {call.id: place for call in message.tool_calls if call.id}

    def _knows(self, message: Message, places: Sequence[int], count: int) -> bool:
        """Whether an earlier turn has the message, or the call of this result: it is then told what this turn knows."""
        caller = self._callers.get(message.tool_calls[0].id) if message.role == "tool" else None
        if caller is not None:
            self.messages[caller] = _answered(self.messages[caller], message.tool_calls[0])
        elif count <= len(places):
            self.messages[places[count - 1]] = _completed(self.messages[places[count - 1]], message)
        return caller is not None or count <= len(places)


def input_preview(payload: PayloadRecord) -> str:
    """The last user message on a line of up to 300 characters. Cheap for any payload."""
    return _preview(payload.input_messages, payload.input, "user")


def output_preview(payload: PayloadRecord) -> str:
    """The last answer on a line of up to 300 characters. Cheap for any payload."""
    return _preview(payload.output_messages, payload.output, "assistant")


def _preview(sent: list[Json] | None, text: str | None, role: str) -> str:
    newest = sent[-MAX_PREVIEW_MESSAGES:] if isinstance(sent, list) and not _is_list_as_text(sent) else []
    messages = [message for item in newest for message in read(item, role)]
    if isinstance(text, str) and not any(message.text for message in messages):
        messages += _read_start(text, role)
    line = _last_text(messages, role)
    line = " ".join(line[: MAX_PREVIEW_CHARACTERS * 4].replace("\0", " ").split())
    return line if len(line) <= MAX_PREVIEW_CHARACTERS else f"{line[: MAX_PREVIEW_CHARACTERS - 1]}…"


def _read_start(text: str, role: str) -> list[Message]:
    without_files = text if len(text) <= MAX_PREVIEW_JSON_CHARACTERS else take_out(text)[0]
    is_short = len(without_files) <= MAX_PREVIEW_JSON_CHARACTERS
    return read_text(text if is_short else without_files[: MAX_PREVIEW_CHARACTERS * 4], role)


def _last_text(messages: Sequence[Message], role: str) -> str:
    for message in reversed(messages):
        if message.role == role and message.text.strip():
            return message.text
    calls = [call.name for message in messages[::-1] for call in message.tool_calls]
    return calls[0] if calls and role == "assistant" else ""


def _input_of(payload: PayloadRecord, cache: dict[bytes, list[Message]] | None = None) -> list[Message]:
    system = read(_parsed(payload.attributes.get("gen_ai.system_instructions")), "system")
    messages = _sent(payload.input_messages, payload.input, "user", cache) or list(_from_events(payload, answers=False))
    return system + messages


def _output_of(payload: PayloadRecord) -> list[Message]:
    calls = _parsed(payload.attributes.get("ai.response.toolCalls"))
    if isinstance(calls, list) and calls:
        return read({"role": "assistant", "content": payload.output, "tool_calls": calls}, "assistant")
    messages = _sent(payload.output_messages, payload.output, "assistant")
    return messages or list(_from_events(payload, answers=True))


def _sent(
    sent: list[Json] | None, text: str | None, role: str, cache: dict[bytes, list[Message]] | None = None
) -> list[Message]:
    if isinstance(sent, list):
        request = parse(text) if _is_list_as_text(sent) else None
        side = "input" if role == "user" else "output"
        has_messages = isinstance(request, dict) and isinstance(request.get(side), list)
        if messages := read(request if has_messages else sent, role, cache):
            return messages
    return read_text(as_text(text), role)


def _parsed(value: object) -> object:
    return parse(value) or value


def _is_list_as_text(sent: list[Json]) -> bool:
    # Some SDKs send the Responses API as one message with the JSON of many.
    content = sent[0].get("content") if len(sent) == 1 and isinstance(sent[0], dict) else None
    return isinstance(content, str) and content.startswith("[{") and content.endswith("}]")


_REQUEST_ATTRIBUTES = ("gen_ai.input.messages", "gen_ai.prompt")
_ANSWER_ATTRIBUTES = ("gen_ai.output.messages", "gen_ai.completion")


def _from_events(payload: PayloadRecord, *, answers: bool) -> Iterator[Message]:
    for event in payload.events if isinstance(payload.events, list) else ():
        name = as_text(event.get("name")) if isinstance(event, dict) else ""
        if name.startswith("gen_ai.") and isinstance(attributes := event.get("attributes"), dict):
            yield from _from_event(name, attributes, answers=answers)


def _from_event(name: str, attributes: Json, *, answers: bool) -> Iterable[Message]:
    side = _ANSWER_ATTRIBUTES if answers else _REQUEST_ATTRIBUTES
    packed = first(attributes, *side)
    if packed is not None:
        return read(_parsed(packed), "assistant" if answers else "user")
    if name == "gen_ai.choice" and answers:
        return read(_parsed(attributes.get("message")) or attributes, "assistant")
    if name.endswith(".message") and not answers:
        return read({"role": name.split(".")[1], **attributes}, "user")
    return ()


def _tool_run(span: SpanRecord, payload: PayloadRecord) -> ToolCall:
    attributes = payload.attributes
    name = name_of(attributes, "tool.name", "gen_ai.tool.name", "ai.toolCall.name")
    call_id = name_of(attributes, "tool_call.id", "gen_ai.tool.call.id", "ai.toolCall.id")
    result = _result_of(payload)
    files: tuple[Attachment, ...] = ()
    wrapped = parse(result)
    if isinstance(wrapped, dict) and wrapped.get("type") in ("tool", "constructor", "tool_result"):
        inner = next((call for message in read(wrapped, "tool") for call in message.tool_calls), None)
        if inner is not None:
            result, call_id, files = inner.result, call_id or inner.id, inner.attachments
    run = ToolCall(
        name=name or span.name.removeprefix("tool.").removeprefix("execute_tool "),
        arguments=_arguments(as_text(payload.input)) or _said_in_events(payload.input_messages) or "",
        result=result,
        error=_error(span, payload),
        id=call_id,
        span_id=span.span_id,
        duration_us=span.duration_us,
        attachments=files,
    )
    return call_with_files_apart(run)


def _arguments(text: str) -> str:
    # OpenLLMetry packs what a decorated function got.
    packed = parse(text) if '"kwargs"' in text else None
    named = isinstance(packed, dict) and packed.keys() == {"args", "kwargs"} and not packed["args"]
    return as_text(packed["kwargs"]) if named and isinstance(packed, dict) else text


def _result_of(payload: PayloadRecord) -> str | None:
    return _said_in_events(payload.output_messages) if payload.output is None else unquoted(as_text(payload.output))


def _said_in_events(messages: list[Json] | None) -> str | None:
    # Strands tells in events what a tool was given and gave.
    contents = [message.get("content") for message in messages or () if isinstance(message, dict)]
    if not contents:
        return None
    texts = [message.text for message in read(contents[0], "assistant") if message.text]
    return "\n".join(texts) or as_text(contents[0])


def _error(span: SpanRecord, payload: PayloadRecord) -> str:
    return take_out(_error_text(span, payload))[0]


def _error_text(span: SpanRecord, payload: PayloadRecord) -> str:
    exceptions = _exceptions(payload)
    if span.status != "error" and (span.status == "ok" or not exceptions):
        return ""
    last = exceptions[-1] if exceptions else ""
    status = span.status_message.partition("Traceback (most recent call last)")[0].strip()
    message = last.partition(": ")[2] or last
    # The exception repeats the status.
    if status and message in status:
        return status[:MAX_ERROR_CHARACTERS]
    return last or status[:MAX_ERROR_CHARACTERS] or "error"


def _exceptions(payload: PayloadRecord) -> list[str]:
    exceptions = []
    for event in payload.events if isinstance(payload.events, list) else ():
        if isinstance(event, dict) and event.get("name") == "exception" and isinstance(event.get("attributes"), dict):
            attributes = event["attributes"]
            parts = as_text(attributes.get("exception.type")), as_text(attributes.get("exception.message"))
            exceptions.append(": ".join(filter(None, parts))[:MAX_ERROR_CHARACTERS])
    return exceptions


def _order_of(span: SpanRecord) -> tuple[datetime, int, float]:
    if span.kind == "LLM":
        return span.start_time, 0, 0
    if span.kind in TOOL_KINDS:
        return span.start_time, 1, 0
    # The failure of a parent follows those of its children.
    ended = span.start_time + timedelta(microseconds=min(span.duration_us or 0, 10**14))
    return ended, 2, -span.start_time.timestamp()


def _add_call(
    conversation: Conversation, span: SpanRecord, payload: PayloadRecord, cache: dict[bytes, list[Message]]
) -> None:
    conversation.add_input(_input_of(payload, cache), span.span_id)
    conversation.add_output(_output_of(payload), span.span_id)
    if error := _error(span, payload):
        conversation.add_error(error, span.span_id)


def _add_failure(conversation: Conversation, span: SpanRecord, payload: PayloadRecord) -> None:
    error = "" if span.kind == "LLM" or span.kind in TOOL_KINDS else _error(span, payload)
    if error and not conversation.has_error(error):
        conversation.add_error(error, span.span_id)


def _add_ends(conversation: Conversation, spans: Sequence[SpanRecord], payloads: Mapping[int, PayloadRecord]) -> None:
    outer = [(span, payloads.get(span.span_id, _EMPTY)) for span in spans if span.kind not in {*TOOL_KINDS, "LLM"}]
    speaking = [(span, payload) for span, payload in outer if span.kind not in CHECK_KINDS] or outer
    if not conversation.has_role("user"):
        # What is checked is often what the user said.
        _add_request(conversation, [*speaking, *outer])
    elif conversation.starts_with_steps():
        _put_request_first(conversation, speaking)
    _add_answer(conversation, speaking)


def _add_request(conversation: Conversation, outer: Iterable[tuple[SpanRecord, PayloadRecord]]) -> None:
    for span, payload in outer:
        if messages := _input_of(payload):
            conversation.prepend(messages, span.span_id)
            return


def _put_request_first(conversation: Conversation, outer: Iterable[tuple[SpanRecord, PayloadRecord]]) -> None:
    # What a program looks up before it asks the model, it looks up for the question.
    messages = next((messages for _, payload in outer if (messages := _input_of(payload))), [])
    if messages and messages[-1].role == "user":
        conversation.put_first(messages[-1])


def _add_answer(conversation: Conversation, outer: Iterable[tuple[SpanRecord, PayloadRecord]]) -> None:
    for span, payload in outer:
        produced = _output_of(payload)
        if produced:
            _add_last(conversation, produced, span.span_id)
            return


def _add_last(conversation: Conversation, produced: Sequence[Message], span_id: int) -> None:
    texts = [message.text for message in produced if message.role == "assistant" and message.text]
    if texts and not conversation.has_output(texts[-1]):
        conversation.add_output([Message("assistant", texts[-1])], span_id)


def _outermost_first(spans: Sequence[SpanRecord]) -> list[SpanRecord]:
    span_ids = {span.span_id for span in spans}
    children: dict[int | None, list[SpanRecord]] = {}
    for span in sorted(spans, key=lambda span: span.start_time):
        parent = span.parent_id if span.parent_id in span_ids and span.parent_id != span.span_id else None
        children.setdefault(parent, []).append(span)
    ordered = sorted(children.pop(None, []), key=lambda span: (span.parent_id is not None, span.start_time))
    for span in ordered:
        ordered.extend(children.pop(span.span_id, []))
    return ordered + [span for circle in children.values() for span in circle]


def _request(turn: Sequence[Message]) -> Message | None:
    messages = [message for message in turn if message.role != "system"]
    start = next((index for index, message in enumerate(messages) if message.produced), len(messages))
    return messages[start - 1] if start and messages[start - 1].role == "user" else None


def _answered(earlier: Message, result: ToolCall) -> Message:
    """The message with the result of its call, of which a later turn resends only that."""
    calls = (
        replace(call, result=result.result, attachments=united(call.attachments, result.attachments))
        if call.id == result.id and call.result is None
        else call
        for call in earlier.tool_calls
    )
    return replace(earlier, tool_calls=tuple(calls))


def _completed(earlier: Message, later: Message) -> Message:
    if len(earlier.tool_calls) != len(later.tool_calls) or all(call.result is not None for call in earlier.tool_calls):
        return earlier
    calls = (
        replace(old, result=new.result, attachments=united(old.attachments, new.attachments))
        if old.result is None
        else old
        for old, new in zip(earlier.tool_calls, later.tool_calls, strict=True)
    )
    return replace(earlier, tool_calls=tuple(calls))
