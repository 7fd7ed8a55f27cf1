"""A sent span in our columns, by the table in `attribute_names`. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
import xxhash

from catalyst.pricing import price
from traces.attribute_names import KIND_WORDS, KINDS, NAMES, OUTCOMES
from traces.messages import read_messages
from traces.otlp import Attributes, SentSpan, Source, storable
from traces.store.base import PayloadRecord, SpanRecord

_RANKED = {name: (column, rank) for column, names in NAMES.items() for rank, name in enumerate(names)}

LANGCHAIN_AGENT = "lc_agent_name"
METADATA_LIMIT = 20_000
NAME_LIMIT = 256
SPAN_NAME_LIMIT = 512
MESSAGE_LIMIT = 2_000
TOKEN_LIMIT = 64
TOKEN_VALUE_LIMIT = 128
MAX_TOKENS = 10**9
MAX_COST = Decimal(10_000)
FUTURE_TOLERANCE = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNINDEXED = ("llm.token_count.", "llm.cost.", "gen_ai.usage.", "input.", "output.")
"""Attributes that begin so are not kept for search."""
_SIGNED = 1 << 63

type Found = dict[str, tuple[str, Any]]


@dataclass(slots=True, frozen=True)
class Identity:
    """An agent as a span names it. `source` is agent_id or agent_name."""

    identity: str
    source: str
    name: str


@dataclass(slots=True)
class Reading:
    """One sent span in our columns; the agent is still a name."""

    span: SpanRecord
    payload: PayloadRecord
    agent: Identity | None


def cut(text: str, limit: int) -> str:
    """At most `limit` characters; a longer text ends in a hash of the whole, so that two stay two."""
    return text if len(text) <= limit else f"{text[: limit - 17]}~{xxhash.xxh3_64_hexdigest(text.encode())}"


def attribute_token(key: str, value: object) -> int:
    """The stored 64-bit hash of one attribute, for exact search."""
    return xxhash.xxh3_64_intdigest(f"{key}={value}".encode()) - _SIGNED


def attribute_text(value: Any) -> str | None:
    """The value of an attribute as search knows it; None for what has no single value."""
    if isinstance(value, str):
        return value
    return None if value is None or isinstance(value, (dict, list)) else orjson.dumps(value).decode()


def gather(attributes: Attributes) -> Found:
    """What the table knows of these attributes: our name to (the sender's name, value)."""
    found: Found = {}
    ranks: dict[str, int] = {}
    for key, value in attributes.items():
        hit = _RANKED.get(key)
        if hit is not None and value is not None and value != "" and hit[1] < ranks.get(hit[0], 99):
            ranks[hit[0]] = hit[1]
            found[hit[0]] = key, value
    return found


class Sender:
    """One resource and scope, read once for all its spans."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.found = gather(source.attributes)
        self.agent = _agent(self.found)
        self.service = _name(self.found, "service")
        self.environment = _name(self.found, "environment")
        content = (source.attributes, source.scope_name, source.scope_version)
        self.digest = xxhash.xxh3_64_intdigest(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)) - _SIGNED


def read_span(sent: SentSpan, sender: Sender, *, project_id: int, now: datetime, retention: timedelta) -> Reading:
    """Normalise one span."""
    found = gather(sent.attributes)
    payload = _payload(found, sent, sender.digest)
    kind = _kind(found)
    start = _EPOCH + timedelta(microseconds=sent.start_ns // 1000)
    span = SpanRecord(
        project_id=project_id,
        trace_id=sent.trace_id,
        span_id=sent.span_id,
        start_time=start,
        parent_id=sent.parent_id if sent.parent_id != sent.span_id else None,
        duration_us=max(0, sent.end_ns - sent.start_ns) // 1000 if sent.end_ns else None,
        received_at=now,
        kind=kind,
        otel_kind=sent.otel_kind,
        name=cut(sent.name, SPAN_NAME_LIMIT),
        status=sent.status,
        status_message=sent.status_message[:MESSAGE_LIMIT],
        service=_name(found, "service") or sender.service,
        environment=_name(found, "environment") or sender.environment,
        session_key=_name(found, "session") or _name(sender.found, "session"),
        user=_name(found, "user") or _name(sender.found, "user"),
        model=_name(found, "model"),
        tool=_tool(found, sent) if kind == "TOOL" else "",
        provider=_name(found, "provider"),
        outcome=OUTCOMES.get(_name(found, "outcome"), "unknown"),
        input_size=_size(payload.input, payload.input_messages),
        output_size=_size(payload.output, payload.output_messages),
        skewed=not now - retention <= start <= now + FUTURE_TOLERANCE,
        attribute_tokens=_tokens(payload.attributes),
    )
    _add_usage(span, found)
    span.digest = _digest(sent, payload)
    return Reading(span, payload, _agent(found) or sender.agent)


def _name(found: Found, column: str) -> str:
    hit = found.get(column)
    if hit is None:
        return ""
    return cut(hit[1] if isinstance(hit[1], str) else str(hit[1]), NAME_LIMIT)


def _agent(found: Found) -> Identity | None:
    name = _name(found, "agent_name") or _name(found, "other_agent_name")
    for column in ("agent_id", "agent_name", "other_agent_id", "other_agent_name"):
        if identity := _name(found, column):
            return Identity(identity, column.removeprefix("other_"), name or identity)
    return _langchain_agent(found)


def _langchain_agent(found: Found) -> Identity | None:
    """LangChain names its agents only inside the metadata, which OpenInference keeps as JSON text."""
    _, metadata = found.get("metadata", ("", None))
    if not isinstance(metadata, str) or LANGCHAIN_AGENT not in metadata or len(metadata) > METADATA_LIMIT:
        return None
    try:
        parsed = orjson.loads(metadata)
    except orjson.JSONDecodeError:
        return None
    name = storable(parsed.get(LANGCHAIN_AGENT)) if isinstance(parsed, dict) else None
    if not isinstance(name, str) or not name:
        return None
    return Identity(cut(name, NAME_LIMIT), "agent_name", cut(name, NAME_LIMIT))


def _kind(found: Found) -> str:
    said = _name(found, "kind")
    if said.upper() in KINDS:
        return said.upper()
    for word in (said, _name(found, "operation")):
        if word in KIND_WORDS:
            return KIND_WORDS[word]
    if "tool" in found:
        return "TOOL"
    return "UNKNOWN" if said else "SPAN"


def _tool(found: Found, sent: SentSpan) -> str:
    return _name(found, "tool") or cut(sent.name, NAME_LIMIT)


def _count(found: Found, column: str) -> int | None:
    hit = found.get(column)
    try:
        number = None if hit is None or isinstance(hit[1], bool) else int(hit[1])
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number is not None and 0 <= number < MAX_TOKENS else None


def _cost(found: Found) -> Decimal | None:
    hit = found.get("cost")
    try:
        cost = None if hit is None else Decimal(str(hit[1]))
    except InvalidOperation:
        return None
    return round(cost, 9) if cost is not None and cost.is_finite() and 0 <= cost <= MAX_COST else None


def _add_usage(span: SpanRecord, found: Found) -> None:
    """Tokens as said; cost as said, else from the price list, else unpriced."""
    span.input_tokens = _count(found, "input_tokens")
    span.output_tokens = _count(found, "output_tokens")
    span.cached_tokens = _count(found, "cached_tokens")
    span.cache_write_tokens = _count(found, "cache_write_tokens")
    span.reasoning_tokens = _count(found, "reasoning_tokens")
    if span.kind != "LLM":
        return
    span.cost = _cost(found)
    if span.cost is None and span.model and (span.input_tokens or span.output_tokens):
        paid = price(
            span.provider,
            span.model,
            span.input_tokens or 0,
            span.output_tokens or 0,
            span.cached_tokens or 0,
            span.cache_write_tokens or 0,
            span.start_time,
        )
        if paid is not None:
            span.cost, span.input_cost = round(paid.total, 9), round(paid.input, 9)
            span.cache_cost, span.output_cost = round(paid.cache, 9), round(paid.output, 9)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _payload(found: Found, sent: SentSpan, digest: int) -> PayloadRecord:
    messages, rest = read_messages(sent.attributes)
    input_name, _ = found.get("input", ("", None))
    output_name, _ = found.get("output", ("", None))
    return PayloadRecord(
        input=_text(rest.pop(input_name, None)),
        output=_text(rest.pop(output_name, None)),
        input_messages=messages.input,
        output_messages=messages.output,
        attributes=rest,
        events=sent.events or None,
        links=sent.links or None,
        resource_digest=digest,
    )


def _size(text: str | None, messages: list[Attributes] | None) -> int:
    return len(text) if text else sum(len(str(message)) for message in messages or ())


def _tokens(attributes: Attributes) -> list[int]:
    tokens: list[int] = []
    for key, value in attributes.items():
        text = attribute_text(value)
        if text is not None and len(text) <= TOKEN_VALUE_LIMIT and not key.startswith(UNINDEXED):
            tokens.append(attribute_token(key, text))
            if len(tokens) == TOKEN_LIMIT:
                break
    return tokens


def _digest(sent: SentSpan, payload: PayloadRecord) -> int:
    content = orjson.dumps(
        (
            sent.parent_id,
            sent.name,
            sent.otel_kind,
            sent.start_ns,
            sent.end_ns,
            sent.status,
            sent.status_message,
            payload.resource_digest,
            payload.input,
            payload.output,
            payload.input_messages,
            payload.output_messages,
            payload.attributes,
            payload.events,
            payload.links,
        ),
        option=orjson.OPT_SORT_KEYS,
    )
    return xxhash.xxh3_64_intdigest(content) - _SIGNED
