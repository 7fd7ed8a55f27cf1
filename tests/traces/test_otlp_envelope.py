"""What OTLP tells outside of attributes is kept, in both encodings."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from traces.ingest.limits import dropped_of
from traces.otlp import DecodedSpan, decode_json, decode_protobuf


def text(name: str, value: str) -> KeyValue:
    return KeyValue(key=name, value=AnyValue(string_value=value))


def request(**of_span: Any) -> ExportTraceServiceRequest:
    made = ExportTraceServiceRequest()
    resource = made.resource_spans.add()
    resource.resource.attributes.append(text("service.name", "shop"))
    scope = resource.scope_spans.add()
    scope.scope.name = "scope"
    scope.spans.add(trace_id=bytes(15) + b"1", span_id=bytes(7) + b"1", start_time_unix_nano=1, **of_span)
    return made


def as_json(body: ExportTraceServiceRequest) -> bytes:
    # OTLP's JSON has hexadecimal ids, but base64 is read, too.
    return MessageToJson(body).encode()


@pytest.fixture(params=["protobuf", "JSON"])
def decode(request: pytest.FixtureRequest) -> Callable[[ExportTraceServiceRequest], DecodedSpan]:
    def decode(body: ExportTraceServiceRequest) -> DecodedSpan:
        is_json = request.param == "JSON"
        decoded = decode_json(as_json(body)) if is_json else decode_protobuf(body.SerializeToString())
        (span,) = decoded.spans
        return span

    return decode


type Decode = Callable[[ExportTraceServiceRequest], DecodedSpan]


def test_nothing_is_added_where_nothing_is_told(decode: Decode) -> None:
    span = decode(request())
    assert (span.attributes, span.source.attributes) == ({}, {"service.name": "shop"})


def test_what_the_sender_dropped_is_kept_and_said(decode: Decode) -> None:
    span = decode(request(dropped_attributes_count=7, dropped_links_count=2, trace_state="vendor=1"))
    assert span.attributes == {
        "otel.dropped_attributes_count": 7,
        "otel.dropped_links_count": 2,
        "w3c.tracestate": "vendor=1",
    }
    assert dropped_of(span.attributes) == [
        "7 attributes were dropped by the sender",
        "2 links were dropped by the sender",
    ]


def test_the_scope_and_the_schemas_are_kept(decode: Decode) -> None:
    body = request()
    body.resource_spans[0].schema_url = "https://schema/1"
    body.resource_spans[0].resource.dropped_attributes_count = 3
    scope = body.resource_spans[0].scope_spans[0]
    scope.schema_url = "https://schema/2"
    scope.scope.attributes.append(text("tier", "scope value"))
    assert decode(body).source.attributes == {
        "service.name": "shop",
        "otel.resource.dropped_attributes_count": 3,
        "otel.scope.tier": "scope value",
        "otel.resource.schema_url": "https://schema/1",
        "otel.scope.schema_url": "https://schema/2",
    }


def test_events_and_links_keep_theirs(decode: Decode) -> None:
    body = request()
    span = body.resource_spans[0].scope_spans[0].spans[0]
    span.events.add(name="e", dropped_attributes_count=4)
    span.links.add(trace_id=bytes(15) + b"2", span_id=bytes(7) + b"2", dropped_attributes_count=5, trace_state="a=b")
    decoded = decode(body)
    assert decoded.events[0]["attributes"] == {"otel.dropped_attributes_count": 4}
    assert decoded.links[0]["attributes"] == {"otel.dropped_attributes_count": 5, "w3c.tracestate": "a=b"}


@pytest.mark.parametrize("count", [-1, "seven", "-1", None, 1.5, 1 << 40])
def test_counts_that_are_none_are_left_out(count: object) -> None:
    span = {"traceId": "1" * 32, "spanId": "1" * 16, "startTimeUnixNano": "1", "droppedAttributesCount": count}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    (decoded,) = decode_json(json.dumps(body).encode()).spans
    assert decoded.attributes == {}


def test_forged_counts_are_no_trouble() -> None:
    assert dropped_of({"otel.dropped_attributes_count": "many", "otel.dropped_links_count": None}) == []


@pytest.mark.parametrize(
    ("attributes", "unreadable"), [({"a": "b"}, 1), ("a=b", 1), ([{"a": "b"}, "c"], 2), (None, 0), ([], 0)]
)
def test_attributes_of_another_shape_are_counted(attributes: object, unreadable: int) -> None:
    span = {"traceId": "1" * 32, "spanId": "1" * 16, "startTimeUnixNano": "1", "attributes": attributes}
    decoded = decode_json(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode())
    assert (decoded.spans[0].attributes, decoded.nesting.unreadable) == ({}, unreadable)
