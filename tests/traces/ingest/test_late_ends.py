"""An end that can't be meant leaves its span open, and the sender and the page say so."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from catalyst.core.models import ApiKey, Project
from tests.page import Page
from tests.traces.sent import SECOND, nanoseconds
from traces.models import AgentHourLatency, Span, Trace

TRACE, SPAN = "ab" * 16, "cd" * 8
DAY = 86_400 * SECOND
START = nanoseconds(datetime(2026, 11, 20, 12, tzinfo=UTC))
FOREVER = 2**64 - 1
OPEN = "Stored, but 1 spans are open: their end is more than 366 days after their start"

type Post = Callable[..., Any]


@pytest.fixture
def key(project: Project) -> str:
    return ApiKey.issue(project=project, name="sdk", scopes=["ingest"])[1]


@pytest.fixture
def post(client: Client, key: str) -> Post:
    def post(start: int, end: int) -> Any:
        span = {"traceId": TRACE, "spanId": SPAN, "startTimeUnixNano": str(start), "endTimeUnixNano": str(end)}
        body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
        response = client.post("/v1/traces", body, "application/json", headers={"x-api-key": key})
        assert response.status_code == 200
        return response.json().get("partialSuccess", {})

    return post


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (START, FOREVER),
        (START, START + 366 * DAY + 1),
        # A start in milliseconds with an end in nanoseconds.
        (START // 10**6, START),
        (1, FOREVER),
    ],
)
def test_an_end_that_can_not_be_meant_leaves_the_span_open(post: Post, start: int, end: int) -> None:
    assert post(start, end) == {"errorMessage": OPEN}
    trace = Trace.objects.get()
    assert Span.objects.get().duration_us is None
    assert (trace.root_ended, trace.duration_us, trace.end_time) == (False, 0, trace.start_time)
    assert [row.bucket for row in AgentHourLatency.objects.all()] == [0]


@pytest.mark.parametrize(
    ("start", "end", "duration"),
    [
        (START, 0, None),
        (START, START, 0),
        # Clocks are set back now and then.
        (START, START - SECOND, 0),
        (START, START // 10**6, 0),
        (START, START + 366 * DAY, 366 * 86_400_000_000),
        (START // 10**6, START // 10**6 + 2_000_000, 2_000),
        (FOREVER, FOREVER, 0),
        (FOREVER, 0, None),
    ],
)
def test_any_other_end_is_taken_as_before(post: Post, start: int, end: int, duration: int | None) -> None:
    assert post(start, end) == {}
    assert Span.objects.get().duration_us == duration
    assert Trace.objects.get().root_ended == (duration is not None)


def test_a_start_that_is_missing_is_refused(post: Post) -> None:
    assert "it has no start time" in post(0, START)["errorMessage"]
    assert not Trace.objects.exists()


def test_the_right_end_takes_its_place(post: Post) -> None:
    post(START, FOREVER)
    assert post(START, START + SECOND) == {}
    assert post(START, FOREVER) == {"errorMessage": OPEN}
    assert Trace.objects.get().duration_us == 1_000_000


def test_protobuf_says_it_too(client: Client, key: str) -> None:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number, end in ((1, FOREVER), (2, START + SECOND), (3, FOREVER)):
        spans.add(
            trace_id=b"t" * 16,
            span_id=number.to_bytes(8, "big"),
            start_time_unix_nano=START,
            end_time_unix_nano=end,
        )
    body = request.SerializeToString()
    response = client.post("/v1/traces", body, "application/x-protobuf", headers={"x-api-key": key})
    answer = ExportTraceServiceResponse.FromString(response.content).partial_success
    assert (answer.rejected_spans, answer.error_message) == (0, OPEN.replace("1 spans", "2 spans"))
    assert dict(Span.objects.values_list("span_id", "duration_us")) == {1: None, 2: 1_000_000, 3: None}


def test_the_page_of_the_span_shows_the_end_that_was_sent(post: Post, browser: Client, project: Project) -> None:
    post(nanoseconds(timezone.now()) - SECOND, FOREVER)
    page = Page(browser.get(f"/p/{project.slug}/traces/{TRACE}/?span={SPAN}").text)
    assert "its end, 2554-07-21T23:34:33.709551615Z, is more than 366 days after its start" in page.text
    assert "still open" in page.text
