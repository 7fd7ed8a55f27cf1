"""Normalizes sent spans into our columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import xxhash

from traces.clocks import is_skewed
from traces.conventions.dialects import NAMES, OUTCOMES, PREPARATION
from traces.conventions.embedded_files import take_out
from traces.conventions.event_messages import from_events
from traces.conventions.flattened_messages import MESSAGE_PREFIXES, PACKED_MESSAGES, read_messages
from traces.conventions.kinds import KINDS, is_of_database, kind_of
from traces.conventions.usage import add_usage
from traces.otlp import Attributes, DecodedSpan, Source, storable
from traces.records import PayloadRecord, SpanRecord, serialize_payload

_RANKED = {name: (column, rank) for column, names in NAMES.items() for rank, name in enumerate(names)}

LANGCHAIN_AGENT = "lc_agent_name"
MAX_METADATA_CHARACTERS = 20_000
MAX_NAME_CHARACTERS = 256
MAX_SPAN_NAME_CHARACTERS = 512
MAX_MESSAGE_CHARACTERS = 2_000
MAX_ATTRIBUTE_TOKENS = 64
MAX_VALUE_CHARACTERS = 128
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Prefixes of attributes that can't be searched.
UNINDEXED = ("llm.token_count.", "llm.cost.", "gen_ai.usage.", "input.", "output.")
_SIGNED = 1 << 63

# Values by column: the sender's attribute, the value, the rank of the attribute.
type ColumnValues = dict[str, tuple[str, Any, int]]


@dataclass(slots=True, frozen=True)
class Identity:
    """An agent as a span names it. `source` is agent_id or agent_name."""

    identity: str
    source: str
    name: str


@dataclass(slots=True)
class NormalizedSpan:
    """A span in our columns, with the agent still unresolved. `text` is the payload as JSON."""

    span: SpanRecord
    payload: PayloadRecord
    text: bytes
    agent: Identity | None
    # It was stored before, and only its agent and the name that it counts under are new.
    is_regrouped: bool = False
    # Its agent, or the name that it counts under, is (other).
    is_other: bool = False
    # Its tokens can be priced: it is known which of them are output.
    is_split: bool = True


def cut(text: str, limit: int) -> str:
    """Shorten to `limit` characters. A hash at the end keeps different texts different."""
    return text if len(text) <= limit else f"{text[: limit - 17]}~{xxhash.xxh3_64_hexdigest(text.encode())}"


def attribute_token(key: str, value: object) -> int:
    """The hash of an attribute, for exact search."""
    return xxhash.xxh3_64_intdigest(f"{key}={value}".encode()) - _SIGNED


def attribute_text(value: Any) -> str | None:
    """The value of an attribute as search compares it. Returns None for lists and objects."""
    if isinstance(value, str):
        return value
    return None if value is None or isinstance(value, (dict, list)) else orjson.dumps(value).decode()


_EMPTY = (None, "")
_AGENT_COLUMNS = ("agent_id", "agent_name", "other_agent_id", "other_agent_name")
_NAMES_AGENT = frozenset((*_AGENT_COLUMNS, "agent_node", "metadata"))
_USAGE = frozenset(("input_tokens", "output_tokens", "total_tokens"))


def gather(attributes: Attributes) -> tuple[ColumnValues, list[str]]:
    """Returns the values by column, and the names of attributes that may be messages."""
    values: ColumnValues = {}
    messages: list[str] = []
    for name, value in attributes.items():
        column_rank = _RANKED.get(name)
        if column_rank is not None:
            column, rank = column_rank
            other = values.get(column)
            if (other is None or rank < other[2]) and value not in _EMPTY:
                values[column] = (name, value, rank)
        elif name.startswith(MESSAGE_PREFIXES) or name in PACKED_MESSAGES:
            messages.append(name)
    return values, messages


class ResourceContext:
    """A resource and scope, read once for all its spans."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.values, _ = gather(source.attributes)
        self.agent = _agent(self.values)
        self.service = _name(self.values, "service")
        self.service_version = _name(self.values, "service_version")
        self.environment = _name(self.values, "environment")
        self.session = _name(self.values, "session")
        self.user = _name(self.values, "user")
        content = (source.attributes, source.scope_name, source.scope_version)
        self.digest = xxhash.xxh3_64_intdigest(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)) - _SIGNED


def read_span(
    sent: DecodedSpan, resource: ResourceContext, *, project_id: int, now: datetime, kept_since: datetime
) -> NormalizedSpan:
    values, message_names = gather(sent.attributes)
    payload = _payload(values, message_names, sent, resource.digest)
    kind = _kind(values, sent)
    status, message = _status(values, sent)
    seconds, nanoseconds = divmod(sent.start_ns, 1_000_000_000)
    start = _EPOCH + timedelta(0, seconds, nanoseconds // 1000)
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
        name=cut(sent.name, MAX_SPAN_NAME_CHARACTERS),
        status=status,
        status_message=_status_message(message),
        service=_name(values, "service") or resource.service,
        service_version=_name(values, "service_version") or resource.service_version,
        environment=_name(values, "environment") or resource.environment,
        session_key=_name(values, "session") or resource.session,
        user=_name(values, "user") or resource.user,
        model=_name(values, "model"),
        tool=_tool(values, sent) if kind == "TOOL" else "",
        provider=_name(values, "provider"),
        outcome=OUTCOMES.get(_name(values, "outcome"), "unknown"),
        input_size=_size(payload.input, payload.input_messages),
        output_size=_size(payload.output, payload.output_messages),
        skewed=is_skewed(start, now, kept_since),
        attribute_tokens=_tokens(payload.attributes),
    )
    is_split = add_usage(span, values)
    text = serialize_payload(payload)
    span.digest = _digest(sent, text)
    return NormalizedSpan(span, payload, text, _agent(values) or resource.agent, is_split=is_split)


def agent_of(attributes: Attributes, resource: Attributes) -> Identity | None:
    """The agent that a stored span names, else its resource."""
    return _agent(gather(attributes)[0]) or _agent(gather(resource)[0])


def _status(values: ColumnValues, sent: DecodedSpan) -> tuple[str, str]:
    # Langfuse sets no status, but a level.
    if "level" in values and sent.status == "unset" and _name(values, "level") == "ERROR":
        return "error", sent.status_message or _name(values, "level_message")
    return sent.status, sent.status_message


def _status_message(text: str) -> str:
    # Some errors repeat the image that was refused.
    return take_out(text)[0][:MAX_MESSAGE_CHARACTERS] if text else ""


def _name(values: ColumnValues, column: str) -> str:
    hit = values.get(column)
    if hit is None:
        return ""
    text = hit[1] if isinstance(hit[1], str) else str(hit[1])
    return text if len(text) <= MAX_NAME_CHARACTERS else cut(text, MAX_NAME_CHARACTERS)


def _agent(values: ColumnValues) -> Identity | None:
    if _NAMES_AGENT.isdisjoint(values):
        return None
    for column in _AGENT_COLUMNS:
        if column in values and (identity := _name(values, column).strip()):
            name = (_name(values, "agent_name") or _name(values, "other_agent_name")).strip()
            return Identity(identity, column.removeprefix("other_"), name or identity)
    return _node_agent(values) or _langchain_agent(values)


def _node_agent(values: ColumnValues) -> Identity | None:
    # CrewAI names its agents only as nodes of a graph, which other frameworks do with their steps.
    name = _name(values, "agent_node")
    return Identity(name, "agent_name", name) if name and _name(values, "kind") == "AGENT" else None


def _langchain_agent(values: ColumnValues) -> Identity | None:
    # LangChain names its agents only in the metadata, which OpenInference keeps as JSON text.
    metadata = values["metadata"][1] if "metadata" in values else None
    if not isinstance(metadata, str) or LANGCHAIN_AGENT not in metadata or len(metadata) > MAX_METADATA_CHARACTERS:
        return None
    try:
        parsed = orjson.loads(metadata)
    except orjson.JSONDecodeError:
        return None
    name = storable(parsed.get(LANGCHAIN_AGENT)) if isinstance(parsed, dict) else None
    if not isinstance(name, str) or not name:
        return None
    return Identity(cut(name, MAX_NAME_CHARACTERS), "agent_name", cut(name, MAX_NAME_CHARACTERS))


def _kind(values: ColumnValues, sent: DecodedSpan) -> str:
    said = values.get("kind")
    if said is not None and isinstance(said[1], str) and said[1] in KINDS:
        return "CHAIN" if said[1] == "LLM" and sent.name.endswith(PREPARATION) else said[1]
    return kind_of(
        _name(values, "kind"),
        _name(values, "operation"),
        has_tool="tool" in values,
        has_usage=not _USAGE.isdisjoint(values),
        has_model="model" in values and not is_of_database(sent.attributes),
        scope=sent.source.scope_name,
    )


def _tool(values: ColumnValues, sent: DecodedSpan) -> str:
    return _name(values, "tool") or cut(sent.name, MAX_NAME_CHARACTERS)


def _payload(values: ColumnValues, message_names: Sequence[str], sent: DecodedSpan, digest: int) -> PayloadRecord:
    input_messages, output_messages, rest = read_messages(sent.attributes, message_names)
    if sent.events or "events" in rest or "all_messages_events" in rest:
        sent_in_events, answered_in_events = from_events(sent.events, rest)
        input_messages = input_messages or sent_in_events or None
        output_messages = output_messages or answered_in_events or None
    return PayloadRecord(
        input=_pop_text(values, "input", rest),
        output=_pop_text(values, "output", rest),
        input_messages=input_messages,
        output_messages=output_messages,
        attributes=rest,
        events=sent.events or None,
        links=sent.links or None,
        resource_digest=digest,
    )


def _pop_text(values: ColumnValues, column: str, attributes: Attributes) -> str | None:
    hit = values.get(column)
    if hit is None:
        return None
    value = attributes.pop(hit[0])
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _size(text: str | None, messages: list[Attributes] | None) -> int:
    return len(text) if text else sum(len(str(message)) for message in messages or ())


def _tokens(attributes: Attributes) -> list[int]:
    tokens: list[int] = []
    for key, value in attributes.items():
        if key.startswith(UNINDEXED):
            continue
        text = attribute_text(value)
        if text is not None and len(text) <= MAX_VALUE_CHARACTERS:
            tokens.append(attribute_token(key, text))
            if len(tokens) == MAX_ATTRIBUTE_TOKENS:
                break
    return tokens


def _digest(sent: DecodedSpan, text: bytes) -> int:
    content = (sent.parent_id, sent.name, sent.otel_kind, sent.start_ns, sent.end_ns, sent.status, sent.status_message)
    return xxhash.xxh3_64_intdigest(orjson.dumps(content) + text) - _SIGNED
