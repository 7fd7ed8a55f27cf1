"""Spans as sent, and checks for both encodings."""

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

MAX_LEVELS = 32
MAX_SPANS = 100_000
MAX_REASONS = 5
DROPPED = ("dropped_attributes_count", "dropped_events_count", "dropped_links_count")
TRACE_STATE = "w3c.tracestate"
SCOPE = "otel.scope."
SCHEMAS = ("otel.resource.schema_url", "otel.scope.schema_url")
STATUS = ("unset", "ok", "error")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL has no NUL in text, UTF-8 no surrogates
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

type Attributes = dict[str, Any]


class OtlpError(ValueError):
    """The body is no ExportTraceServiceRequest. The message gives the cause and the place."""


class TooManySpans(OtlpError):
    """Too many spans, or so many empty objects that decoding would take gigabytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body has more than {limit:,} spans, or millions of objects. Send smaller batches.")


class SpanError(ValueError):
    """A span that can't be stored. `fault`: id, time or shape."""

    def __init__(self, message: str, fault: str = "shape") -> None:
        super().__init__(message)
        self.fault = fault


@dataclass(slots=True)
class Nesting:
    """The limit of nested lists and objects, and counts of what is left out.

    `unreadable`: attributes that are no list. `misshapen`: events, links and statuses that have no form of OTLP.
    """

    limit: int = MAX_LEVELS
    left_out: int = 0
    unreadable: int = 0
    misshapen: int = 0

    def leave_out(self) -> str:
        self.left_out += 1
        return f"… [nested deeper than {self.limit} levels]"


@dataclass(slots=True)
class Source:
    """Resource attributes and instrumentation scope."""

    attributes: Attributes = field(default_factory=dict)
    scope_name: str = ""
    scope_version: str = ""


@dataclass(slots=True)
class DecodedSpan:
    """A span as sent. Times are nanoseconds since 1970; `end_ns` is 0 while it is open."""

    source: Source
    trace_id: UUID
    span_id: int
    parent_id: int | None
    name: str
    otel_kind: int
    start_ns: int
    end_ns: int
    status: str
    status_message: str
    attributes: Attributes
    events: list[dict[str, Any]]
    links: list[dict[str, Any]]


@dataclass(slots=True)
class Decoded:
    """The decoded spans, and the number of rejected ones with the first reasons."""

    nesting: Nesting = field(default_factory=Nesting)
    spans: list[DecodedSpan] = field(default_factory=list)
    rejected: int = 0
    reasons: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)

    def reject(self, reason: str, fault: str) -> None:
        self.rejected += 1
        self.faults[fault] += 1
        if len(self.reasons) < MAX_REASONS:
            self.reasons.append(reason)


def with_envelope(
    attributes: Attributes, dropped: tuple[int, int, int], trace_state: str = "", prefix: str = "otel."
) -> Attributes:
    """Attributes with what OTLP says of them elsewhere, under the names that OpenTelemetry gives it in other formats.

    `dropped`: attributes, events and links that the sender dropped.
    """
    if any(dropped):
        for name, count in zip(DROPPED, dropped, strict=True):
            if count:
                attributes.setdefault(f"{prefix}{name}", count)
    if trace_state:
        attributes.setdefault(TRACE_STATE, trace_state)
    return attributes


def with_scope(resource: Attributes, scope: Attributes, schemas: tuple[str, str]) -> Attributes:
    """Attributes of a resource and of a scope. `schemas`: URLs of the resource's and the scope's schema."""
    urls = {name: url for name, url in zip(SCHEMAS, schemas, strict=True) if url}
    if not scope and not urls:
        return resource
    return resource | {f"{SCOPE}{name}": value for name, value in scope.items()} | urls


def iso_time(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def checked_id(raw: bytes, field_name: str, size: int) -> bytes:
    """Raises SpanError unless the id has `size` bytes that are not all zero."""
    if len(raw) != size:
        raise SpanError(f"the {field_name} has {len(raw)} bytes instead of {size}", "id")
    if not any(raw):
        raise SpanError(f"the {field_name} is all zeros", "id")
    return raw


@lru_cache(maxsize=1024)
def read_trace_id(raw: bytes) -> UUID:
    """Raises SpanError."""
    return UUID(bytes=checked_id(raw, "trace id", 16))


def read_span_id(raw: bytes, field_name: str = "span id") -> int:
    """Read a signed integer. Raises SpanError."""
    return int.from_bytes(checked_id(raw, field_name, 8), "big", signed=True)


def read_parent_id(raw: bytes) -> int | None:
    """Returns None for an empty or zero id. Raises SpanError."""
    return read_span_id(raw, "parent span id") if any(raw) else None


def checked_times(start: int, end: int) -> tuple[int, int]:
    """Raises SpanError."""
    if start <= 0:
        raise SpanError("it has no start time", "time")
    if end < 0 or max(start, end) >= 1 << 64:
        raise SpanError("its times are no 64-bit nanoseconds", "time")
    return start, end


def clean(text: str) -> str:
    return _UNSTORABLE.sub("\ufffd", text)


def finite(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)


def storable(value: Any, nesting: Nesting | None = None, depth: int = 0) -> Any:
    """Parsed JSON that jsonb accepts: no NUL, surrogates or infinity; 64-bit numbers; limited depth."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, (dict, list)):
        return _storable_collection(value, nesting or Nesting(), depth)
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return str(value)
    return finite(value) if isinstance(value, float) else value


def _storable_collection(value: dict[Any, Any] | list[Any], nesting: Nesting, depth: int) -> Any:
    if depth >= nesting.limit:
        return nesting.leave_out()
    if isinstance(value, dict):
        return {clean(str(key)): storable(item, nesting, depth + 1) for key, item in value.items()}
    return [storable(item, nesting, depth + 1) for item in value]
