"""Web pages that send spans: which origins a key lists, and what browsers are told."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.test import Client
from google.rpc.status_pb2 import Status
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from catalyst.core import operations
from catalyst.core.actor import SYSTEM
from catalyst.core.models import ApiKey, Project
from catalyst.core.origins import CACHE_LIFETIME, origin_cache

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
JSON = "application/json"
APP, OTHER_APP = "https://app.example.com", "http://localhost:5173"
PATHS = (*settings.OTLP_PATHS, *settings.OTLP_METRICS_PATHS, *settings.OTLP_LOGS_PATHS)

type Ask = Callable[..., Any]


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    origin_cache.clear()


@pytest.fixture
def key(project: Project) -> str:
    """A key that web pages of APP send with."""
    return ApiKey.issue(project=project, name="web", scopes=["ingest"], origins=[APP], last_used_at=NOW)[1]


@pytest.fixture
def preflight(client: Client) -> Ask:
    def preflight(origin: str = APP, path: str = "/v1/traces", at: datetime = NOW, **headers: str) -> Any:
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST", **headers}
        with time_machine.travel(at, tick=False):
            return client.options(path, headers=asked)

    return preflight


@pytest.fixture
def post(client: Client, key: str) -> Ask:
    def post(
        origin: str = APP, path: str = "/v1/traces", content_type: str = "application/json", **headers: str
    ) -> Any:
        with time_machine.travel(NOW, tick=False):
            sent = {"Origin": origin, "x-api-key": key, **headers}
            return client.post(path, json.dumps({"resourceSpans": []}), content_type, headers=sent)

    return post


def allows(response: Any) -> bool:
    return response.status_code == 200 and "Access-Control-Allow-Origin" in response


@pytest.mark.parametrize("path", PATHS)
def test_it_lets_browsers_send_from_an_origin_of_any_key(preflight: Ask, key: str, path: str) -> None:
    asked = "authorization,content-type,x-langfuse-sdk-name"
    response = preflight(path=f"/{path}", **{"Access-Control-Request-Headers": asked})
    assert (response.status_code, response.content) == (200, b"")
    assert {name: value for name, value in response.items() if name.startswith("Access-Control") or name == "Vary"} == {
        "Access-Control-Allow-Origin": APP,
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": asked,
        "Access-Control-Max-Age": "600",
        "Vary": "Origin, Access-Control-Request-Headers",
    }


@pytest.mark.parametrize("asked", [{}, {"Access-Control-Request-Headers": "x" * 2_000}])
def test_it_names_the_usual_headers_where_a_browser_asks_for_none(preflight: Ask, key: str, asked: Any) -> None:
    assert "content-encoding" in preflight(**asked)["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    "origin", [OTHER_APP, "null", "https://app.example.com.evil.example", "http://app.example.com"]
)
def test_it_lets_no_other_origin_send(preflight: Ask, key: str, origin: str) -> None:
    response = preflight(origin)
    assert response.status_code == 403
    assert "Access-Control-Allow-Origin" not in response
    assert f"No API key lists the origin {origin}" in response.json()["message"]


def test_an_options_request_that_is_no_preflight_is_refused_as_before(client: Client, key: str) -> None:
    assert client.options("/v1/traces").status_code == 405
    assert client.options("/v1/traces", headers={"Origin": APP}).status_code == 405


def test_preflights_cost_one_query_in_some_seconds(
    preflight: Ask, key: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        assert [allows(preflight(origin)) for origin in (APP, OTHER_APP, "null", APP)] == [True, False, False, True]
    with django_assert_num_queries(1):
        assert allows(preflight(at=NOW + CACHE_LIFETIME + timedelta(seconds=1)))


@pytest.mark.parametrize(
    "change", [{"revoked_at": NOW}, {"expires_at": NOW}, {"origins": []}, {"origins": [f"{APP}:8443"]}]
)
def test_origins_of_keys_that_do_not_work_any_more_are_forgotten(preflight: Ask, key: str, change: Any) -> None:
    assert allows(preflight())
    ApiKey.objects.update(**change)
    assert not allows(preflight(at=NOW + CACHE_LIFETIME + timedelta(seconds=1)))


def test_a_change_in_this_process_counts_at_once(
    preflight: Ask, key: str, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    row = ApiKey.objects.get()
    assert [allows(preflight(APP)), allows(preflight(OTHER_APP))] == [True, False]
    with django_capture_on_commit_callbacks(execute=True):
        operations.set_key_origins(row, origins=[OTHER_APP], by=SYSTEM)
    assert [allows(preflight(APP)), allows(preflight(OTHER_APP))] == [False, True]
    with django_capture_on_commit_callbacks(execute=True):
        operations.create_key(row.project, name="b", scopes=["ingest"], origins=[APP], by=SYSTEM)
    assert allows(preflight(APP))
    with django_capture_on_commit_callbacks(execute=True):
        operations.revoke_key(row, by=SYSTEM, now=NOW)
    assert not allows(preflight(OTHER_APP))


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/metrics"])
def test_it_takes_what_a_page_of_the_key_sends(post: Ask, path: str) -> None:
    response = post(path=path)
    assert response.status_code == 200
    assert (response["Access-Control-Allow-Origin"], response["Vary"]) == (APP, "Origin")
    assert response["Access-Control-Expose-Headers"] == "Retry-After"


def test_it_refuses_the_key_of_another_page_so_that_the_browser_shows_why(post: Ask, project: Project) -> None:
    ApiKey.issue(project=project, name="other", scopes=["ingest"], origins=[OTHER_APP])
    response = post(OTHER_APP, content_type="application/x-protobuf")
    assert response.status_code == 403
    assert response["Access-Control-Allow-Origin"] == OTHER_APP
    assert f"does not list the origin {OTHER_APP}" in Status.FromString(response.content).message


def test_a_key_without_origins_sends_from_servers_alone(post: Ask, client: Client, project: Project) -> None:
    _, server = ApiKey.issue(project=project, name="server", scopes=["ingest"])
    assert post(APP, **{"x-api-key": server}).status_code == 403
    alone = client.post("/v1/traces", "{}", "application/json", headers={"x-api-key": server})
    assert alone.status_code == 200
    assert "Access-Control-Allow-Origin" not in alone


def test_a_page_can_read_that_its_key_is_unknown(post: Ask) -> None:
    response = post(APP, **{"x-api-key": "wrong"})
    assert (response.status_code, response["Access-Control-Allow-Origin"]) == (401, APP)
