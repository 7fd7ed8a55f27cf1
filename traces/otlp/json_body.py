"""OTLP in JSON."""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from traces.otlp.decoded import (
    MAX_LEVELS,
    MAX_SPANS,
    STATUS,
    Attributes,
    Decoded,
    DecodedSpan,
    Nesting,
    OtlpError,
    Source,
    SpanError,
    TooManySpans,
    checked_times,
    finite,
    iso_time,
    read_parent_id,
    read_span_id,
    read_trace_id,
    storable,
    with_envelope,
    with_scope,
)

MAX_JSON_OBJECTS = 4_000_000
MAX_DOCUMENT_LEVELS = 300
_HEXADECIMAL = re.compile("[0-9a-fA-F]+")
_STATUS_CODES = {
    **{str(n): name for n, name in enumerate(STATUS)},
    **{f"STATUS_CODE_{name.upper()}": name for name in STATUS},
}
_SPAN_KINDS = {
    f"SPAN_KIND_{name}": n
    for n, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}


def decode_json(body: bytes, limit: int = MAX_SPANS, levels: int = MAX_LEVELS) -> Decoded:
    """Decode up to `limit` spans with values up to `levels` deep. Raises OtlpError with the place of the error."""
    document = _load(body, limit)
    if document and "resourceSpans" not in document:
        raise OtlpError("The body has no resourceSpans; OTLP writes JSON keys in lowerCamelCase.")
    decoded = Decoded(nesting := Nesting(levels))
    for r, resource_spans in _objects(document, "resourceSpans", where="the body"):
        where = f"resourceSpans[{r}]"
        attributes = _json_enveloped(_object(resource_spans, "resource"), nesting, prefix="otel.resource.")
        groups = _objects(resource_spans, "scopeSpans", "instrumentationLibrarySpans", where=where)
        for s, scope_spans in groups:
            scope = _object(scope_spans, "scope")
            schemas = _text(resource_spans, "schemaUrl"), _text(scope_spans, "schemaUrl")
            own = with_scope(attributes, _json_attributes(scope.get("attributes"), nesting), schemas)
            source = Source(own, _text(scope, "name"), _text(scope, "version"))
            _json_spans(decoded, source, scope_spans, f"{where}.scopeSpans[{s}]", limit)
    return decoded


def _object(parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _json_spans(decoded: Decoded, source: Source, scope_spans: Attributes, where: str, limit: int) -> None:
    spans = scope_spans.get("spans") or []
    if not isinstance(spans, list):
        raise OtlpError(f"{where}.spans is no list.")
    if len(decoded.spans) + decoded.rejected + len(spans) > limit:
        raise TooManySpans(limit)
    for n, span in enumerate(spans):
        try:
            decoded.spans.append(_json_span(source, span, decoded.nesting))
        except SpanError as error:
            decoded.reject(f"{where}.spans[{n}]: {error}", error.fault)


def _load(body: bytes, limit: int) -> Attributes:
    if len(body) > MAX_JSON_OBJECTS and body.count(b"{") + body.count(b"[") > MAX_JSON_OBJECTS:
        raise TooManySpans(limit)
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
    return storable(document, Nesting(MAX_DOCUMENT_LEVELS)) if dirty else document


def _objects(parent: Attributes, *names: str, where: str) -> Iterator[tuple[int, Attributes]]:
    items: Any = next((parent[name] for name in names if parent.get(name) is not None), [])
    if not isinstance(items, list):
        raise OtlpError(f"{where}: {names[0]} is no list.")
    for n, item in enumerate(items):
        if not isinstance(item, dict):
            raise OtlpError(f"{where}: {names[0]}[{n}] is no object.")
        yield n, item


def _json_id(value: Any, field_name: str, size: int) -> bytes:
    if not isinstance(value, str):
        raise SpanError(f"the {field_name} is missing" if value is None else f"the {field_name} is no string", "id")
    try:
        raw = bytes.fromhex(value) if len(value) == 2 * size else base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != size:
        raise SpanError(_wrong_id(value, field_name, size), "id")
    return raw


def _wrong_id(value: str, field_name: str, size: int) -> str:
    if _HEXADECIMAL.fullmatch(value):
        return f"a {field_name} has {2 * size} hexadecimal digits; this one has {len(value)}"
    return f"the {field_name} {value[:40]!r} is neither {2 * size} hexadecimal digits nor {size} bytes in base64"


def _json_int(value: Any, field_name: str) -> int:
    try:
        return int(value or 0)
    except (TypeError, ValueError, OverflowError):
        raise SpanError(f"{field_name} {str(value)[:40]!r} is no integer", "time") from None


def _json_value(value: Any, nesting: Nesting, depth: int = 0) -> Any:
    if not isinstance(value, dict) or len(value) != 1:
        return None if value == {} else storable(value, nesting, depth)
    ((which, content),) = value.items()
    if which == "stringValue":
        return content if isinstance(content, str) else str(content)
    if which == "arrayValue":
        return _json_list(content, nesting, depth)
    if which == "kvlistValue":
        return _json_map(content, nesting, depth)
    return _json_scalar(value, which, content, nesting, depth)


def _json_scalar(value: Any, which: str, content: Any, nesting: Nesting, depth: int) -> Any:
    if which == "intValue":
        return _number(int, content)
    if which == "doubleValue":
        return _double(content)
    return storable(content if which in ("boolValue", "bytesValue") else value, nesting, depth)


def _double(content: Any) -> Any:
    number = _number(float, content)
    return finite(number) if isinstance(number, float) else number


def _json_list(content: Any, nesting: Nesting, depth: int) -> Any:
    if depth >= nesting.limit:
        return nesting.leave_out()
    return [_json_value(item, nesting, depth + 1) for item in _items(content, nesting)]


def _json_map(content: Any, nesting: Nesting, depth: int) -> Any:
    if depth >= nesting.limit:
        return nesting.leave_out()
    pairs = [item for item in _items(content, nesting) if isinstance(item, dict) and "key" in item]
    return {str(pair["key"]): _json_value(pair.get("value"), nesting, depth + 1) for pair in pairs}


def _items(content: Any, nesting: Nesting) -> list[Any]:
    items = content.get("values") if isinstance(content, dict) else content
    if isinstance(items, list):
        return items
    nesting.unreadable += items is not None
    return []


def _number(cast: type[int] | type[float], content: Any) -> Any:
    try:
        number = cast(content)
    except (TypeError, ValueError, OverflowError):
        return str(content)
    return number if cast is float or -(1 << 63) <= number < 1 << 63 else str(number)


def _json_attributes(pairs: Any, nesting: Nesting) -> Attributes:
    attributes: Attributes = {}
    if not isinstance(pairs, list):
        nesting.unreadable += pairs is not None
        return attributes
    for pair in pairs:
        if isinstance(pair, dict) and "key" in pair:
            attributes[str(pair["key"])] = _json_value(pair.get("value"), nesting)
        else:
            nesting.unreadable += 1
    return attributes


def _json_span(source: Source, span: Any, nesting: Nesting) -> DecodedSpan:
    if not isinstance(span, dict):
        raise SpanError("it is no object")
    start, end = checked_times(
        _json_int(span.get("startTimeUnixNano"), "startTimeUnixNano"),
        _json_int(span.get("endTimeUnixNano"), "endTimeUnixNano"),
    )
    status, message = _json_status(span.get("status"), nesting)
    parent, kind = span.get("parentSpanId"), span.get("kind")
    return DecodedSpan(
        source,
        read_trace_id(_json_id(span.get("traceId"), "trace id", 16)),
        read_span_id(_json_id(span.get("spanId"), "span id", 8)),
        read_parent_id(_json_id(parent, "parent span id", 8)) if parent else None,
        str(span.get("name") or ""),
        _SPAN_KINDS.get(str(kind), kind if isinstance(kind, int) and 0 <= kind <= 5 else 0),
        start,
        end,
        status,
        message,
        _json_enveloped(span, nesting),
        [_json_event(item, nesting) for item in _list(span, "events", nesting)],
        [_json_link(item, nesting) for item in _list(span, "links", nesting)],
    )


def _json_status(status: Any, nesting: Nesting) -> tuple[str, str]:
    """The name of the status and its message."""
    if not status:
        return "unset", ""
    code = status.get("code") or 0 if isinstance(status, dict) else status
    name = _STATUS_CODES.get(str(code))
    # A later OTLP may have further numbers.
    if not isinstance(status, dict) or (name is None and not isinstance(code, int)):
        nesting.misshapen += 1
    return name or "unset", str(status.get("message") or "") if isinstance(status, dict) else ""


def _list(span: Attributes, name: str, nesting: Nesting) -> list[Attributes]:
    items = span.get(name)
    if not items:
        return []
    found = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    nesting.misshapen += len(items) - len(found) if isinstance(items, list) else 1
    return found


def _json_event(event: Attributes, nesting: Nesting) -> dict[str, Any]:
    try:
        time = iso_time(int(event.get("timeUnixNano") or 0) % (1 << 64))
    except (TypeError, ValueError, OverflowError):
        time = ""
    return {
        "name": str(event.get("name") or ""),
        "time": time,
        "attributes": _json_enveloped(event, nesting),
    }


def _json_link(link: Attributes, nesting: Nesting) -> dict[str, Any]:
    ids = {}
    for key, name, size in (("trace_id", "traceId", 16), ("span_id", "spanId", 8)):
        try:
            ids[key] = _json_id(link.get(name), name, size).hex()
        except SpanError:
            ids[key] = ""
    return {**ids, "attributes": _json_enveloped(link, nesting)}


def _json_enveloped(part: Attributes, nesting: Nesting, prefix: str = "otel.") -> Attributes:
    """The attributes of a span, event, link or resource, with what it says of them elsewhere."""
    attributes = _json_attributes(part.get("attributes"), nesting)
    dropped = _dropped(part, "Attributes"), _dropped(part, "Events"), _dropped(part, "Links")
    return with_envelope(attributes, dropped, _text(part, "traceState"), prefix)


def _dropped(part: Attributes, what: str) -> int:
    count = part.get(f"dropped{what}Count")
    if not count:
        return 0
    # JSON of protobuf may have numbers as text.
    number = int(count) if isinstance(count, str) and count.isdecimal() and len(count) <= 10 else count
    return number if isinstance(number, int) and 0 < number < 1 << 32 else 0


def _text(part: Attributes, name: str) -> str:
    return str(part.get(name) or "")
