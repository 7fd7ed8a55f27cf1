"""A span as stored: its columns and its text."""

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any
from uuid import UUID

import orjson

type Json = dict[str, Any]

type SpanKey = tuple[int, UUID, int, datetime]


@dataclass(slots=True)
class SpanRecord:
    """A span without its text. Names and units are those of `traces.models.span.Span`."""

    project_id: int
    trace_id: UUID
    span_id: int
    start_time: datetime
    parent_id: int | None
    duration_us: int | None
    received_at: datetime
    revision: int = 1
    digest: int = 0
    kind: str = "SPAN"
    otel_kind: int = 0
    name: str = ""
    status: str = "unset"
    status_message: str = ""
    service: str = ""
    service_version: str = ""
    environment: str = ""
    agent_id: int | None = None
    session_key: str = ""
    user: str = ""
    model: str = ""
    tool: str = ""
    provider: str = ""
    outcome: str = "unknown"
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: Decimal | None = None
    input_cost: Decimal | None = None
    cache_cost: Decimal | None = None
    output_cost: Decimal | None = None
    input_size: int = 0
    output_size: int = 0
    skewed: bool = False
    counts_as_other: bool = False
    attribute_tokens: list[int] = field(default_factory=list)

    @property
    def key(self) -> SpanKey:
        return self.project_id, self.trace_id, self.span_id, self.start_time

    @property
    def ended(self) -> bool:
        return self.duration_us is not None


@dataclass(slots=True, kw_only=True)
class PayloadRecord:
    """The text of a span.

    Messages have GenAI's `parts`, or the nested form of OpenInference's flattened keys: {"role", "content", "contents",
    "tool_calls": [{"id", "function": {"name", "arguments"}}], "tool_call_id", "name"}.
    """

    input: str | None = None
    output: str | None = None
    input_messages: list[Json] | None = None
    output_messages: list[Json] | None = None
    attributes: Json = field(default_factory=dict)
    events: list[Json] | None = None
    links: list[Json] | None = None
    resource_digest: int = 0


@dataclass(slots=True, frozen=True)
class Extent:
    """A trace and the times of its spans, which tell the days to read."""

    trace_id: UUID
    first: datetime
    last: datetime


def time_bounds(extents: Collection[Extent]) -> tuple[datetime, datetime]:
    first = min(extent.first for extent in extents)
    last = max(extent.last for extent in extents)
    return first, last


NAMES = tuple(field.name for field in fields(PayloadRecord))

_texts = attrgetter(*NAMES)


def serialize_payload(payload: PayloadRecord) -> bytes:
    """The text of a span as JSON."""
    return orjson.dumps({name: text for name, text in zip(NAMES, _texts(payload), strict=True) if text is not None})
