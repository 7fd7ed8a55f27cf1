"""Attribute names to our columns: one table for OpenInference, OpenTelemetry GenAI and everybody else's. Pure.

Names are listed in order of preference. Sources: https://github.com/Arize-ai/openinference/tree/main/spec,
https://opentelemetry.io/docs/specs/semconv/gen-ai/ and what SDKs were seen to send.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
import xxhash

from catalyst.pricing import price
from traces.messages import read_messages
from traces.otlp import Attributes, SentSpan, Source
from traces.store.base import PayloadRecord, SpanRecord

AGENT_ID = ("agent.id",)
AGENT_NAME = ("agent.name",)
AGENT_OTHER_ID = ("gen_ai.agent.id", "inference.agent_id", "elevenlabs.agent_id")
AGENT_OTHER_NAME = ("gen_ai.agent.name", "inference.agent_name", "ai.telemetry.functionId", "lk.agent_name")
SESSION = (
    "session.id",
    "gen_ai.conversation.id",
    "inference.session_id",
    "traceloop.association.properties.session_id",
    "ai.telemetry.metadata.sessionId",
    "conversation.id",
    "conversation_id",
    "elevenlabs.conversation_id",
    "cursor.run_id",
    "chat.id",
    "chat_id",
)
USER = (
    "user.id",
    "enduser.id",
    "inference.user_id",
    "traceloop.association.properties.user_id",
    "ai.telemetry.metadata.userId",
    "elevenlabs.user_id",
)
SERVICE = ("service.name",)
ENVIRONMENT = ("deployment.environment.name", "deployment.environment")
MODEL = (
    "llm.model_name",
    "gen_ai.response.model",
    "gen_ai.request.model",
    "inference.llm.model_name",
    "ai.response.model",
    "ai.model.id",
    "embedding.model_name",
    "reranker.model_name",
)
PROVIDER = (
    "llm.provider",
    "gen_ai.provider.name",
    "gen_ai.system",
    "llm.system",
    "inference.llm.provider",
    "ai.model.provider",
)
INPUT_TOKENS = (
    "llm.token_count.prompt",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "inference.llm.input_tokens",
    "ai.usage.promptTokens",
    "ai.usage.inputTokens",
)
OUTPUT_TOKENS = (
    "llm.token_count.completion",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "inference.llm.output_tokens",
    "ai.usage.completionTokens",
    "ai.usage.outputTokens",
)
CACHED_TOKENS = (
    "llm.token_count.prompt_details.cache_read",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "inference.llm.cached_input_tokens",
    "ai.usage.cachedInputTokens",
)
CACHE_WRITE_TOKENS = (
    "llm.token_count.prompt_details.cache_write",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
)
REASONING_TOKENS = (
    "llm.token_count.completion_details.reasoning",
    "gen_ai.usage.reasoning.output_tokens",
    "inference.llm.reasoning_output_tokens",
    "ai.usage.reasoningTokens",
)
COST = ("llm.cost.total", "inference.llm.cost.total", "gen_ai.usage.cost")
INPUT = (
    "input.value",
    "gen_ai.tool.call.arguments",
    "traceloop.entity.input",
    "ai.toolCall.args",
    "ai.prompt",
    "gen_ai.prompt",
)
OUTPUT = (
    "output.value",
    "gen_ai.tool.call.result",
    "traceloop.entity.output",
    "ai.toolCall.result",
    "ai.response.text",
    "gen_ai.completion",
)
KIND = (
    "openinference.span.kind",
    "inference.observation_kind",
    "inference.observation.kind",
    "traceloop.span.kind",
    "langchain.run_type",
)
KINDS = frozenset(
    "LLM TOOL CHAIN RETRIEVER EMBEDDING AGENT RERANKER GUARDRAIL EVALUATOR PROMPT UNKNOWN SPAN".split()  # noqa: SIM905
)
KIND_WORDS = {
    "chat": "LLM",
    "chat_model": "LLM",
    "completion": "LLM",
    "text_completion": "LLM",
    "generate_content": "LLM",
    "embeddings": "EMBEDDING",
    "execute_tool": "TOOL",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
    "invoke_workflow": "CHAIN",
    "workflow": "CHAIN",
    "task": "CHAIN",
    "ai.generateText.doGenerate": "LLM",
    "ai.streamText.doStream": "LLM",
    "ai.generateObject.doGenerate": "LLM",
    "ai.streamObject.doStream": "LLM",
    "ai.generateText": "CHAIN",
    "ai.streamText": "CHAIN",
    "ai.toolCall": "TOOL",
    "ai.embed": "EMBEDDING",
}
OUTCOMES = {"success": "success", "failure": "failure", "error": "failure"}

LANGCHAIN_AGENT = "lc_agent_name"
METADATA_LIMIT = 20_000
NAME_LIMIT = 256
SPAN_NAME_LIMIT = 512
MESSAGE_LIMIT = 2_000
TOKEN_LIMIT = 64
TOKEN_VALUE_LIMIT = 128
MAX_TOKENS = 1 << 53
MAX_COST = Decimal(1_000_000)
FUTURE_TOLERANCE = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNINDEXED = ("llm.token_count.", "llm.cost.", "gen_ai.usage.", "input.", "output.")
_SIGNED = 1 << 63


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


def resource_digest(source: Source) -> int:
    """The name of a resource and scope within a project."""
    content = orjson.dumps((source.attributes, source.scope_name, source.scope_version), option=orjson.OPT_SORT_KEYS)
    return xxhash.xxh3_64_intdigest(content) - _SIGNED


def read_span(sent: SentSpan, *, project_id: int, digest: int, now: datetime, retention: timedelta) -> Reading:
    """Normalise one span. `digest` is its source's `resource_digest`, computed once for many spans."""
    own, resource = sent.attributes, sent.source.attributes
    payload = _payload(own, sent, digest)
    start = _EPOCH + timedelta(microseconds=sent.start_ns // 1000)
    span = SpanRecord(
        project_id=project_id,
        trace_id=sent.trace_id,
        span_id=sent.span_id,
        start_time=start,
        parent_id=sent.parent_id if sent.parent_id != sent.span_id else None,
        duration_us=max(0, sent.end_ns - sent.start_ns) // 1000 if sent.end_ns else None,
        received_at=now,
        kind=_kind(own),
        otel_kind=sent.otel_kind,
        name=cut(sent.name, SPAN_NAME_LIMIT),
        status=sent.status,
        status_message=sent.status_message[:MESSAGE_LIMIT],
        service=_name(SERVICE, own, resource),
        environment=_name(ENVIRONMENT, own, resource),
        session_key=_name(SESSION, own, resource),
        user=_name(USER, own, resource),
        model=_name(MODEL, own),
        provider=_name(PROVIDER, own),
        outcome=OUTCOMES.get(str(own.get("agent.outcome")), "unknown"),
        input_size=_size(payload.input, payload.input_messages),
        output_size=_size(payload.output, payload.output_messages),
        skewed=not now - retention <= start <= now + FUTURE_TOLERANCE,
        attribute_tokens=_tokens(payload.attributes),
    )
    _add_usage(span, own)
    span.digest = _digest(sent, payload)
    return Reading(span, payload, _agent(own) or _agent(resource))


def _first(names: Iterable[str], attributes: Attributes) -> Any:
    for name in names:
        value = attributes.get(name)
        if value is not None and value != "":
            return value
    return None


def _name(names: Iterable[str], own: Attributes, resource: Attributes | None = None) -> str:
    value = _first(names, own)
    if value is None and resource:
        value = _first(names, resource)
    return "" if value is None else cut(value if isinstance(value, str) else str(value), NAME_LIMIT)


def _agent(attributes: Attributes) -> Identity | None:
    name = _name((*AGENT_NAME, *AGENT_OTHER_NAME), attributes)
    for source, names in (
        ("agent_id", AGENT_ID),
        ("agent_name", AGENT_NAME),
        ("agent_id", AGENT_OTHER_ID),
        ("agent_name", AGENT_OTHER_NAME),
    ):
        if identity := _name(names, attributes):
            return Identity(identity, source, name or identity)
    return _langchain_agent(attributes)


def _langchain_agent(attributes: Attributes) -> Identity | None:
    """LangChain names its agents only inside the metadata, which OpenInference keeps as JSON text."""
    metadata = attributes.get("metadata")
    if not isinstance(metadata, str) or LANGCHAIN_AGENT not in metadata or len(metadata) > METADATA_LIMIT:
        return None
    try:
        parsed = orjson.loads(metadata)
    except orjson.JSONDecodeError:
        return None
    name = _name((LANGCHAIN_AGENT,), parsed) if isinstance(parsed, dict) else ""
    return Identity(name, "agent_name", name) if name else None


def _kind(own: Attributes) -> str:
    said = str(_first(KIND, own) or "")
    if said.upper() in KINDS:
        return said.upper()
    for word in (said, str(own.get("gen_ai.operation.name") or ""), str(own.get("ai.operationId") or "")):
        if word in KIND_WORDS:
            return KIND_WORDS[word]
    if own.get("tool.name") or own.get("gen_ai.tool.name"):
        return "TOOL"
    return "UNKNOWN" if said else "SPAN"


def _count(names: Iterable[str], own: Attributes) -> int | None:
    value = _first(names, own)
    try:
        number = None if value is None or isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number is not None and 0 <= number < MAX_TOKENS else None


def _cost(own: Attributes) -> Decimal | None:
    value = _first(COST, own)
    try:
        cost = None if value is None else Decimal(str(value))
    except InvalidOperation:
        return None
    if cost is None or not cost.is_finite() or not 0 <= cost <= MAX_COST:
        return None
    return round(cost, 9)


def _add_usage(span: SpanRecord, own: Attributes) -> None:
    """Tokens as said; cost as said, else from the price list, else unpriced."""
    span.input_tokens = _count(INPUT_TOKENS, own)
    span.output_tokens = _count(OUTPUT_TOKENS, own)
    span.cached_tokens = _count(CACHED_TOKENS, own)
    span.cache_write_tokens = _count(CACHE_WRITE_TOKENS, own)
    span.reasoning_tokens = _count(REASONING_TOKENS, own)
    if span.kind != "LLM":
        return
    span.cost = _cost(own)
    if span.cost is None and span.model and (span.input_tokens or span.output_tokens):
        cost = price(
            span.provider,
            span.model,
            span.input_tokens or 0,
            span.output_tokens or 0,
            span.cached_tokens or 0,
            span.cache_write_tokens or 0,
            span.start_time,
        )
        span.cost = None if cost is None else round(cost, 9)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _payload(own: Attributes, sent: SentSpan, digest: int) -> PayloadRecord:
    messages, rest = read_messages(own)
    input_name = next((name for name in INPUT if rest.get(name) not in (None, "")), None)
    output_name = next((name for name in OUTPUT if rest.get(name) not in (None, "")), None)
    return PayloadRecord(
        input=_text(rest.pop(input_name)) if input_name else None,
        output=_text(rest.pop(output_name)) if output_name else None,
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
    tokens = []
    for key, value in attributes.items():
        if key.startswith(_UNINDEXED) or isinstance(value, (dict, list)) or value is None:
            continue
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        if len(text) <= TOKEN_VALUE_LIMIT:
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
