"""Traffic of agents as OpenInference's instrumentation sends it, made from a seed before any clock starts.

A sender is one process of one user: whole sessions of four traces of eight spans, root last, cut into bodies of any
size. So bodies of ten spans split traces, as batching exporters do.
"""

import gzip
import json
import os
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

ROLES = ("support", "refund", "research", "sql", "triage", "review", "sales", "onboarding", "billing", "ops")
AGENTS = [f"{role}-agent" for role in ROLES]
MODELS = [
    ("gpt-4o", "openai"),
    ("gpt-4o-mini", "openai"),
    ("claude-sonnet-4-5", "anthropic"),
    ("gemini-2.5-flash", "google"),
]
PROSE = """
    the agent looked up the order status for a customer and returned refund policy, shipping address, invoice number
    payment failed so it retried the tool and wrote the result into the context window before Tuesday because billing
    cycle search index returned seven documents about warranty coverage and international returns then draft a polite
    reply with the tracking link or escalate to a human when response latency, schema or database connection failed
"""
SPANS_PER_TRACE = 8
TRACES_PER_SESSION = 4
TRACES_PER_AGENT = 64
MILLISECOND = 1_000_000
ERRORS = 0.03


class Sent(NamedTuple):
    """A span as its sender remembers it. `span_id` as Catalyst stores it, signed."""

    trace_id: UUID
    span_id: int
    agent: str
    session: str
    kind: str


@dataclass(frozen=True, slots=True)
class Body:
    """One request: compressed protobuf, and what is in it."""

    content: bytes
    spans: tuple[Sent, ...]


@dataclass(frozen=True, slots=True)
class Mix:
    """What traffic looks like. `seconds`: over how much of the past traces start, which ends `ago` seconds before now.
    `open_roots`: the share of traces whose root is also sent first, while it is open."""

    seed: int
    seconds: float = 86_400
    open_roots: float = 0
    ago: float = 0


def bodies(mix: Mix, senders: int, each: int, size: int) -> list[list[Body]]:
    """`each` bodies of `size` spans for each of the senders, built on all cores."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(partial(_bodies, mix, each=each, size=size), range(senders)))


def _bodies(mix: Mix, sender: int, *, each: int, size: int) -> list[Body]:
    spans = stream(mix, sender)
    return [body(islice(spans, size)) for _ in range(each)]


def body(spans: Iterable[tuple[Sent, Span]]) -> Body:
    """One request with these spans."""
    request, sent, agent = ExportTraceServiceRequest(), [], None
    for each, span in spans:
        if each.agent != agent:
            agent = each.agent
            resource = request.resource_spans.add()
            _put(
                resource.resource.attributes,
                {
                    "service.name": agent,
                    "agent.id": agent,
                    "agent.name": agent,
                    "telemetry.sdk.language": "python",
                    "telemetry.sdk.name": "opentelemetry",
                },
            )
            scope = resource.scope_spans.add()
            scope.scope.name, scope.scope.version = "openinference.instrumentation.traffic", "1.0"
        scope.spans.append(span)
        sent.append(each)
    return Body(gzip.compress(request.SerializeToString(), 6), tuple(sent))


def stream(mix: Mix, sender: int) -> Iterator[tuple[Sent, Span]]:
    """Endless spans of one sender."""
    chance = random.Random(f"{mix.seed} {sender}")
    number = 0
    while True:
        agent = AGENTS[(sender + number // TRACES_PER_AGENT) % len(AGENTS)]
        session = f"session-{mix.seed}-{sender}-{number // TRACES_PER_SESSION}"
        yield from _trace(chance, agent, session, mix)
        number += 1


def _trace(chance: random.Random, agent: str, session: str, mix: Mix) -> Iterator[tuple[Sent, Span]]:
    trace_id = UUID(int=chance.getrandbits(128))
    ids = [chance.getrandbits(63) | 1 for _ in range(SPANS_PER_TRACE)]
    start = time.time_ns() - int((mix.ago + chance.random() * mix.seconds) * 1e9)
    steps = [chance.randrange(80, 3000) for _ in range(6)]
    kinds = ["LLM", "TOOL", "LLM", "RETRIEVER", "TOOL", "LLM"]
    planned: list[tuple[str, int, int | None, int, int]] = []
    at = 20
    for number, (kind, milliseconds) in enumerate(zip(kinds, steps, strict=True), 2):
        planned.append((kind, ids[number], ids[1], at, milliseconds))
        at += milliseconds + 5
    planned += [("CHAIN", ids[1], ids[0], 10, at), ("AGENT", ids[0], None, 0, at + 20)]
    spans = []
    for kind, span_id, parent, offset, milliseconds in planned:
        span = Span(trace_id=trace_id.bytes, span_id=span_id.to_bytes(8), kind=Span.SPAN_KIND_INTERNAL)
        if parent is not None:
            span.parent_span_id = parent.to_bytes(8)
        span.start_time_unix_nano = start + offset * MILLISECOND
        span.end_time_unix_nano = span.start_time_unix_nano + milliseconds * MILLISECOND
        span.status.code = Status.STATUS_CODE_OK
        _fill(span, kind, chance, agent)
        _put(span.attributes, {"openinference.span.kind": kind, "session.id": session, "user.id": session[-8:]})
        spans.append((Sent(trace_id, span_id, agent, session, kind), span))
    if mix.open_roots and chance.random() < mix.open_roots:
        root, opened = spans[-1][0], Span()
        opened.CopyFrom(spans[-1][1])
        opened.end_time_unix_nano = 0
        yield root, opened
    yield from spans


def _fill(span: Span, kind: str, chance: random.Random, agent: str) -> None:
    """Name and attributes by kind; a model call carries its text twice, as value and as messages."""
    span.name = {"LLM": "ChatCompletion", "TOOL": "search_orders", "RETRIEVER": "retrieve", "CHAIN": "plan"}.get(
        kind, agent
    )
    text = partial(_text, chance)
    if kind == "LLM":
        _model_call(span, chance)
    elif kind == "TOOL":
        span.name = chance.choice(("search_orders", "refund", "look_up"))
        _put(span.attributes, {"tool.name": span.name, **_values(json.dumps({"query": text(150)}), text(700))})
        if chance.random() < ERRORS:
            span.status.code, span.status.message = Status.STATUS_CODE_ERROR, "TimeoutError: no answer in 10 s"
            event = span.events.add(name="exception", time_unix_nano=span.end_time_unix_nano)
            _put(event.attributes, {"exception.type": "TimeoutError", "exception.stacktrace": text(400)})
    elif kind == "RETRIEVER":
        documents = {f"retrieval.documents.{n}.document.content": text(400) for n in range(3)}
        _put(span.attributes, {"input.value": text(250), **documents})
    else:
        _put(span.attributes, _values(text(300), text(500)))
        if kind == "AGENT" and chance.random() < ERRORS:
            span.status.code = Status.STATUS_CODE_ERROR


def _model_call(span: Span, chance: random.Random) -> None:
    model, provider = chance.choice(MODELS)
    said = [("system", _text(chance, 800)), ("user", _text(chance, 1100))]
    answer = _text(chance, 450)
    asked = {"messages": [{"role": role, "content": content} for role, content in said], "model": model}
    values = {
        "llm.model_name": model,
        "llm.provider": provider,
        "llm.invocation_parameters": '{"temperature": 0.2, "max_tokens": 1024}',
        **_values(json.dumps(asked), json.dumps({"choices": [{"message": {"role": "assistant", "content": answer}}]})),
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": answer,
        "llm.token_count.prompt": chance.randrange(200, 4000),
        "llm.token_count.completion": chance.randrange(20, 900),
    }
    for number, (role, content) in enumerate(said):
        values |= {
            f"llm.input_messages.{number}.message.role": role,
            f"llm.input_messages.{number}.message.content": content,
        }
    _put(span.attributes, values)


def _values(read: str, written: str) -> dict[str, str]:
    return {"input.value": read, "output.value": written, "output.mime_type": "text/plain"}


def _put(attributes: Any, values: dict[str, Any]) -> None:
    for key, value in values.items():
        attribute = attributes.add(key=key)
        if isinstance(value, int):
            attribute.value.int_value = value
        else:
            attribute.value.string_value = value


def _text(chance: random.Random, length: int) -> str:
    text = chance.choice(_texts())
    begin = chance.randrange(len(text) - length)
    return text[begin : begin + length]


@cache
def _texts() -> Sequence[str]:
    """Prose with numbers in it, so that it compresses about as real prompts do."""
    chance, words = random.Random(0), PROSE.split()
    return [
        " ".join(chance.choice(words) if chance.random() > 0.08 else f"{chance.getrandbits(32):x}" for _ in range(900))
        for _ in range(24)
    ]
