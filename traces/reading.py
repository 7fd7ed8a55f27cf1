"""What of a span, trace or session is put on a page, and how much of it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from traces.dialects import Message, ToolCall
from traces.store.base import PayloadRecord, SpanRecord

MOST_SPANS = 300
MOST_CHARACTERS = 4_000_000
MOST_MESSAGES = 200
MOST_ATTRIBUTES = 500
RECENT = 3
"""Given messages that stay open; the ones before are folded."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages as a page shows them: `earlier` folded, `left_out` only counted."""

    system: list[Message]
    earlier: list[Message]
    shown: list[Message]
    left_out: int = 0

    @property
    def only_call(self) -> ToolCall | None:
        """The tool call that is all there is: what a TOOL span says."""
        messages = self.system + self.earlier + self.shown
        alone = len(messages) == 1 and not messages[0].text and len(messages[0].tool_calls) == 1
        return messages[0].tool_calls[0] if alone else None

    @property
    def tells_error(self) -> bool:
        """True when a message or call shows what went wrong."""
        return any(said.error or any(call.error for call in said.tool_calls) for said in self.shown)

    @property
    def earlier_calls(self) -> int:
        """Tool calls in the folded messages."""
        return sum(len(message.tool_calls) for message in self.earlier)


def whole(messages: Sequence[Message]) -> Conversation:
    """All of a turn, but for the middle of a very long one."""
    system = [message for message in messages if message.role == "system"]
    rest = [message for message in messages if message.role != "system"]
    if len(rest) <= MOST_MESSAGES:
        return Conversation(system, [], rest)
    return Conversation(system, [], rest[-MOST_MESSAGES:], len(rest) - MOST_MESSAGES)


def of_span(messages: Sequence[Message]) -> Conversation:
    """What a span was given, its older part folded, then what it put out."""
    found = whole(messages)
    given = [message for message in found.shown if not message.produced]
    produced = [message for message in found.shown if message.produced]
    return Conversation(found.system, given[:-RECENT], given[-RECENT:] + produced, found.left_out)


def with_text(spans: Iterable[SpanRecord]) -> list[SpanRecord]:
    """Spans that say something: text, or that they failed."""
    return [span for span in spans if span.input_size or span.output_size or span.status == "error"]


def worth_reading(spans: Iterable[SpanRecord]) -> list[SpanRecord]:
    """The spans, in order of start, whose text a page about the whole trace loads."""
    chosen: list[SpanRecord] = []
    characters = 0
    for span in with_text(spans):
        characters += span.input_size + span.output_size
        if len(chosen) == MOST_SPANS or (chosen and characters > MOST_CHARACTERS):
            break
        chosen.append(span)
    return chosen


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a span."""

    name: str
    after_us: float | None
    attributes: Mapping[str, Any]


def events(span: SpanRecord, payload: PayloadRecord) -> list[Event]:
    """The span's events in order; one that was recorded twice is shown once."""
    found: list[Event] = []
    for event in payload.events or []:
        attributes = event.get("attributes") or {}
        after = _after(span, str(event.get("time") or ""))
        if not any(known.name == event.get("name") and known.attributes == attributes for known in found):
            found.append(Event(str(event.get("name") or "event"), after, attributes))
    return found


def _after(span: SpanRecord, time: str) -> float | None:
    try:
        return (datetime.fromisoformat(time) - span.start_time) / timedelta(microseconds=1)
    except (ValueError, TypeError):
        return None


def failures(spans: Iterable[SpanRecord]) -> list[SpanRecord]:
    """Failed spans, one for each reason: the innermost, where it began. Those that give a reason come first."""
    began = {span.status_message: span for span in spans if span.status == "error"}
    return sorted(began.values(), key=lambda span: not span.status_message)
