"""What pages show of spans, traces and sessions, and how much of it."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

import orjson

from catalyst.formats import Plain
from traces.conventions.embedded_files import Attachment, without_data
from traces.conventions.message_formats import Message, ToolCall
from traces.conventions.span_mapping import attribute_text, attribute_token
from traces.models.span import hex_span_id
from traces.records import PayloadRecord, SpanRecord

MAX_SPANS = 300
MAX_CHARACTERS = 4_000_000
MAX_SESSION_CHARACTERS = 5 * MAX_CHARACTERS
MAX_MESSAGES = 200
# Messages shown before scrolling, and added when the end comes into view.
FIRST_PART_MESSAGES = 10
PART_MESSAGES = 24
# Characters rendered as Markdown or JSON on a page.
MAX_RENDERED_CHARACTERS = 150_000
# Messages on a page, tool calls, and attachments.
MAX_SHOWN = 1_000
MAX_ATTRIBUTES = 500
MAX_EVENTS = 100
TRACE_ID, SPAN_ID = re.compile("[0-9a-f]{32}"), re.compile("[0-9a-f]{16}")
MAX_EVENT_ATTRIBUTES = 50
# Input messages that are not folded.
MAX_OPEN_INPUTS = 3


@dataclass(frozen=True, slots=True)
class Part[Item]:
    """The first items of a list, and the length of the list."""

    shown: list[Item]
    count: int

    @property
    def left_out(self) -> int:
        return self.count - len(self.shown)


# Columns of a span that say nothing to people.
INTERNAL = ("project_id", "digest", "attribute_tokens", "resource_digest")


def raw(span: SpanRecord, payload: PayloadRecord) -> dict[str, Any]:
    """The columns and the text of a span, with ids as senders write them."""
    columns = asdict(span) | asdict(payload)
    parent = None if span.parent_id is None else hex_span_id(span.parent_id)
    ids = {"trace_id": span.trace_id.hex, "span_id": hex_span_id(span.span_id), "parent_id": parent}
    return {name: value for name, value in (columns | ids).items() if name not in INTERNAL}


def beginning[Item](items: Iterable[Item], limit: int) -> Part[Item]:
    all_items = list(items)
    return Part(all_items[:limit], len(all_items))


class Attribute(NamedTuple):
    """`query`: URL parameters that search for it; empty if it can't be searched."""

    name: str
    value: Any
    query: str = ""


def attributes(
    values: Mapping[str, Any], limit: int = MAX_ATTRIBUTES, *, tokens: Collection[int] = ()
) -> Part[Attribute]:
    """Attributes by name, with mentions in the place of files. `tokens`: the searchable ones of the span."""
    named = beginning(sorted(values.items(), key=lambda item: item[0]), limit)
    shown = [Attribute(name, without_data(value), _query(name, value, tokens)) for name, value in named.shown]
    return Part(shown, named.count)


def _query(name: str, value: Any, tokens: Collection[int]) -> str:
    text = attribute_text(value)
    is_known = text is not None and "=" not in name and attribute_token(name, text) in tokens
    return urlencode({"attribute": f"{name}={text}"}) if is_known else ""


class RenderBudget:
    """What a page can still hold: messages, tool calls, and characters to render."""

    def __init__(self) -> None:
        self._room = MAX_RENDERED_CHARACTERS
        self._messages = self._calls = self._attachments = MAX_SHOWN

    def fit(self, messages: Sequence[Message]) -> list[Message]:
        """Messages that fit, with text marked as plain beyond the limit, and a note about missing ones.

        A line that only mentions a file is left out, because the file is shown by itself.
        """
        rendered = [self._fit_message(message) for message in messages[: self._messages]]
        self._messages -= len(rendered)
        hidden = len(messages) - len(rendered)
        cut = _calls_of(messages[: len(rendered)]) - _calls_of(rendered)
        notes = [
            f"[{count:,} {noun} are not shown]" for count, noun in ((hidden, "messages"), (cut, "tool calls")) if count
        ]
        return rendered + [Message("system", note) for note in notes]

    def _fit_message(self, message: Message) -> Message:
        calls = message.tool_calls[: self._calls]
        self._calls -= len(calls)
        return replace(
            message,
            text=self._text(_without_mentions(message.text, message.attachments)),
            thinking=self._text(message.thinking),
            tool_calls=tuple(map(self._call, calls)),
            attachments=self._files(message.attachments),
        )

    def _call(self, call: ToolCall) -> ToolCall:
        result = None if call.result is None else self._text(_without_mentions(call.result, call.attachments))
        files = self._files(call.attachments)
        return replace(call, arguments=self._text(call.arguments), result=result, attachments=files)

    def _files(self, attachments: tuple[Attachment, ...]) -> tuple[Attachment, ...]:
        fitting = attachments[: self._attachments]
        self._attachments -= len(fitting)
        return fitting

    def _text(self, text: str) -> str:
        if len(text) > self._room:
            return Plain(text)
        self._room -= len(text)
        return text


def _without_mentions(text: str, attachments: tuple[Attachment, ...]) -> str:
    if not attachments:
        return text
    mentions = {attachment.mention for attachment in attachments}
    return "\n".join(line for line in text.split("\n") if line not in mentions)


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages on a page: `earlier` is folded, `left_out` counted, `next_part` where the next part starts."""

    system: list[Message]
    earlier: list[Message]
    shown: list[Message]
    left_out: int = 0
    next_part: int | None = None

    @property
    def only_call(self) -> ToolCall | None:
        """The tool call, if there is nothing else: a TOOL span."""
        messages = self.system + self.earlier + self.shown
        alone = len(messages) == 1 and not messages[0].text and len(messages[0].tool_calls) == 1
        return messages[0].tool_calls[0] if alone else None

    @property
    def answer(self) -> Message | None:
        return answer_of(self.shown) if self.next_part is None else None

    @property
    def shows_error(self) -> bool:
        calls = [call for message in self.shown for call in message.tool_calls]
        errors = [message.error for message in self.shown] + [call.error for call in calls]
        return any(errors)

    @property
    def earlier_calls(self) -> int:
        return _calls_of(self.earlier)


def answer_of(messages: Sequence[Message]) -> Message | None:
    """The last thing that was said in a turn."""
    return next((message for message in reversed(messages) if message.produced and message.text), None)


def _calls_of(messages: Iterable[Message]) -> int:
    return sum(len(message.tool_calls) for message in messages)


def part_of_turn(messages: Sequence[Message], start: int) -> Conversation:
    """Messages from `start` on. System messages and the history before the turn come with the first part."""
    system, rest = _by_system(messages)
    budget, first = RenderBudget(), start or _start_of_turn(rest)
    end = first + (PART_MESSAGES if start else FIRST_PART_MESSAGES)
    shown = budget.fit(rest[first:end])
    system_shown, earlier = ([], []) if start else (budget.fit(system[-MAX_MESSAGES:]), budget.fit(rest[:first]))
    return Conversation(system_shown, earlier, shown, len(system[:-MAX_MESSAGES]), end if end < len(rest) else None)


def _start_of_turn(messages: Sequence[Message]) -> int:
    """Where the history ends that was sent along: at what the user said last, before anything was put out.

    0 if there is too much history to fold: it is read in parts.
    """
    given = next((index for index, message in enumerate(messages) if message.produced), len(messages))
    start = next((index for index in range(given, 0, -1) if messages[index - 1].role == "user"), 0)
    while start and messages[start - 1].role == "user":
        start -= 1
    return start if start <= MAX_MESSAGES else 0


def of_span(messages: Sequence[Message]) -> Conversation:
    system, rest, left_out = _newest(messages)
    inputs = [message for message in rest if not message.produced]
    outputs = [message for message in rest if message.produced]
    budget = RenderBudget()
    shown = budget.fit(inputs[-MAX_OPEN_INPUTS:] + outputs)
    return Conversation(budget.fit(system), budget.fit(inputs[:-MAX_OPEN_INPUTS]), shown, left_out)


def _newest(messages: Sequence[Message]) -> tuple[list[Message], list[Message], int]:
    system, rest = _by_system(messages)
    newest = system[-MAX_MESSAGES:], rest[-MAX_MESSAGES:]
    return *newest, len(messages) - sum(map(len, newest))


def _by_system(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    system = [message for message in messages if message.role == "system"]
    return system, [message for message in messages if message.role != "system"]


def with_text(spans: Iterable[SpanRecord]) -> list[SpanRecord]:
    """Spans that have text or an error."""
    return [span for span in spans if span.input_size or span.output_size or span.status == "error"]


def spans_to_load(spans: Iterable[SpanRecord], room: int = MAX_CHARACTERS) -> list[SpanRecord]:
    """The spans whose text is loaded: at least one, up to `room` characters."""
    chosen: list[SpanRecord] = []
    for span in with_text(spans):
        room -= _size(span)
        if len(chosen) == MAX_SPANS or (chosen and room < 0):
            break
        chosen.append(span)
    return chosen


def spans_to_load_by_turn(turns: Iterable[Sequence[SpanRecord]]) -> list[list[SpanRecord]]:
    room = MAX_SESSION_CHARACTERS
    chosen = []
    for spans in turns:
        chosen.append(spans_to_load(spans, min(room, MAX_CHARACTERS)))
        room -= sum(map(_size, chosen[-1]))
    return chosen


def _size(span: SpanRecord) -> int:
    return span.input_size + span.output_size


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    after_us: float | None
    attributes: Part[Attribute]


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a span, usually of another trace. `is_stored`: that trace is stored in the project."""

    trace_id: str
    span_id: str
    is_stored: bool
    attributes: Part[Attribute]


def events(span: SpanRecord, payload: PayloadRecord) -> Part[Event]:
    """The events of a span without duplicates."""
    unique: dict[tuple[str, bytes], Event] = {}
    for event in payload.events or []:
        name, event_attributes = str(event.get("name") or "event"), event.get("attributes") or {}
        key = name, orjson.dumps(event_attributes, option=orjson.OPT_SORT_KEYS)
        if key not in unique:
            after = _after(span, str(event.get("time") or ""))
            unique[key] = Event(name, after, attributes(event_attributes, MAX_EVENT_ATTRIBUTES))
    return beginning(unique.values(), MAX_EVENTS)


def links(payload: PayloadRecord, is_stored: Callable[[Collection[UUID]], Collection[UUID]]) -> Part[Link]:
    """The links of a span to other spans. `is_stored` tells which of some traces are stored."""
    sent = [link for link in payload.links or [] if isinstance(link, dict)]
    shown = sent[:MAX_EVENTS]
    ids = {text: UUID(text) for link in shown if TRACE_ID.fullmatch(text := str(link.get("trace_id")))}
    stored = is_stored(set(ids.values())) if ids else ()
    return Part([_link(link, ids.get(str(link.get("trace_id"))), stored) for link in shown], len(sent))


def _link(sent: Mapping[str, Any], trace_id: UUID | None, stored: Collection[UUID]) -> Link:
    span_id = str(sent.get("span_id") or "")
    return Link(
        str(sent.get("trace_id") or ""),
        span_id if SPAN_ID.fullmatch(span_id) else "",
        trace_id in stored,
        attributes(sent.get("attributes") or {}, MAX_EVENT_ATTRIBUTES),
    )


def _after(span: SpanRecord, time: str) -> float | None:
    try:
        return (datetime.fromisoformat(time) - span.start_time) / timedelta(microseconds=1)
    except (ValueError, TypeError):
        return None


def failures(spans: Iterable[SpanRecord]) -> list[SpanRecord]:
    """A span for each error: the innermost. Those with a message come first."""
    began = {span.status_message: span for span in spans if span.status == "error"}
    return sorted(began.values(), key=lambda span: not span.status_message)
