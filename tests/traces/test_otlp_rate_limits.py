"""How fast a key may send, and what is counted of what it sends."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, connection, transaction
from django.test import Client
from pytest_django import Settings

from catalyst.core import api_keys, key_use, operations
from catalyst.core.actor import Actor
from catalyst.core.key_use import UsageCounter
from catalyst.core.models import ApiKey, KeyHour, Project, User
from tests.traces.sent import nanoseconds, sent_span
from traces.ingest import pipeline
from traces.ingest.pipeline import IngestResult
from traces.models import Span, Unsettled

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)

type Post = Callable[..., Any]


@pytest.fixture
def key(project: Project) -> tuple[ApiKey, str]:
    key_use.usage_counter.flush()
    KeyHour.objects.all().delete()
    return ApiKey.issue(project=project, name="sdk", scopes=["ingest"])


@pytest.fixture
def post(client: Client, key: tuple[ApiKey, str]) -> Post:
    """Send spans with these ids, at a time in seconds after NOW; `ended_ago` is when they ended."""

    def post(*ids: str, at: float = 0, ended_ago: float = 1, text: str = "", content: str = "application/json") -> Any:
        now = NOW + timedelta(seconds=at)
        end = nanoseconds(now) - int(ended_ago * 10**9)
        times = {"startTimeUnixNano": str(end - 10), "endTimeUnixNano": str(end)}
        spans = [{"traceId": "ab" * 16, "spanId": each, "name": "s", **times} for each in ids]
        body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
        with time_machine.travel(now, tick=False):
            return client.post("/v1/traces", text or body, content, headers={"x-api-key": key[1]})

    return post


def span_ids(count: int, first: int = 1) -> list[str]:
    return [f"{number:016x}" for number in range(first, first + count)]


def counted(key: ApiKey | None) -> dict[str, int]:
    key_use.usage_counter.flush()
    return dict(key_use.totals(NOW - HOUR).get(key.pk if key else None, {}))


def test_it_lets_a_quiet_key_send_a_burst_then_only_its_rate(post: Post, settings: Settings) -> None:
    settings.KEY_REQUESTS_PER_SECOND = 2
    assert {post(*span_ids(1)).status_code for _ in range(20)} == {200}
    refused = post(*span_ids(1, 99))
    assert (refused.status_code, refused["Retry-After"]) == (429, "1")
    assert "requests at 2 per second" in refused.json()["message"]
    assert not Span.objects.filter(span_id=99).exists()
    assert [post(*span_ids(1), at=0.5).status_code for _ in range(2)] == [200, 429]


def test_it_lets_a_large_request_in_and_waits_until_it_is_paid(post: Post, key: tuple[ApiKey, str]) -> None:
    ApiKey.objects.update(spans_per_second=5)
    assert post(*span_ids(100)).status_code == 200
    refused = post(*span_ids(1, 101), at=1)
    assert (refused.status_code, refused["Retry-After"]) == (429, "9")
    assert post(*span_ids(1, 101), at=9.9).status_code == 429
    assert post(*span_ids(1, 101), at=10.1).status_code == 200


def test_it_puts_a_keys_own_limit_before_that_of_the_instance(
    post: Post, key: tuple[ApiKey, str], settings: Settings, alice: User
) -> None:
    settings.KEY_REQUESTS_PER_SECOND = 1
    operations.limit_key(key[0], requests=100, spans=None, by=Actor(alice))
    assert {post(*span_ids(1)).status_code for _ in range(30)} == {200}


def test_it_counts_what_became_of_spans(post: Post, key: tuple[ApiKey, str]) -> None:
    post(*span_ids(3))
    post(*span_ids(3), "zz")
    post(*span_ids(2, 4), ended_ago=3600)
    assert counted(key[0]) == {"accepted": 3, "new": 5, "duplicate": 3, "bad_id": 1, "late": 2}
    assert set(KeyHour.objects.values_list("hour", flat=True)) == {NOW.replace(minute=0)}
    post(*span_ids(3))
    assert counted(key[0])["duplicate"] == 6


def test_it_counts_refusals_by_their_reason(
    post: Post, client: Client, key: tuple[ApiKey, str], settings: Settings
) -> None:
    post(text="{")
    post(content="text/plain")
    settings.MAX_REQUEST_SPANS = 1
    post(*span_ids(2))
    ApiKey.objects.update(requests_per_second=1)
    api_keys.key_cache.clear()
    for _ in range(11):
        post(*span_ids(1))
    with time_machine.travel(NOW, tick=False):
        client.post("/v1/traces", "{}", "application/json", headers={"x-api-key": "wrong"})
    found = counted(key[0])
    assert {what: found[what] for what in found if what.startswith("refused")} == {
        "refused_400": 1,
        "refused_415": 1,
        "refused_413": 1,
        "refused_429": 1,
    }
    assert counted(None) == {"refused_401": 1}


def test_it_loses_no_count_when_the_database_fails_and_none_to_a_key_that_is_gone(
    project: Project, key: tuple[ApiKey, str]
) -> None:
    counter = UsageCounter()
    counter.count(key[0].pk, {"new": 2}, NOW)
    counter.count(10**9, {"new": 7}, NOW)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_keyhour RENAME TO away")
    with pytest.raises(DatabaseError), transaction.atomic():
        counter.flush()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE away RENAME TO core_keyhour")
    counter.count(key[0].pk, {"new": 1}, NOW)
    counter.flush()
    assert list(KeyHour.objects.values_list("key", "count")) == [(key[0].pk, 3)]


def test_it_forgets_hours_but_no_totals(key: tuple[ApiKey, str]) -> None:
    counter = UsageCounter()
    for days in (0, 20, 30):
        counter.count(key[0].pk, {"new": 1}, NOW - timedelta(days=days))
    counter.flush()
    for _ in range(2):
        key_use.delete_expired(NOW)
    assert KeyHour.objects.count() == 2
    assert key_use.totals(key_use.TOTALS_HOUR) == {key[0].pk: {"new": 3}}
    assert key_use.totals(NOW - HOUR) == {key[0].pk: {"new": 1}}


def test_it_knows_a_span_that_comes_after_its_trace_has_settled(project: Project) -> None:
    def store(number: int) -> IngestResult:
        return pipeline.store(project.pk, [sent_span(number, start=NOW)], NOW)

    assert [store(1), store(2)] == [IngestResult(inserted=1), IngestResult(inserted=1)]
    Unsettled.objects.all().delete()
    assert [store(3), store(4)] == [IngestResult(inserted=1, late=1), IngestResult(inserted=1)]


def test_it_tells_the_senders_of_one_group_apart(project: Project) -> None:
    arrivals = [
        pipeline.read(project.pk, [sent_span(each, start=NOW) for each in numbers], NOW) for numbers in ([1, 2], [2, 3])
    ]
    assert pipeline.write(arrivals) == [IngestResult(inserted=2), IngestResult(inserted=1, duplicate=1)]
