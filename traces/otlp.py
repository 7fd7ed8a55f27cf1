"""OTLP/HTTP bodies, protobuf and JSON, to spans as sent. Pure.

JSON comes in dialects (recorded from real SDKs): ids in hexadecimal or base64, enums as names or numbers, 64-bit
integers as strings or numbers. Source: https://opentelemetry.io/docs/specs/otlp/ and proto3's JSON mapping.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

MAX_DEPTH = 32
MAX_SPANS = 100_000
MAX_JSON_OBJECTS = 4_000_000
REASONS_KEPT = 5
STATUS = ("unset", "ok", "error")
_STATUS_CODES = {
    **{str(n): name for n, name in enumerate(STATUS)},
    **{f"STATUS_CODE_{name.upper()}": name for name in STATUS},
}
_SPAN_KINDS = {
    f"SPAN_KIND_{name}": n
    for n, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL has no NUL in text, UTF-8 no surrogates
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

type Attributes = dict[str, Any]


class OtlpError(ValueError):
    """A body that is no ExportTraceServiceRequest; the message says what is wrong and where."""


class TooManySpans(OtlpError):
    """A body with more than MAX_SPANS spans, or so many empty objects that reading them would cost gigabytes."""

    def __init__(self) -> None:
        super().__init__(f"The body has more than {MAX_SPANS:,} spans, or millions of objects. Send smaller batches.")


class SpanError(ValueError):
    """One span that can't be stored; the message says why."""


@dataclass(slots=True)
class Source:
    """Who sent some spans: resource attributes and instrumentation scope."""

    attributes: Attributes = field(default_factory=dict)
    scope_name: str = ""
    scope_version: str = ""


@dataclass(slots=True)
class SentSpan:
    """One span as sent. Times are nanoseconds since 1970; `end_ns` is 0 while it is open."""

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
    """The spans of a body, how many others can't be stored, and why the first few of them."""

    spans: list[SentSpan] = field(default_factory=list)
    rejected: int = 0
    reasons: list[str] = field(default_factory=list)

    def reject(self, reason: str) -> None:
        """Count a span that can't be stored."""
        self.rejected += 1
        if len(self.reasons) < REASONS_KEPT:
            self.reasons.append(reason)


def iso_time(nanoseconds: int) -> str:
    """ISO-8601 with all nine digits and a Z."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _id(raw: bytes, what: str, size: int) -> bytes:
    if len(raw) != size:
        raise SpanError(f"the {what} has {len(raw)} bytes instead of {size}")
    if not any(raw):
        raise SpanError(f"the {what} is all zeros")
    return raw


def _span_id(raw: bytes, what: str = "span id") -> int:
    return int.from_bytes(_id(raw, what, 8), "big", signed=True)


def _parent_id(raw: bytes) -> int | None:
    return _span_id(raw, "parent span id") if any(raw) else None


def _times(start: int, end: int) -> tuple[int, int]:
    if start <= 0:
        raise SpanError("it has no start time")
    if end < 0 or max(start, end) >= 1 << 64:
        raise SpanError("its times are no 64-bit nanoseconds")
    return start, end


def _clean(text: str) -> str:
    return _UNSTORABLE.sub("\ufffd", text)


# --- protobuf -------------------------------------------------------------------------------------------------------


def decode_protobuf(body: bytes) -> Decoded:
    """Decode a protobuf body. Raises OtlpError when it is none."""
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise OtlpError(f"The body is no OTLP ExportTraceServiceRequest in protobuf ({error}).") from error
    if sum(len(group.spans) for each in request.resource_spans for group in each.scope_spans) > MAX_SPANS:
        raise TooManySpans
    decoded = Decoded()
    for resource_spans in request.resource_spans:
        attributes = _proto_attributes(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            scope = scope_spans.scope
            source = Source(attributes, _clean(scope.name), _clean(scope.version))
            for span in scope_spans.spans:
                try:
                    decoded.spans.append(_proto_span(source, span))
                except SpanError as error:
                    decoded.reject(f"span {_clean(span.name)[:80]!r}: {error}")
    return decoded


def _proto_value(value: Any, depth: int = 0) -> Any:
    which = value.WhichOneof("value")
    if which == "string_value":
        text = value.string_value
        return text if "\x00" not in text else _clean(text)
    if which == "double_value":
        return _finite(value.double_value)
    if which == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if which in ("array_value", "kvlist_value"):
        if depth >= MAX_DEPTH:
            return "…"
        if which == "array_value":
            return [_proto_value(item, depth + 1) for item in value.array_value.values]
        return {_clean(item.key): _proto_value(item.value, depth + 1) for item in value.kvlist_value.values}
    return getattr(value, which) if which else None


def _proto_attributes(pairs: Any) -> Attributes:
    found = {pair.key: _proto_value(pair.value) for pair in pairs}
    return found if not any("\x00" in key for key in found) else {_clean(key): value for key, value in found.items()}


def _proto_span(source: Source, span: Any) -> SentSpan:
    start, end = _times(span.start_time_unix_nano, span.end_time_unix_nano)
    return SentSpan(
        source,
        UUID(bytes=_id(span.trace_id, "trace id", 16)),
        _span_id(span.span_id),
        _parent_id(span.parent_span_id),
        _clean(span.name),
        span.kind if 0 <= span.kind <= 5 else 0,
        start,
        end,
        STATUS[span.status.code] if 0 <= span.status.code < 3 else "unset",
        _clean(span.status.message),
        _proto_attributes(span.attributes),
        [
            {"name": _clean(e.name), "time": iso_time(e.time_unix_nano), "attributes": _proto_attributes(e.attributes)}
            for e in span.events
        ],
        [
            {"trace_id": e.trace_id.hex(), "span_id": e.span_id.hex(), "attributes": _proto_attributes(e.attributes)}
            for e in span.links
        ],
    )


def _finite(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)


# --- JSON -----------------------------------------------------------------------------------------------------------


def decode_json(body: bytes) -> Decoded:
    """Decode a JSON body. Raises OtlpError when it is none, with the place of the fault."""
    document = _load(body)
    if document and "resourceSpans" not in document:
        raise OtlpError("The body has no resourceSpans; OTLP writes JSON keys in lowerCamelCase.")
    decoded = Decoded()
    for r, resource_spans in _objects(document, "resourceSpans", where="the body"):
        where = f"resourceSpans[{r}]"
        resource = resource_spans.get("resource")
        attributes = _json_attributes(resource.get("attributes") if isinstance(resource, dict) else None)
        groups = _objects(resource_spans, "scopeSpans", "instrumentationLibrarySpans", where=where)
        for s, scope_spans in groups:
            scope = scope_spans.get("scope")
            scope = scope if isinstance(scope, dict) else {}
            source = Source(attributes, str(scope.get("name") or ""), str(scope.get("version") or ""))
            _json_spans(decoded, source, scope_spans, f"{where}.scopeSpans[{s}]")
    return decoded


def _json_spans(decoded: Decoded, source: Source, scope_spans: Attributes, where: str) -> None:
    spans = scope_spans.get("spans") or []
    if not isinstance(spans, list):
        raise OtlpError(f"{where}.spans is no list.")
    if len(decoded.spans) + decoded.rejected + len(spans) > MAX_SPANS:
        raise TooManySpans
    for n, span in enumerate(spans):
        try:
            decoded.spans.append(_json_span(source, span))
        except SpanError as error:
            decoded.reject(f"{where}.spans[{n}]: {error}")


def _load(body: bytes) -> Attributes:
    """The document, with text that PostgreSQL can store."""
    if body.count(b"{") + body.count(b"[") > MAX_JSON_OBJECTS:
        raise TooManySpans
    try:
        document = orjson.loads(body)
        dirty = b"\\u0000" in body
    except orjson.JSONDecodeError as error:
        try:  # orjson refuses NaN and lone surrogates, which real clients send
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise OtlpError(f"The body is no JSON: {error}.") from error
        dirty = True
    if not isinstance(document, dict):
        raise OtlpError("The body is JSON but no object with resourceSpans.")
    return storable(document, depth=-3 * MAX_DEPTH) if dirty else document


def storable(value: Any, depth: int = 0) -> Any:
    """Parsed JSON as jsonb can hold it: without NUL and surrogates, numbers of 64 bits, at most MAX_DEPTH levels."""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, (dict, list)) and depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {_clean(str(key)): storable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item, depth + 1) for item in value]
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return str(value)
    return _finite(value) if isinstance(value, float) else value


def _objects(parent: Attributes, *names: str, where: str) -> Iterator[tuple[int, Attributes]]:
    found: Any = next((parent[name] for name in names if parent.get(name) is not None), [])
    if not isinstance(found, list):
        raise OtlpError(f"{where}: {names[0]} is no list.")
    for n, item in enumerate(found):
        if not isinstance(item, dict):
            raise OtlpError(f"{where}: {names[0]}[{n}] is no object.")
        yield n, item


def _json_id(value: Any, what: str, size: int) -> bytes:
    if not isinstance(value, str):
        raise SpanError(f"the {what} is missing" if value is None else f"the {what} is no string")
    try:
        raw = bytes.fromhex(value) if len(value) == 2 * size else base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        raise SpanError(f"the {what} {value[:40]!r} is neither hexadecimal nor base64") from None
    return raw


def _json_int(value: Any, what: str) -> int:
    try:
        return int(value or 0)
    except (TypeError, ValueError, OverflowError):
        raise SpanError(f"{what} {str(value)[:40]!r} is no integer") from None


def _json_value(value: Any, depth: int = 0) -> Any:
    """An AnyValue; what is none is kept as it is, so that nothing sent is lost."""
    if not isinstance(value, dict) or len(value) != 1:
        return None if value == {} else storable(value, depth)
    ((which, content),) = value.items()
    if which == "stringValue":
        return content if isinstance(content, str) else str(content)
    if which == "intValue":
        return _number(int, content)
    if which == "doubleValue":
        number = _number(float, content)
        return _finite(number) if isinstance(number, float) else number
    if which in ("arrayValue", "kvlistValue"):
        return _json_collection(which, content, depth)
    return storable(content if which in ("boolValue", "bytesValue") else value, depth)


def _json_collection(which: str, content: Any, depth: int) -> Any:
    if depth >= MAX_DEPTH:
        return "…"
    items = content.get("values") if isinstance(content, dict) else None
    if not isinstance(items, list):
        return [] if which == "arrayValue" else {}
    if which == "arrayValue":
        return [_json_value(item, depth + 1) for item in items]
    return {str(i["key"]): _json_value(i.get("value"), depth + 1) for i in items if isinstance(i, dict) and "key" in i}


def _number(cast: type[int] | type[float], content: Any) -> Any:
    try:
        number = cast(content)
    except (TypeError, ValueError, OverflowError):
        return str(content)
    return number if cast is float or -(1 << 63) <= number < 1 << 63 else str(number)


def _json_attributes(pairs: Any) -> Attributes:
    if not isinstance(pairs, list):
        return {}
    return {str(p["key"]): _json_value(p.get("value")) for p in pairs if isinstance(p, dict) and "key" in p}


def _json_span(source: Source, span: Any) -> SentSpan:
    if not isinstance(span, dict):
        raise SpanError("it is no object")
    start, end = _times(
        _json_int(span.get("startTimeUnixNano"), "startTimeUnixNano"),
        _json_int(span.get("endTimeUnixNano"), "endTimeUnixNano"),
    )
    status = span.get("status")
    status = status if isinstance(status, dict) else {}
    parent, kind = span.get("parentSpanId"), span.get("kind")
    return SentSpan(
        source,
        UUID(bytes=_id(_json_id(span.get("traceId"), "trace id", 16), "trace id", 16)),
        _span_id(_json_id(span.get("spanId"), "span id", 8)),
        _parent_id(_json_id(parent, "parent span id", 8)) if parent else None,
        str(span.get("name") or ""),
        _SPAN_KINDS.get(str(kind), kind if isinstance(kind, int) and 0 <= kind <= 5 else 0),
        start,
        end,
        _STATUS_CODES.get(str(status.get("code")), "unset"),
        str(status.get("message") or ""),
        _json_attributes(span.get("attributes")),
        [_json_event(item) for item in _list(span, "events")],
        [_json_link(item) for item in _list(span, "links")],
    )


def _list(span: Attributes, name: str) -> list[Attributes]:
    found = span.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _json_event(event: Attributes) -> dict[str, Any]:
    try:
        time = iso_time(int(event.get("timeUnixNano") or 0) % (1 << 64))
    except (TypeError, ValueError, OverflowError):
        time = ""
    return {"name": str(event.get("name") or ""), "time": time, "attributes": _json_attributes(event.get("attributes"))}


def _json_link(link: Attributes) -> dict[str, Any]:
    ids = {}
    for key, name, size in (("trace_id", "traceId", 16), ("span_id", "spanId", 8)):
        try:
            ids[key] = _json_id(link.get(name), name, size).hex()
        except SpanError:
            ids[key] = ""
    return {**ids, "attributes": _json_attributes(link.get("attributes"))}
