"""A span, trace or session as the conversation that people, the judge and Halo read. Pure: records in, messages out."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that was asked for or run. `arguments` and `result` are text, JSON where the sender sent JSON.

    `result` is None when none was seen. `span_id` is the TOOL span that ran it, when there is one.
    """

    name: str
    arguments: str = ""
    result: str | None = None
    error: str = ""
    id: str = ""
    span_id: int | None = None
    duration_us: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said. `role` is system, user, assistant or tool; `span_id` the span it was first seen in.

    `produced` is true for what a span put out, false for what it was given.
    """

    role: str
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    span_id: int | None = None
    produced: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation in order. Empty when the spans carry no content at all."""

    messages: tuple[Message, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.messages)
