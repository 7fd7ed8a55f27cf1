"""Decoding: the dialects agree, and nothing makes it fail in a way of its own."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from traces.conventions.span_mapping import ResourceContext, read_span
from traces.otlp import Decoded, OtlpError, decode_json, decode_protobuf

VALUES = st.recursive(
    st.one_of(
        st.text(max_size=5).map(lambda text: {"string_value": text}),
        st.booleans().map(lambda flag: {"bool_value": flag}),
        st.integers(-(1 << 63), (1 << 63) - 1).map(lambda number: {"int_value": number}),
        st.floats(allow_nan=False, allow_infinity=False).map(lambda number: {"double_value": number}),
        st.binary(max_size=5).map(lambda raw: {"bytes_value": raw}),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: {"array_value": {"values": values}}),
        st.lists(inner, max_size=3).map(
            lambda values: {"kvlist_value": {"values": [{"key": str(n), "value": v} for n, v in enumerate(values)]}}
        ),
    ),
    max_leaves=5,
)
ATTRIBUTES = st.dictionaries(st.text(min_size=1, max_size=6), VALUES, max_size=4).map(
    lambda found: [{"key": key, "value": value} for key, value in found.items()]
)


@st.composite
def requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    scope_spans = request.resource_spans.add(resource={"attributes": draw(ATTRIBUTES)}).scope_spans.add()
    scope_spans.scope.name = draw(st.text(max_size=4))
    for number in range(1, draw(st.integers(1, 3)) + 1):
        scope_spans.spans.add(
            trace_id=draw(st.binary(min_size=16, max_size=16)),
            span_id=number.to_bytes(8, "big"),
            parent_span_id=draw(st.sampled_from([b"", bytes(8), b"parentid"])),
            name=draw(st.text(max_size=5)),
            kind=draw(st.integers(0, 5)),
            start_time_unix_nano=draw(st.integers(0, (1 << 64) - 1)),
            end_time_unix_nano=draw(st.integers(0, (1 << 64) - 1)),
            attributes=draw(ATTRIBUTES),
            status={"code": draw(st.integers(0, 2)), "message": draw(st.text(max_size=3))},
            events=[{"name": "e", "time_unix_nano": 5, "attributes": draw(ATTRIBUTES)}],
        )
    return request


def outcome(decoded: Decoded) -> tuple[list[Any], int]:
    return decoded.spans, decoded.rejected


@pytest.mark.slow
@given(requests(), st.booleans())
def test_it_reads_the_same_from_protobuf_and_both_dialects_of_json(
    request: ExportTraceServiceRequest, named_enums: bool
) -> None:
    document = MessageToDict(request, use_integers_for_enums=not named_enums)
    from_base64 = decode_json(json.dumps(document).encode())
    from_hex = decode_json(json.dumps(with_hex_ids(request, document)).encode())
    expected = decode_protobuf(request.SerializeToString())
    assert outcome(from_base64) == outcome(from_hex) == outcome(expected)


def with_hex_ids(request: ExportTraceServiceRequest, document: dict[str, Any]) -> dict[str, Any]:
    for sent, span in zip(
        request.resource_spans[0].scope_spans[0].spans,
        document["resourceSpans"][0]["scopeSpans"][0]["spans"],
        strict=True,
    ):
        span["traceId"], span["spanId"] = sent.trace_id.hex(), sent.span_id.hex()
        if "parentSpanId" in span:
            span["parentSpanId"] = sent.parent_span_id.hex()
    return document


NAMES = """resourceSpans scopeSpans spans resource scope attributes key value values stringValue intValue doubleValue
    arrayValue kvlistValue status code kind traceId spanId parentSpanId events links timeUnixNano name"""
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.slow
@given(JSON_VALUES, JSON_VALUES)
def test_it_reads_any_json_or_says_that_it_is_no_request(span: Any, top: Any) -> None:
    good = {"traceId": "ab" * 16, "spanId": "cd" * 8, "startTimeUnixNano": 5}
    changed = good | span if isinstance(span, dict) else good
    for document in (top, {"resourceSpans": [{"scopeSpans": [{"spans": [changed, span]}]}]}):
        assert complaint(decode_json, json.dumps(document).encode()) != ""


@pytest.mark.slow
@given(st.binary(max_size=200))
def test_it_reads_any_bytes_or_says_that_they_are_no_request(body: bytes) -> None:
    assert complaint(decode_protobuf, body) != ""


@pytest.mark.parametrize(("depth", "refused"), [(40, False), (900, False), (5000, True)])
def test_it_cuts_what_is_nested_too_deeply(depth: int, refused: bool) -> None:
    value = '{"arrayValue":{"values":[' * depth + '{"stringValue":"x"}' + "]}}" * depth
    span = '{"traceId":"%s","spanId":"%s","startTimeUnixNano":5,"attributes":[{"key":"k","value":%s}]}'
    body = '{"resourceSpans":[{"scopeSpans":[{"spans":[' + span % ("ab" * 16, "cd" * 8, value) + "]}]}]}"
    said = complaint(decode_json, body.encode())
    assert (said is not None) == refused
    assert not refused or "no JSON" in str(said)
    if not refused:
        for levels in (32, 64):
            decoded = decode_json(body.encode(), levels=levels)
            told = f"… [nested deeper than {levels} levels]" in str(decoded.spans[0].attributes["k"])
            assert (told, decoded.nesting.left_out) == ((True, 1) if depth > levels else (False, 0))


@pytest.mark.parametrize(("depth", "left_out"), [(64, 0), (65, 1)])
def test_it_cuts_the_deepest_that_may_be_no_earlier_where_text_must_be_cleaned(depth: int, left_out: int) -> None:
    value = '{"kvlistValue":{"values":[{"key":"k","value":' * depth + '{"stringValue":"x\\u0000"}' + "}]}}" * depth
    span = '{"traceId":"%s","spanId":"%s","startTimeUnixNano":5,"attributes":[{"key":"k","value":%s}]}'
    body = '{"resourceSpans":[{"scopeSpans":[{"spans":[' + span % ("ab" * 16, "cd" * 8, value) + "]}]}]}"
    decoded = decode_json(body.encode(), levels=64)
    assert decoded.nesting.left_out == left_out
    assert ("x\ufffd" in str(decoded.spans[0].attributes)) == (not left_out)


@pytest.mark.parametrize(("depth", "refused"), [(32, False), (47, False), (48, True), (5000, True)])
def test_it_cuts_what_is_nested_too_deeply_in_protobuf_as_far_as_that_can_be_read(depth: int, refused: bool) -> None:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.start_time_unix_nano = b"t" * 16, b"s" * 8, 5
    value = span.attributes.add(key="k").value
    for _ in range(depth):
        value = value.array_value.values.add()
    value.string_value = "x"
    said = complaint(decode_protobuf, request.SerializeToString())
    assert (said is not None) == refused
    assert not refused or "nested deeper than protobuf can be read" in str(said)
    if not refused:
        decoded = decode_protobuf(request.SerializeToString(), levels=40)
        cut = "… [nested deeper than 40 levels]" in str(decoded.spans[0].attributes)
        assert (cut, decoded.nesting.left_out) == ((True, 1) if depth > 40 else (False, 0))


def complaint(decode: Callable[[bytes], Decoded], body: bytes) -> str | None:
    """Decode and normalise; None when that went well, else what the sender is told."""
    try:
        decoded = decode(body)
    except OtlpError as error:
        return str(error)
    now = datetime(2026, 11, 20, tzinfo=UTC)
    for span in decoded.spans:
        read_span(span, ResourceContext(span.source), project_id=1, now=now, kept_since=now - timedelta(days=30))
    return None
