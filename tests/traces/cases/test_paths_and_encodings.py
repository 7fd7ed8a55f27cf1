"""Where exporters post, and in what form, beside the one right way."""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from django.test import Client
from google.rpc.status_pb2 import Status

from tests.traces.cases.door import knock, told
from tests.traces.cases.sender import JSON, Sender, body_of, span

pytestmark = [pytest.mark.real_clock, pytest.mark.django_db]

PROTOBUF = "application/x-protobuf"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/traces",
        "/v1/traces/",
        "//v1/traces",
        "//v1//traces",
        "/v1/traces//",
        "/otel/v1/traces",
        "/otel/v1/traces/",
        "/v1/otel/v1/traces",
        "/api/public/otel/v1/traces",
        "/api/otel/v1/traces",
        "/otlp/v1/traces",
        "/opik/api/v1/private/otel/v1/traces",
        "/v1/traces?source=sdk",
        "/projects/7/v1/traces",
    ],
)
def test_traces_are_taken(sender: Sender, path: str) -> None:
    body = json.dumps(body_of([span()])).encode()
    assert knock("POST", path, {"x-api-key": sender.key}, body).status_code == 200
    assert sender.trace.span_count == 1


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v1/trace",
        "/v1/spans",
        "/V1/TRACES",
        "/v1/traces/v1/traces",
        "/api/public/ingestion",
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        "/api/v2/spans",
        "/v1/v1",
    ],
)
@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_another_path_is_refused_in_words_for_the_sender(sender: Sender, path: str, content_type: str) -> None:
    body = json.dumps(body_of([span()])).encode() if content_type == JSON else b""
    response = knock("POST", path, {"x-api-key": sender.key}, body, content_type)
    assert (response.status_code, response["Content-Type"]) == (404, content_type)
    message = told(response)["message"] if content_type == JSON else Status.FromString(response.content).message
    assert "/v1/traces" in message


@pytest.mark.parametrize(
    "path", ["/v1/metrics", "/v1/logs", "/v1/metrics/", "//v1/logs", "/otel/v1/logs", "/api/public/otel/v1/metrics"]
)
@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_other_signals_are_dropped_without_an_error(sender: Sender, path: str, content_type: str) -> None:
    body = b"{}" if content_type == JSON else b""
    response = knock("POST", path, {"x-api-key": sender.key}, body, content_type)
    assert (response.status_code, response["Content-Type"]) == (200, content_type)


@pytest.mark.parametrize("path", ["/v1/profiles", "/v1development/profiles"])
def test_profiles_are_refused_in_otlps_form(sender: Sender, path: str) -> None:
    response = knock("POST", path, {"x-api-key": sender.key}, b"{}")
    assert (response.status_code, response["Content-Type"]) == (404, JSON)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "PATCH"])
@pytest.mark.parametrize("path", ["/v1/traces", "/v1/metrics", "/otel/v1/traces"])
def test_another_method_is_not_allowed(sender: Sender, path: str, method: str) -> None:
    assert knock(method, path, {"x-api-key": sender.key}).status_code == 405


PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "GZip": ("GZip", gzip.compress),
    "gzip with spaces": (" gzip ", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", lambda body: zlib.compress(body, wbits=-15)),
    "zstd": ("zstd", zstandard.compress),
    "none": ("none", bytes),
    "NONE": ("NONE", bytes),
    "identity": ("identity", bytes),
    "empty": ("", bytes),
}


@pytest.mark.parametrize(("encoding", "pack"), PACKED.values(), ids=PACKED)
def test_it_unpacks(sender: Sender, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    body = pack(json.dumps(body_of([span()])).encode())
    response = sender.post(body, **{"Content-Encoding": encoding})
    assert response.status_code == 200, response.content
    assert sender.trace.span_count == 1


@pytest.mark.parametrize("encoding", ["br", "snappy", "lz4", "gzip, br", "compress"])
def test_an_encoding_that_it_does_not_read_is_named(sender: Sender, encoding: str) -> None:
    response = sender.post(b"?", **{"Content-Encoding": encoding})
    assert response.status_code == 415
    assert "gzip" in response.json()["message"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("body", [b"not packed", b"{}"])
def test_a_body_that_is_not_packed_as_it_says_is_refused_in_words(sender: Sender, encoding: str, body: bytes) -> None:
    response = knock("POST", "/v1/traces", {"x-api-key": sender.key, "Content-Encoding": encoding}, body)
    assert response.status_code == 400
    assert encoding in told(response)["message"] or "compress" in told(response)["message"]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/json;charset=UTF-8",
        "application/x-protobuf",
        "application/x-protobuf; version=1",
    ],
)
def test_it_takes_the_usual_content_types(sender: Sender, content_type: str) -> None:
    body = json.dumps(body_of([span()])).encode() if "json" in content_type.lower() else b""
    response = knock("POST", "/v1/traces", {"x-api-key": sender.key}, body, content_type)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/html",
        "application/grpc",
        "multipart/form-data",
        "application/x-ndjson",
        "application/json-lines",
    ],
)
def test_another_content_type_is_named(sender: Sender, client: Client, content_type: str) -> None:
    response = client.post("/v1/traces", b"x", content_type, headers={"x-api-key": sender.key})
    assert response.status_code == 415
    assert b"protobuf" in response.content


IDS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "64 bits": ({"traceId": "0123456789abcdef"}, ("16", "32", "digits")),
    "31 digits": ({"traceId": "0" * 30 + "1"}, ("31", "32", "digits")),
    "33 digits": ({"traceId": "1" * 33}, ("33", "32", "digits")),
    "a UUID": ({"traceId": "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"}, ("32",)),
    "with 0x": ({"traceId": "0x4bf92f3577b34da6a3ce929d0e0e4736"}, ("32",)),
    "zeros": ({"traceId": "0" * 32}, ("trace id",)),
    "no digits": ({"traceId": "z" * 32}, ("32",)),
    "empty": ({"traceId": ""}, ("trace id",)),
    "a number": ({"traceId": 7}, ("trace id",)),
    "span of 32 digits": ({"spanId": "ab" * 16}, ("32", "16", "digits")),
    "span of 8 digits": ({"spanId": "abcdef12"}, ("8", "16", "digits")),
    "span of zeros": ({"spanId": "0" * 16}, ("span id",)),
    "no span id": ({"spanId": ""}, ("span id",)),
}


@pytest.mark.parametrize(("fields", "words"), IDS.values(), ids=IDS)
def test_a_wrong_id_is_told_in_digits(sender: Sender, fields: dict[str, Any], words: tuple[str, ...]) -> None:
    answer = sender.send(span(**fields))
    message = answer["partialSuccess"]["errorMessage"]
    assert all(word in message for word in words), message
    assert "bytes" not in message or "base64" in message
    assert int(answer["partialSuccess"]["rejectedSpans"]) == 1


@pytest.mark.parametrize(
    "trace_id",
    ["4bf92f3577b34da6a3ce929d0e0e4736", "4BF92F3577B34DA6A3CE929D0E0E4736", "S/kvNXezTaajzpKdDg5HNg=="],
)
def test_it_reads_ids_in_either_case_and_in_base64(sender: Sender, trace_id: str) -> None:
    assert sender.send(span(traceId=trace_id)) == {}
    assert sender.trace.hex_id == "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize("parent", ["", None, "0" * 16, "0000000000000000"])
def test_no_parent_makes_a_root(sender: Sender, parent: Any) -> None:
    assert sender.send(span(name="the root", parentSpanId=parent)) == {}
    assert (sender.trace.name, sender.row().parent_id) == ("the root", None)


@pytest.mark.parametrize("body", [b"", b"  ", b"null", b"[]", b"{", b"{}}", b'"text"', b"\xff", b"\xef\xbb\xbf{}"])
def test_an_odd_body_is_answered_in_otlps_form(sender: Sender, body: bytes) -> None:
    response = knock("POST", "/v1/traces", {"x-api-key": sender.key}, body)
    assert response.status_code in {200, 400}
    assert told(response) == {} or told(response)["message"]
