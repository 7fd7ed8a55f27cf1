"""POST /v1/metrics and /v1/logs: dropped with an answer that SDKs take for success."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from catalyst.core import key_use
from catalyst.core.models import ApiKey, Project

PROTOBUF, JSON = "application/x-protobuf", "application/json"
NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
ANSWERS: dict[str, Any] = {"metrics": ExportMetricsServiceResponse, "logs": ExportLogsServiceResponse}
PATHS = [f"/{prefix}{signal}" for signal in ANSWERS for prefix in ("v1/", "otel/v1/", "v1/otel/v1/")]

type Post = Callable[..., Any]


@pytest.fixture
def key(project: Project) -> tuple[ApiKey, str]:
    key_use.usage_counter.flush()
    return ApiKey.issue(project=project, name="sdk", scopes=["ingest"])


@pytest.fixture
def post(client: Client, key: tuple[ApiKey, str]) -> Post:
    def post(path: str, content_type: str = JSON, body: bytes = b"unread", at: datetime = NOW, **headers: str) -> Any:
        with time_machine.travel(at, tick=False):
            return client.post(path, body, content_type, headers={"x-api-key": key[1], **headers})

    return post


@pytest.mark.parametrize("path", PATHS)
def test_it_drops_what_it_does_not_store_and_says_so(post: Post, path: str) -> None:
    told = post(path)
    assert (told.status_code, told["Content-Type"]) == (200, JSON)
    assert "stores traces only" in told.json()["partialSuccess"]["errorMessage"]
    assert told.json()["partialSuccess"].keys() == {"errorMessage"}
    assert (post(path).status_code, post(path).json()) == (200, {})


@pytest.mark.parametrize("signal", ANSWERS)
def test_it_answers_in_protobuf(post: Post, signal: str) -> None:
    response = post(f"/v1/{signal}", PROTOBUF)
    assert (response.status_code, response["Content-Type"]) == (200, PROTOBUF)
    told = ANSWERS[signal].FromString(response.content)
    assert "OTEL_METRICS_EXPORTER=none" in told.partial_success.error_message
    assert not ANSWERS[signal].FromString(post(f"/v1/{signal}", PROTOBUF).content).HasField("partial_success")


def test_it_says_so_once_per_key_and_hour(client: Client, post: Post, project: Project) -> None:
    def is_told(response: Any) -> bool:
        return "partialSuccess" in response.json()

    end_of_hour = NOW.replace(minute=59)
    assert [is_told(post("/v1/metrics")), is_told(post("/v1/logs"))] == [True, False]
    assert not is_told(post("/v1/metrics", at=end_of_hour))
    assert is_told(post("/v1/metrics", at=end_of_hour + timedelta(minutes=1)))
    _, other = ApiKey.issue(project=project, name="another", scopes=["ingest"])
    assert is_told(post("/v1/metrics", **{"x-api-key": other}))


@pytest.mark.parametrize("path", ["/v1/metrics", "/v1/logs"])
def test_it_refuses_as_traces_are_refused(client: Client, post: Post, project: Project, path: str) -> None:
    refused = post(path, PROTOBUF, **{"x-api-key": "wrong"})
    assert refused.status_code == 401
    assert "unknown" in Status.FromString(refused.content).message
    _, reader = ApiKey.issue(project=project, name="reader", scopes=["read"])
    assert post(path, **{"x-api-key": reader}).status_code == 403
    assert client.get(path).status_code == 405
    ApiKey.objects.update(requests_per_second=1)
    assert [post(path, at=NOW + timedelta(minutes=1)).status_code for _ in range(11)] == [200] * 10 + [429]


def test_it_counts_them(post: Post, key: tuple[ApiKey, str]) -> None:
    post("/v1/metrics")
    post("/v1/logs")
    key_use.usage_counter.flush()
    assert key_use.totals(NOW - timedelta(hours=1))[key[0].pk] == {"dropped": 2}
