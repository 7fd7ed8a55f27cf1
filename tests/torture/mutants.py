"""Damaged and hostile OTLP requests, each told by its seed and number."""

import gzip
import json
import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.bench.traffic import Mix, body, stream

JSON, PROTOBUF = "application/json", "application/x-protobuf"
BASES = 32
BOMB_BYTES = 64 << 20
KEYS = (
    *("openinference.span.kind", "gen_ai.operation.name", "session.id", "user.id", "agent.id", "agent.name"),
    *("agent.outcome", "input.value", "output.value", "llm.model_name", "llm.cost.total", "tool.name", "metadata"),
    *("llm.token_count.prompt", "llm.token_count.completion", "gen_ai.usage.input_tokens", "gen_ai.input.messages"),
    *("gen_ai.output.messages", "llm.input_messages.0.message.content", "llm.input_messages.-1.message.role"),
    *("llm.input_messages.999999999999.message.role", "tool.parameters", "retrieval.documents.0.document.score"),
    *("llm.input_messages.0.message.tool_calls.0.tool_call.function.arguments", "llm.invocation_parameters"),
    *("service.name", "deployment.environment.name", "logfire.msg", "traceloop.entity.input"),
)
TEXTS = (
    *("", "\0", "a\0b", "\x1b[2J", "\u202e", "💥" * 500, "x" * 70_000, "[" * 5_000, '{"a":' * 5_000, "NaN", "-0"),
    *("9" * 400, "1e999", '{"role": "user", "content": [[[]]]}', "' OR 1=1; --", "<script>alert(1)</script>", "%s{0}"),
)
NUMBERS = [0, -1, 1 << 31, -(1 << 31) - 1, (1 << 63) - 1, -(1 << 63)]
FLOATS = [float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1.8e308]
JSON_TEXTS = (
    *("null", "true", "[]", "{}", '""', '"\\u0000"', '"\\ud800"', '"\\ud83d x"', "1e400", "-1", "1" + "0" * 400, "NaN"),
    *("-0.0", "[[[[[[1]]]]]]", "[" * 2_000 + "]" * 2_000, '{"a":' * 600 + "1" + "}" * 600, '{"stringValue": 1}'),
    *('{"intValue": "x"}', '{"intValue": 9223372036854775808}', '{"kvlistValue": {"values": 1}}', "Infinity"),
    *('{"arrayValue": {"values": [null, {"doubleValue": "NaN"}]}}', '{"bytesValue": "!"}', '"' + "x" * 70_000 + '"'),
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A request. `name` says how it was made."""

    name: str
    content: bytes
    headers: Mapping[str, str]


def mutant(seed: int, number: int) -> Mutant:
    """The request of this number."""
    chance = random.Random(f"{seed} {number}")
    base = _renamed(*_base(seed, chance.randrange(BASES)), chance)
    if chance.random() < 0.5:
        media, how, content = (PROTOBUF, *_protobuf(base, chance))
    else:
        media, how, content = (JSON, *_json(base, chance))
    encoding, packed = _pack(content, chance)
    if chance.random() < 0.02:
        media = chance.choice([JSON, PROTOBUF, "text/plain", "application/json; charset=utf-16"])
    headers = {"Content-Type": media, **({"Content-Encoding": encoding} if encoding else {})}
    return Mutant(f"{how} {media.rpartition('/')[2]} {encoding}".strip(), packed, headers)


@cache
def _base(seed: int, number: int) -> tuple[bytes, frozenset[bytes]]:
    """A healthy request of one to nine spans, and the ids of its traces."""
    made = body(islice(stream(Mix(seed, seconds=60), number), number % 9 + 1))
    return gzip.decompress(made.content), frozenset(span.trace_id.bytes for span in made.spans)


def _renamed(base: bytes, traces: frozenset[bytes], chance: random.Random) -> bytes:
    """The same request for traces that nobody has seen."""
    for trace_id in sorted(traces):
        base = base.replace(trace_id, chance.randbytes(16))
    return base


def _protobuf(base: bytes, chance: random.Random) -> tuple[str, bytes]:
    if chance.random() < 0.5:
        how = chance.choice(DAMAGES)
        return how.__name__, how(base, chance)
    request = ExportTraceServiceRequest.FromString(base)
    spans = [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]
    confuse = chance.choice(CONFUSIONS)
    for _ in range(chance.randint(1, 4)):
        confuse(chance.choice(spans), chance)
    return confuse.__name__, request.SerializeToString()


def _json(base: bytes, chance: random.Random) -> tuple[str, bytes]:
    content = _as_json(base)
    if chance.random() < 0.4:
        how = chance.choice(DAMAGES)
        return how.__name__, how(content.encode(), chance)
    document = json.loads(content)
    for _ in range(chance.randint(1, 3)):
        _replace(document, chance)
    text = json.dumps(document)
    while '"HOSTILE"' in text:
        text = text.replace('"HOSTILE"', chance.choice(JSON_TEXTS), 1)
    return "replaced", text.encode()


def _as_json(base: bytes) -> str:
    request = ExportTraceServiceRequest.FromString(base)
    document: dict[str, Any] = MessageToDict(request)
    for resource, sent in zip(document["resourceSpans"], request.resource_spans, strict=True):
        for span, original in zip(resource["scopeSpans"][0]["spans"], sent.scope_spans[0].spans, strict=True):
            span |= {"traceId": original.trace_id.hex(), "spanId": original.span_id.hex()}
            if original.parent_span_id:
                span["parentSpanId"] = original.parent_span_id.hex()
    return json.dumps(document)


def _replace(document: Any, chance: random.Random) -> None:
    """Put something hostile in the place of any node, or rename or double its key."""
    node = document
    while True:
        key = chance.choice(list(node) if isinstance(node, dict) else range(len(node)))
        below = node[key]
        if not isinstance(below, dict | list) or not below or chance.random() < 0.1:
            break
        node = below
    if isinstance(node, dict) and chance.random() < 0.2:
        node[chance.choice(["", "x" * 5_000, "kind", "attributes", "status", "\0"])] = node.pop(key)
    else:
        node[key] = "HOSTILE"


def flipped(content: bytes, chance: random.Random) -> bytes:
    """Bits changed."""
    damaged = bytearray(content)
    for _ in range(chance.randint(1, 20)):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def truncated(content: bytes, chance: random.Random) -> bytes:
    """The end missing."""
    return content[: chance.randrange(len(content))]


def inserted(content: bytes, chance: random.Random) -> bytes:
    """Something foreign in the middle."""
    at = chance.randrange(len(content))
    foreign = chance.choice(
        [chance.randbytes(chance.randint(1, 64)), b"\xff\xfe\xed\xa0\x80", b"\0" * 16, b"\xff" * 10]
    )
    return content[:at] + foreign + content[at:]


def overwritten(content: bytes, chance: random.Random) -> bytes:
    """Invalid UTF-8 or NUL in the place of some bytes; lengths stay right."""
    at = chance.randrange(len(content))
    foreign = chance.choice([b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\0\0", b"\xff"])
    return content[:at] + foreign + content[at + len(foreign) :]


def repeated(content: bytes, chance: random.Random) -> bytes:
    """A part of it twice, or the whole."""
    first, last = sorted((chance.randrange(len(content)), chance.randrange(len(content))))
    return chance.choice([content[:last] + content[first:last] + content[last:], content * 2])


def removed(content: bytes, chance: random.Random) -> bytes:
    """A part missing."""
    first = chance.randrange(len(content))
    return content[:first] + content[first + chance.randint(1, 200) :]


def garbage(content: bytes, chance: random.Random) -> bytes:
    """Nothing of it left."""
    return chance.randbytes(chance.randrange(3_000))


def ids(span: Span, chance: random.Random) -> None:
    """Identifiers of any length, zeros, and parents in a circle."""
    span.trace_id = chance.choice([b"", b"\0" * 16, b"x", b"x" * 15, b"x" * 17, b"x" * 300, span.trace_id])
    span.span_id = chance.choice([b"", b"\0" * 8, b"x" * 7, b"x" * 9, b"\xff" * 8, span.span_id])
    span.parent_span_id = chance.choice([b"", span.span_id, b"\0" * 8, b"x" * 3, b"\x80" + b"\0" * 7])


def times(span: Span, chance: random.Random) -> None:
    """Any moment of 64 bits, ends before starts."""
    any_time = (0, 1, 999, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, span.start_time_unix_nano, chance.getrandbits(64))
    span.start_time_unix_nano, span.end_time_unix_nano = chance.choice(any_time), chance.choice(any_time)


def enums(span: Span, chance: random.Random) -> None:
    """Kinds and codes that nobody knows."""
    span.kind = chance.choice([99, -1, (1 << 31) - 1])  # type: ignore[assignment]
    span.status.code = chance.choice([3, -7, (1 << 31) - 1])  # type: ignore[assignment]
    span.status.message = chance.choice(TEXTS)
    span.name = chance.choice(TEXTS)


def values(span: Span, chance: random.Random) -> None:
    """Known attributes with values of any kind."""
    for _ in range(chance.randint(1, 8)):
        _any_value(span.attributes.add(key=chance.choice(KEYS)).value, chance, 0)


def nested(span: Span, chance: random.Random) -> None:
    """A value within a value within a value."""
    value = span.attributes.add(key=chance.choice(KEYS)).value
    for _ in range(chance.choice([5, 20, 40, 90])):
        value = (
            value.kvlist_value.values.add(key="a").value if chance.random() < 0.5 else value.array_value.values.add()
        )
    value.string_value = "deep"


def many(span: Span, chance: random.Random) -> None:
    """More attributes, events or links than there should be."""
    for number in range(chance.choice([200, 2_000, 12_000])):
        kind = chance.randrange(3)
        if kind == 0:
            span.attributes.add(key=f"a.{number}").value.int_value = number
        elif kind == 1:
            span.events.add(name="e", time_unix_nano=chance.getrandbits(64))
        else:
            span.links.add(trace_id=b"x" * (number % 17), span_id=b"y" * 8)


def _any_value(value: AnyValue, chance: random.Random, depth: int) -> None:
    """Fill it with something of any kind."""
    scalars: Sequence[tuple[str, Any]] = (
        ("string_value", chance.choice(TEXTS)),
        ("int_value", chance.choice(NUMBERS)),
        ("double_value", chance.choice(FLOATS)),
        ("bytes_value", chance.randbytes(20)),
        ("bool_value", True),
    )
    kind = chance.randrange(7 if depth < 4 else 5)
    if kind < len(scalars):
        setattr(value, *scalars[kind])
        return
    for key in ("role", "content", "role"):
        below = value.array_value.values.add() if kind == 5 else value.kvlist_value.values.add(key=key).value
        _any_value(below, chance, depth + 1)


def _pack(content: bytes, chance: random.Random) -> tuple[str, bytes]:
    """Compress it, well or badly."""
    if chance.random() < 0.7:
        return "", content
    how = chance.choice(["gzip"] * 8 + ["cut", "lie", "bomb", "members", "deflate", "raw", "br", "damaged"])
    if how in ("lie", "br"):
        return "gzip" if how == "lie" else "br", content
    if how in ("deflate", "raw"):
        compressor = zlib.compressobj(wbits=zlib.MAX_WBITS if how == "deflate" else -zlib.MAX_WBITS)
        return "deflate", compressor.compress(content) + compressor.flush()
    packed = _bomb() if how == "bomb" else gzip.compress(content, 1)
    if how == "members":
        packed = gzip.compress(content[: len(content) // 2]) + gzip.compress(content[len(content) // 2 :])
    damage: dict[str, Callable[[bytes, random.Random], bytes]] = {"cut": truncated, "damaged": flipped}
    return "gzip", damage[how](packed, chance) if how in damage else packed


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(BOMB_BYTES), 9)


DAMAGES: Sequence[Callable[[bytes, random.Random], bytes]] = (
    flipped, truncated, inserted, overwritten, repeated, removed, garbage,
)  # fmt: skip
CONFUSIONS: Sequence[Callable[[Span, random.Random], None]] = (ids, times, enums, values, nested, many)
