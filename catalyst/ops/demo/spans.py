"""Spans of synthetic runs with OpenInference's attributes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from traces.otlp import DecodedSpan, Source, iso_time

SECOND = 1_000_000_000
CHARACTERS_PER_TOKEN = 4

type Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Model:
    # `speed` is output tokens a second, `preamble` the tokens of tool schemas.
    name: str
    provider: str
    speed: float = 90
    preamble: int = 400


@dataclass(frozen=True, slots=True)
class ToolUse:
    name: str
    arguments: Mapping[str, Any]
    id: str


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    text: str = ""
    calls: Sequence[ToolUse] = ()
    call_id: str = ""


@dataclass(slots=True)
class Run:
    """An unfinished run. `at` is its clock in nanoseconds, which steps advance. `slow` multiplies their duration."""

    rng: Random
    source: Source
    at: int
    slow: float = 1.0
    spans: list[DecodedSpan] = field(default_factory=list)
    _open: list[DecodedSpan] = field(default_factory=list)
    _trace_id: UUID | None = None

    def wait(self, seconds: float) -> None:
        # With random variation.
        self.at += int(seconds * self.slow * self.rng.uniform(0.75, 1.35) * SECOND)

    @contextmanager
    def span(self, name: str, kind: str, attributes: Json) -> Iterator[DecodedSpan]:
        """Wrap the steps of the block in a span."""
        span = self._begin(name, kind, attributes)
        self._open.append(span)
        yield span
        self._open.pop()
        self.wait(0.002)
        span.end_ns = self.at

    def step(self, name: str, kind: str, seconds: float, attributes: Json) -> DecodedSpan:
        span = self._begin(name, kind, attributes)
        self.wait(seconds)
        span.end_ns = self.at
        return span

    def call_model(self, model: Model, prompt: Sequence[Message], reply: Message, name: str = "chat") -> DecodedSpan:
        characters = len(reply.text) + sum(len(json.dumps(dict(call.arguments))) + 30 for call in reply.calls)
        output = characters // CHARACTERS_PER_TOKEN + 8
        input_tokens = sum(len(message.text) + 20 for message in prompt) // CHARACTERS_PER_TOKEN + model.preamble
        attributes = {
            "llm.model_name": model.name,
            "llm.provider": model.provider,
            "llm.invocation_parameters": '{"temperature": 0.2}',
            "llm.token_count.prompt": input_tokens,
            "llm.token_count.completion": output,
            "llm.token_count.total": input_tokens + output,
            "llm.token_count.prompt_details.cache_read": input_tokens // 256 * 128 if len(prompt) > 3 else 0,
            **_flat("input", prompt),
            **_flat("output", [reply]),
        }
        return self.step(f"{name} {model.name}", "LLM", 0.35 + output / model.speed, attributes)

    def call_tool(self, call: ToolUse, seconds: float, result: object) -> DecodedSpan:
        output = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
        span = self.step(call.name, "TOOL", seconds, {**_tool(call), "output.value": output})
        return span

    def fail_tool(self, call: ToolUse, seconds: float, kind: str, message: str) -> DecodedSpan:
        span = self.step(call.name, "TOOL", seconds, _tool(call))
        fail(span, kind, message)
        return span

    def _begin(self, name: str, kind: str, attributes: Json) -> DecodedSpan:
        self._trace_id = self._trace_id or UUID(int=self.rng.getrandbits(127) + 1)
        span = DecodedSpan(
            source=self.source,
            trace_id=self._trace_id,
            span_id=self.rng.getrandbits(62) + 1,
            parent_id=self._open[-1].span_id if self._open else None,
            name=name,
            otel_kind=3 if kind == "LLM" else 1,
            start_ns=self.at,
            end_ns=0,
            status="ok",
            status_message="",
            attributes={"openinference.span.kind": kind, **attributes},
            events=[],
            links=[],
        )
        self.spans.append(span)
        self.at += 1_000_000
        return span


def fail(span: DecodedSpan, kind: str, message: str) -> None:
    """Add an exception to a span."""
    span.status, span.status_message = "error", f"{kind}: {message}"
    attributes = {"exception.type": kind, "exception.message": message}
    time = iso_time(span.end_ns or span.start_ns)
    span.events.append({"name": "exception", "time": time, "attributes": attributes})


def call_id(rng: Random) -> str:
    return f"call_{rng.getrandbits(64):016x}"


def _tool(call: ToolUse) -> Json:
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
    return {"tool.name": call.name, "tool_call.id": call.id, "input.value": arguments}


def _flat(side: str, messages: Sequence[Message]) -> Json:
    attributes: Json = {}
    for number, message in enumerate(messages):
        prefix = f"llm.{side}_messages.{number}.message."
        attributes[prefix + "role"] = message.role
        if message.text:
            attributes[prefix + "content"] = message.text
        if message.call_id:
            attributes[prefix + "tool_call_id"] = message.call_id
        for index, call in enumerate(message.calls):
            inner = f"{prefix}tool_calls.{index}.tool_call."
            attributes[inner + "id"] = call.id
            attributes[inner + "function.name"] = call.name
            attributes[inner + "function.arguments"] = json.dumps(dict(call.arguments), ensure_ascii=False)
    return attributes
