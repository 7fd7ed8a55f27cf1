"""POST /v1/traces as SDKs do it."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import zstandard
from django.db import connection
from django.test import Client
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from pytest_django import Settings

from catalyst.core.models import ApiKey, Project
from traces.models import Span, Trace

PROTOBUF, JSON = "application/x-protobuf", "application/json"
URL = "/v1/traces"
MIB = 1024 * 1024
NOW_NS = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()) * 1_000_000_000

type Post = Callable[..., Any]


@pytest.fixture
def key(project: Project) -> str:
    return ApiKey.issue(project=project, name="sdk", scopes=["ingest"])[1]


@pytest.fixture
def post(client: Client, key: str) -> Post:
    def post(body: bytes, content_type: str = PROTOBUF, url: str = URL, **headers: str) -> Any:
        return client.post(url, body, content_type, headers={"Authorization": f"Bearer {key}", **headers})

    return post


def request_with(*names: str) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number, name in enumerate(names, start=1):
        spans.add(
            trace_id=b"t" * 16,
            span_id=number.to_bytes(8, "big"),
            name=name,
            start_time_unix_nano=NOW_NS,
            end_time_unix_nano=NOW_NS + 1_000_000,
        )
    return request


def json_body(**changes: Any) -> bytes:
    span = {"traceId": "ab" * 16, "spanId": "cd" * 8, "name": "a", "startTimeUnixNano": str(NOW_NS), **changes}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


@pytest.mark.parametrize("url", ["/v1/traces", "/otel/v1/traces", "/v1/otel/v1/traces"])
def test_it_stores_spans_and_answers_in_protobuf(post: Post, project: Project, url: str) -> None:
    response = post(request_with("a", "b").SerializeToString(), url=url)
    assert response.status_code == 200
    assert response["Content-Type"] == PROTOBUF
    assert not ExportTraceServiceResponse.FromString(response.content).HasField("partial_success")
    assert Trace.objects.get(project=project).span_count == 2


def test_it_answers_in_json(post: Post) -> None:
    response = post(json_body(), JSON)
    assert (response.status_code, response["Content-Type"], response.json()) == (200, JSON, {})


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body, wbits=-15)),
        ("gzip", lambda body: gzip.compress(body[:20]) + gzip.compress(body[20:])),
        ("zstd", zstandard.compress),
        ("ZSTD", lambda body: zstandard.compress(body[:20]) + zstandard.compress(body[20:])),
        ("none", bytes),
        ("identity", bytes),
    ],
)
def test_it_unpacks(post: Post, project: Project, encoding: str, compress: Callable[[bytes], bytes]) -> None:
    response = post(compress(request_with("a").SerializeToString()), **{"Content-Encoding": encoding})
    assert response.status_code == 200
    assert Trace.objects.get(project=project).name == "a"


def test_it_takes_the_key_of_plain_opentelemetry(client: Client, key: str, project: Project) -> None:
    response = client.post(URL, request_with("a").SerializeToString(), PROTOBUF, headers={"x-api-key": key})
    assert response.status_code == 200
    assert ApiKey.objects.get(project=project).last_used_at is not None


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}])
def test_it_refuses_strangers(client: Client, project: Project, header: dict[str, str]) -> None:
    response = client.post(URL, request_with("a").SerializeToString(), PROTOBUF, headers=header)
    assert response.status_code == 401
    assert "API key" in Status.FromString(response.content).message
    assert not Trace.objects.exists()


def test_it_refuses_a_revoked_key(post: Post, project: Project, now: datetime) -> None:
    ApiKey.objects.update(revoked_at=now)
    assert post(json_body(), JSON).status_code == 401


def test_it_refuses_a_key_that_may_only_read(client: Client, project: Project) -> None:
    _, key = ApiKey.issue(project=project, name="reader", scopes=["read"])
    response = client.post(URL, json_body(), JSON, headers={"x-api-key": key})
    assert response.status_code == 403
    assert "scope ingest" in response.json()["message"]


def test_it_refuses_other_content(post: Post) -> None:
    assert post(b"a=b", "text/plain").status_code == 415
    assert post(json_body(), JSON, **{"Content-Encoding": "br"}).status_code == 415


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (b"\xff\xff\xff", PROTOBUF, "protobuf"),
        (b"{", JSON, "no JSON"),
        (b"[]", JSON, "no object"),
        (b'{"resourceSpans": 3}', JSON, "resourceSpans is no list"),
        (b'{"resourceSpans": [{"scopeSpans": [7]}]}', JSON, "resourceSpans[0]: scopeSpans[0] is no object"),
    ],
)
def test_it_says_what_is_wrong_and_where(post: Post, body: bytes, content_type: str, words: str) -> None:
    response = post(body, content_type)
    assert response.status_code == 400
    message = response.json()["message"] if content_type == JSON else Status.FromString(response.content).message
    assert words in message


GZIP, ZLIB, RAW = 31, 15, -15


def two_messages(window_bits: int) -> tuple[bytes, int]:
    """Two requests packed as one body, and where the first one ends in it."""
    packer = zlib.compressobj(wbits=window_bits)
    first = packer.compress(request_with("a").SerializeToString()) + packer.flush(zlib.Z_SYNC_FLUSH)
    return first + packer.compress(request_with("a", "b").SerializeToString()) + packer.flush(), len(first)


@pytest.mark.parametrize(("encoding", "window_bits"), [("gzip", GZIP), ("deflate", ZLIB), ("deflate", RAW)])
def test_it_refuses_a_packed_body_that_was_cut_off(post: Post, encoding: str, window_bits: int) -> None:
    body, edge = two_messages(window_bits)
    for length in (edge, 1, len(body) // 2, len(body) - 1):
        response = post(body[:length], **{"Content-Encoding": encoding})
        assert response.status_code == 400, length
        assert f"not valid {encoding}" in Status.FromString(response.content).message
    assert not Trace.objects.exists()
    assert post(body, **{"Content-Encoding": encoding}).status_code == 200


@pytest.mark.parametrize("left", [1, 9, 15])
def test_it_refuses_members_of_which_the_last_was_cut_off(post: Post, left: int) -> None:
    member = gzip.compress(request_with("a").SerializeToString())
    response = post(member + member[:left], **{"Content-Encoding": "gzip"})
    assert response.status_code == 400
    assert not Trace.objects.exists()


def test_it_refuses_a_packed_body_that_was_damaged(post: Post) -> None:
    body = bytearray(gzip.compress(request_with("a").SerializeToString()))
    body[-6] ^= 1
    assert post(bytes(body), **{"Content-Encoding": "gzip"}).status_code == 400
    assert not Trace.objects.exists()


def test_it_names_the_encodings_that_it_takes(post: Post) -> None:
    response = post(json_body(), JSON, **{"Content-Encoding": "br"})
    assert "Send gzip, zstd, deflate or no Content-Encoding." in response.json()["message"]


def zstd_stream(body: bytes, window_log: int = 20) -> bytes:
    """A frame that does not declare its size, with a checksum."""
    parameters = zstandard.ZstdCompressionParameters(window_log=window_log, write_checksum=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body", "words"),
    [
        ("gzip", b"plain", "not valid gzip"),
        ("gzip", gzip.compress(json_body(), mtime=0)[:-1], "it ends too early"),
        ("zstd", b"plain", "not valid zstd"),
        ("zstd", zstd_stream(json_body())[:-1], "it ends too early"),
        ("zstd", zstd_stream(json_body())[:-9], "it ends too early"),
        ("zstd", zstd_stream(json_body()) + zstd_stream(json_body())[:5], "it ends too early"),
        ("zstd", zstd_stream(json_body()) + b"more", "not valid zstd"),
        ("zstd", zstd_stream(json_body(), window_log=24), "too much memory"),
    ],
)
def test_it_refuses_what_is_not_compressed_as_it_says(post: Post, encoding: str, body: bytes, words: str) -> None:
    response = post(body, JSON, **{"Content-Encoding": encoding})
    assert response.status_code == 400
    assert words in response.json()["message"]
    assert not Span.objects.exists()


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("zstd", zstd_stream), ("zstd", zstandard.compress)]
)
def test_it_stops_a_bomb_at_the_limit(
    post: Post, settings: Settings, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    settings.MAX_BODY_BYTES = 1024 * 1024
    bomb = compress(b"") + compress(bytes(20 * 1024 * 1024))
    assert len(bomb) < settings.MAX_BODY_BYTES
    response = post(bomb, **{"Content-Encoding": encoding})
    assert response.status_code == 413
    assert "CATALYST_MAX_BODY_MB" in Status.FromString(response.content).message


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_takes_little_more_memory_than_the_limit(post: Post, settings: Settings, encoding: str) -> None:
    settings.MAX_BODY_BYTES = MIB
    plain = bytes(60 * MIB)
    bomb = gzip.compress(plain) if encoding == "gzip" else zlib.compress(plain)
    post(bomb, **{"Content-Encoding": encoding})
    tracemalloc.start()
    try:
        assert post(bomb, **{"Content-Encoding": encoding}).status_code == 413
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * MIB


def test_it_refuses_a_large_body(post: Post, settings: Settings) -> None:
    settings.MAX_BODY_BYTES = 1000
    assert post(b"x" * 1001).status_code == 413


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"traceId": "0123456789abcdef"}, "a trace id has 32 hexadecimal digits; this one has 16"),
        ({"traceId": "ab"}, "a trace id has 32 hexadecimal digits; this one has 2"),
        ({"traceId": "YWJj"}, "the trace id 'YWJj' is neither 32 hexadecimal digits nor 16 bytes in base64"),
        ({"traceId": "00" * 16}, "the trace id is all zeros"),
        ({"traceId": None}, "the trace id is missing"),
        ({"spanId": "zz" * 8}, "the span id 'zzzzzzzzzzzzzzzz' is neither 16 hexadecimal digits nor 8 bytes in base64"),
        ({"spanId": "ab" * 16}, "a span id has 16 hexadecimal digits; this one has 32"),
        ({"parentSpanId": "abc"}, "a parent span id has 16 hexadecimal digits; this one has 3"),
        ({"startTimeUnixNano": "0"}, "no start time"),
        ({"startTimeUnixNano": "soon"}, "no integer"),
    ],
)
def test_it_counts_bad_spans_with_the_reason_and_stores_the_good(
    post: Post, project: Project, changes: dict[str, Any], reason: str
) -> None:
    document = json.loads(json_body(**changes))
    good = json.loads(json_body())["resourceSpans"][0]
    document["resourceSpans"].append(good)
    response = post(json.dumps(document).encode(), JSON)
    assert response.status_code == 200
    partial = response.json()["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert reason in partial["errorMessage"]
    assert Span.objects.filter(project_id=project.pk).count() == 1


def test_it_stores_text_that_postgresql_has_no_place_for(post: Post, project: Project) -> None:
    body = json_body(name="nul \u0000 here", attributes=[{"key": "k\u0000", "value": {"stringValue": "\ud800 lone"}}])
    assert post(body, JSON).status_code == 200
    assert Trace.objects.get(project=project).name == "nul \ufffd here"


def test_it_keeps_the_same_bytes_in_two_projects_apart(
    client: Client, post: Post, project: Project, other_project: Project
) -> None:
    body = request_with("a").SerializeToString()
    _, other_key = ApiKey.issue(project=other_project, name="sdk", scopes=["ingest"])
    post(body)
    client.post(URL, body, PROTOBUF, headers={"x-api-key": other_key})
    changed = request_with("a")
    changed.resource_spans[0].scope_spans[0].spans[0].end_time_unix_nano += 10**9
    client.post(URL, changed.SerializeToString(), PROTOBUF, headers={"x-api-key": other_key})
    assert Trace.objects.get(project=project).duration_us == 1000
    assert Trace.objects.get(project=other_project).duration_us == 1_001_000


MINUS_FIVE, HUNDRED_THOUSAND = b"\xfb" + b"\xff" * 8 + b"\x01", b"\xa0\x8d\x06"  # as protobuf writes them
DEEP = "[" * 300 + "]" * 300


@pytest.mark.parametrize(
    "changes",
    [
        {"attributes": [{"key": "llm.input_messages", "value": {"stringValue": '[{"content":"a\\u0000b"}]'}}]},
        {"attributes": [{"key": "metadata", "value": {"stringValue": '{"lc_agent_name":"a\\u0000b"}'}}]},
        {"attributes": [{"key": "gen_ai.input.messages", "value": {"stringValue": f'[{{"parts":{DEEP}}}]'}}]},
        {"events": [{"name": "e", "timeUnixNano": "Infinity"}]},
        {"events": [{"name": "e", "timeUnixNano": float("inf")}]},
        {"kind": 10**6, "status": {"code": -5}},
    ],
)
def test_it_stores_what_is_merely_odd(post: Post, project: Project, changes: dict[str, Any]) -> None:
    response = post(json_body(**changes), JSON)
    assert (response.status_code, response.json()) == (200, {})
    assert Trace.objects.filter(project=project).count() == 1


def test_it_reads_enums_that_protobuf_does_not_know_as_unset(post: Post, project: Project) -> None:
    request = request_with("a")
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.status.MergeFromString(b"\x18" + MINUS_FIVE)
    span.MergeFromString(b"\x30" + HUNDRED_THOUSAND)
    assert post(request.SerializeToString()).status_code == 200
    stored = Span.objects.get(project_id=project.pk)
    assert (stored.status, stored.otel_kind) == ("unset", 0)


def test_it_refuses_more_spans_than_it_reads(post: Post, settings: Settings) -> None:
    settings.MAX_REQUEST_SPANS = 2
    refused = post(request_with("a", "b", "c").SerializeToString())
    assert refused.status_code == 413
    assert "CATALYST_MAX_REQUEST_SPANS" in Status.FromString(refused.content).message
    assert post(request_with("a", "b").SerializeToString()).status_code == 200
    document = json.loads(json_body())
    document["resourceSpans"] *= 3
    assert post(json.dumps(document).encode(), JSON).status_code == 413


def test_it_keeps_only_the_first_reasons(post: Post) -> None:
    spans = ",".join(["{}"] * 500)
    response = post(f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}'.encode(), JSON)
    partial = response.json()["partialSuccess"]
    assert partial["rejectedSpans"] == "500"
    assert partial["errorMessage"].endswith("and 495 more")


@pytest.mark.parametrize(
    ("encoding", "empty", "words"),
    [("gzip", gzip.compress(b"", mtime=0), "1000 members"), ("zstd", zstandard.compress(b""), "1000 frames")],
)
def test_it_refuses_a_heap_of_tiny_parts(post: Post, encoding: str, empty: bytes, words: str) -> None:
    response = post(empty * 1500, **{"Content-Encoding": encoding})
    assert response.status_code == 400
    assert words in Status.FromString(response.content).message


def test_it_asks_for_the_spans_again_when_the_database_fails(post: Post, project: Project) -> None:
    with connection.cursor() as cursor:
        cursor.execute("""
            CREATE FUNCTION pg_temp.disk_full() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END $$;
            CREATE TRIGGER disk_full BEFORE INSERT ON traces_span FOR EACH ROW EXECUTE FUNCTION pg_temp.disk_full()
        """)
    response = post(json_body(), JSON)
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert not Trace.objects.filter(project=project).exists()


def test_it_says_that_keys_are_in_camel_case(post: Post) -> None:
    response = post(b'{"resource_spans": []}', JSON)
    assert response.status_code == 400
    assert "lowerCamelCase" in response.json()["message"]


def test_it_marks_a_span_whose_clock_is_off_and_keeps_its_key(post: Post, project: Project) -> None:
    assert post(json_body(startTimeUnixNano="1000000000"), JSON).status_code == 200
    span = Span.objects.get(project_id=project.pk)
    assert span.skewed
    assert span.start_time == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_it_refuses_other_methods(client: Client) -> None:
    assert client.get(URL).status_code == 405
