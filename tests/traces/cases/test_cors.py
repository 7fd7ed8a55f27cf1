"""Browsers as senders: preflights and the pages that a key lists."""

from typing import Any

import pytest
from django.test import Client

from catalyst.core.models import ApiKey, Project
from catalyst.core.origins import origin_cache
from tests.traces.cases.door import knock
from tests.traces.cases.sender import JSON

pytestmark = [pytest.mark.real_clock, pytest.mark.django_db]

APP = "https://app.example.com"


@pytest.fixture
def key(project: Project) -> str:
    origin_cache.clear()
    listed = [APP, "http://localhost:5173"]
    return ApiKey.issue(project=project, name="web", scopes=["ingest"], origins=listed)[1]


def preflight(path: str = "/v1/traces", origin: str = APP, **headers: str) -> Any:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "authorization,content-type"
    return knock("OPTIONS", path, asked | headers)


def allowed(response: Any) -> bool:
    return response.status_code in {200, 204} and "Access-Control-Allow-Origin" in response


@pytest.mark.parametrize(
    "path",
    [
        "/v1/traces",
        "/v1/traces/",
        "//v1/traces",
        "/otel/v1/traces",
        "/api/public/otel/v1/traces",
        "/v1/metrics",
        "/v1/logs",
    ],
)
def test_a_preflight_is_answered_where_a_post_is(key: str, path: str) -> None:
    answer = preflight(path)
    assert allowed(answer)
    assert answer["Access-Control-Allow-Origin"] == APP
    posted = knock("POST", path, {"x-api-key": key, "Origin": APP}, b"{}")
    assert (posted.status_code, posted["Access-Control-Allow-Origin"]) == (200, APP)


@pytest.mark.parametrize(
    "asked", ["x-api-key", "authorization, content-type, content-encoding", "traceparent,baggage", "X-Custom"]
)
def test_a_preflight_allows_the_headers_of_sdks(key: str, asked: str) -> None:
    answer = preflight(**{"Access-Control-Request-Headers": asked})
    listed = {name.strip().lower() for name in answer["Access-Control-Allow-Headers"].split(",")}
    assert {name.strip().lower() for name in asked.split(",")} <= listed


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://evil.example/https://app.example.com",
        "null",
        "*",
        "http://localhost:3000",
        "file://",
    ],
)
def test_no_other_page_may_send(client: Client, key: str, origin: str) -> None:
    assert not allowed(preflight(origin=origin))
    posted = client.post("/v1/traces", b"{}", JSON, headers={"x-api-key": key, "Origin": origin})
    assert posted.status_code == 403


@pytest.mark.parametrize("origin", ["HTTPS://APP.EXAMPLE.COM", "https://App.Example.com"])
def test_an_origin_in_capitals_is_no_trouble(client: Client, key: str, origin: str) -> None:
    assert client.post("/v1/traces", b"{}", JSON, headers={"x-api-key": key, "Origin": origin}).status_code in {
        200,
        403,
    }


def test_the_answer_is_kept_apart_for_each_page(client: Client, key: str) -> None:
    assert "origin" in preflight()["Vary"].lower()
    posted = client.post("/v1/traces", b"{}", JSON, headers={"x-api-key": key, "Origin": APP})
    assert "origin" in posted["Vary"].lower()


@pytest.mark.parametrize(
    ("body", "content_type", "headers", "status"),
    [
        (b"{", JSON, {}, 400),
        (b"{}", "text/plain", {}, 415),
        (b"{}", JSON, {"Content-Encoding": "br"}, 415),
        (b"{}", JSON, {"x-api-key": "cat_unknown"}, 401),
    ],
)
def test_a_page_can_read_why_it_was_refused(
    client: Client, key: str, body: bytes, content_type: str, headers: dict[str, str], status: int
) -> None:
    posted = client.post("/v1/traces", body, content_type, headers={"x-api-key": key, "Origin": APP, **headers})
    assert (posted.status_code, posted["Access-Control-Allow-Origin"]) == (status, APP)


def test_no_cookie_is_ever_allowed(key: str) -> None:
    assert "Access-Control-Allow-Credentials" not in preflight()


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_a_preflight_for_another_method_allows_posts_alone(key: str, method: str) -> None:
    answer = preflight(**{"Access-Control-Request-Method": method})
    assert method not in answer.get("Access-Control-Allow-Methods", "")
