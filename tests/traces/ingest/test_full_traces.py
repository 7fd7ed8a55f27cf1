"""A trace has at most so many spans. Its sender is told which ones were refused."""

import json
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from catalyst.core.key_use import usage_counter
from catalyst.core.models import ApiKey, KeyHour, Project
from tests.traces.sent import nanoseconds, sent_span
from traces.ingest import pipeline
from traces.ingest.pipeline import IngestResult, Refusal
from traces.models import Span, Trace

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _most(settings: Settings) -> None:
    settings.MAX_TRACE_SPANS = 3


def store(project: Project, now: datetime, *spans: int, trace: int = 1, **sent: Any) -> IngestResult:
    made = [sent_span(span, 1 if span > 1 else None, trace=trace, start=now, **sent) for span in spans]
    return pipeline.store(project.pk, made, now)


def full(count: int) -> dict[Refusal, int]:
    return {Refusal.FULL: count}


def stored() -> list[int]:
    return sorted(Span.objects.values_list("span_id", flat=True))


def test_a_new_trace_takes_as_many_as_it_may(project: Project, now: datetime) -> None:
    assert store(project, now, 1, 2, 3, 4, 5) == IngestResult(inserted=3, refused=full(2))
    assert (stored(), Trace.objects.get().span_count) == ([1, 2, 3], 3)


def test_a_growing_trace_takes_what_has_room(project: Project, now: datetime) -> None:
    store(project, now, 1, 2)
    assert store(project, now, 2, 3, 4) == IngestResult(inserted=1, duplicate=1, refused=full(1))
    assert (stored(), Trace.objects.get().span_count) == ([1, 2, 3], 3)


def test_a_full_trace_is_not_read(project: Project, now: datetime) -> None:
    store(project, now, 1, 2, 3)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert store(project, now, 4) == IngestResult(refused=full(1))
    assert not [query for query in queries if "FROM traces_span" in query["sql"]]
    assert Trace.objects.get().revision == 1


def test_other_traces_of_the_request_are_stored(project: Project, now: datetime) -> None:
    store(project, now, 1, 2, 3)
    spans = [sent_span(4, 1, trace=1, start=now), sent_span(1, trace=2, start=now)]
    assert pipeline.store(project.pk, spans, now) == IngestResult(inserted=1, refused=full(1))
    assert [trace.span_count for trace in Trace.objects.order_by("pk")] == [3, 1]


def test_the_sender_and_the_operator_are_told(client: Client, project: Project, now: datetime) -> None:
    key, text = ApiKey.issue(project=project, name="sdk", scopes=["ingest"])
    spans = [
        {
            "traceId": f"{1:032x}",
            "spanId": f"{span:016x}",
            "name": "a",
            "startTimeUnixNano": str(nanoseconds(now)),
        }
        for span in range(1, 6)
    ]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
    response = client.post("/v1/traces", body, "application/json", headers={"Authorization": f"Bearer {text}"})
    told = response.json()["partialSuccess"]
    assert (response.status_code, told["rejectedSpans"]) == (200, "2")
    assert "its trace has 3 spans, the most that a trace may have" in told["errorMessage"]
    usage_counter.flush()
    assert KeyHour.objects.get(key=key, what="bad_full").count == 2
