"""OTLP in protobuf. The speed of ingest depends on this module."""

import base64
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

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
    clean,
    finite,
    iso_time,
    read_parent_id,
    read_span_id,
    read_trace_id,
    with_envelope,
    with_scope,
)


def decode_protobuf(body: bytes, limit: int = MAX_SPANS, levels: int = MAX_LEVELS) -> Decoded:
    """Decode up to `limit` spans with values up to `levels` deep. Raises OtlpError."""
    request = _request(body)
    if sum(len(group.spans) for resource in request.resource_spans for group in resource.scope_spans) > limit:
        raise TooManySpans(limit)
    decoded = Decoded(nesting := Nesting(levels))
    for resource_spans in request.resource_spans:
        resource = resource_spans.resource
        attributes = _proto_attributes(resource.attributes, nesting)
        attributes = with_envelope(attributes, (resource.dropped_attributes_count, 0, 0), prefix="otel.resource.")
        for scope_spans in resource_spans.scope_spans:
            scope = scope_spans.scope
            own = _proto_attributes(scope.attributes, nesting)
            schemas = clean(resource_spans.schema_url), clean(scope_spans.schema_url)
            source = Source(with_scope(attributes, own, schemas), clean(scope.name), clean(scope.version))
            _proto_spans(decoded, source, scope_spans.spans)
    return decoded


def _request(body: bytes) -> Any:
    try:
        return ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        if "MaxDepth" in str(error):
            text = "A value in the body is nested deeper than protobuf can be read: about 30 objects in each other."
        else:
            text = f"The body is no OTLP ExportTraceServiceRequest in protobuf ({error})."
        raise OtlpError(text) from error


def _proto_spans(decoded: Decoded, source: Source, spans: Any) -> None:
    for span in spans:
        try:
            decoded.spans.append(_proto_span(source, span, decoded.nesting))
        except SpanError as error:
            decoded.reject(f"span {clean(span.name)[:80]!r}: {error}", error.fault)


def _proto_text(text: str) -> str:
    return clean(text) if "\x00" in text else text  # protobuf has no surrogates


def _proto_value(value: Any, nesting: Nesting, depth: int = 0) -> Any:
    which = value.WhichOneof("value")
    if which == "string_value":
        return _proto_text(value.string_value)
    if which == "double_value":
        return finite(value.double_value)
    if which == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if which == "array_value":
        return _proto_list(value.array_value.values, nesting, depth)
    if which == "kvlist_value":
        return _proto_map(value.kvlist_value.values, nesting, depth)
    return getattr(value, which) if which else None


def _proto_list(items: Any, nesting: Nesting, depth: int) -> Any:
    if depth >= nesting.limit:
        return nesting.leave_out()
    return [_proto_value(item, nesting, depth + 1) for item in items]


def _proto_map(pairs: Any, nesting: Nesting, depth: int) -> Any:
    if depth >= nesting.limit:
        return nesting.leave_out()
    return {_proto_text(pair.key): _proto_value(pair.value, nesting, depth + 1) for pair in pairs}


def _proto_attributes(pairs: Any, nesting: Nesting) -> Attributes:
    attributes: Attributes = {}
    # A slice gets all items at once; iteration gets them one by one until an IndexError.
    for pair in pairs[:]:
        key, value = pair.key, pair.value
        text = value.string_value  # empty unless the value is text, as most are
        if "\0" in key or "\0" in text:
            key, text = clean(key), clean(text)
        attributes[key] = text or _proto_value(value, nesting)
    return attributes


def _proto_enveloped(span: Any, nesting: Nesting) -> Attributes:
    attributes = _proto_attributes(span.attributes, nesting)
    if not (span.dropped_attributes_count or span.dropped_events_count or span.dropped_links_count or span.trace_state):
        return attributes
    dropped = span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count
    return with_envelope(attributes, dropped, _proto_text(span.trace_state))


def _proto_span(source: Source, span: Any, nesting: Nesting) -> DecodedSpan:
    start, end = checked_times(span.start_time_unix_nano, span.end_time_unix_nano)
    kind, status = span.kind, span.status
    return DecodedSpan(
        source,
        read_trace_id(span.trace_id),
        read_span_id(span.span_id),
        read_parent_id(span.parent_span_id),
        _proto_text(span.name),
        kind if 0 <= kind <= 5 else 0,
        start,
        end,
        STATUS[status.code] if 0 <= status.code < 3 else "unset",
        _proto_text(status.message),
        _proto_enveloped(span, nesting),
        [
            {
                "name": _proto_text(e.name),
                "time": iso_time(e.time_unix_nano),
                "attributes": with_envelope(
                    _proto_attributes(e.attributes, nesting), (e.dropped_attributes_count, 0, 0)
                ),
            }
            for e in span.events[:]
        ],
        [
            {
                "trace_id": e.trace_id.hex(),
                "span_id": e.span_id.hex(),
                "attributes": with_envelope(
                    _proto_attributes(e.attributes, nesting),
                    (e.dropped_attributes_count, 0, 0),
                    _proto_text(e.trace_state),
                ),
            }
            for e in span.links[:]
        ],
    )
