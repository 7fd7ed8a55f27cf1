"""What an API key lets a request do: authentication, scopes, expiry and limits of views for machines."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import time_machine
from django.http import HttpResponse, JsonResponse
from django.test import Client
from django.urls import include, path
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks, Settings

from catalyst.core import operations
from catalyst.core.actor import Actor
from catalyst.core.api_keys import ApiRequest, api_scope
from catalyst.core.models import ApiKey, Project, User

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SPANS = json.dumps({"resourceSpans": []})

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]


@api_scope("read")
def read(request: ApiRequest) -> HttpResponse:
    return JsonResponse({"project": request.project.slug, "actor": request.actor.name, "key": request.api_key.name})


@api_scope("write")
async def write(request: ApiRequest, number: int) -> HttpResponse:
    return JsonResponse({"project": request.project.slug, "actor": request.actor.name, "number": number})


urlpatterns = [path("read/", read), path("write/<int:number>/", write), path("", include("catalyst.urls"))]

type Issue = Callable[..., dict[str, str]]


@pytest.fixture
def issue(project: Project) -> Issue:
    """`issue(*scopes, **fields)` makes a key and returns the header that brings it."""

    def issue(*scopes: str, **fields: Any) -> dict[str, str]:
        key = ApiKey.issue(project=project, name="ci", scopes=list(scopes), **fields)[1]
        return {"Authorization": f"Bearer {key}"}

    return issue


def post_spans(client: Client, headers: dict[str, str]) -> Any:
    return client.post("/v1/traces", SPANS, "application/json", headers=headers)


def test_it_gives_a_view_the_key_with_its_project_and_actor(client: Client, issue: Issue) -> None:
    headers = issue("read", "write")
    assert client.get("/read/", headers=headers).json() == {"project": "default", "actor": "API key ci", "key": "ci"}
    assert client.get("/write/7/", headers=headers).json() == {
        "project": "default",
        "actor": "API key ci",
        "number": 7,
    }


def test_it_takes_the_key_from_either_header(client: Client, issue: Issue) -> None:
    key = issue("read")["Authorization"].removeprefix("Bearer ")
    assert client.get("/read/", headers={"Authorization": f"bearer  {key} "}).status_code == 200
    assert client.get("/read/", headers={"x-api-key": key}).status_code == 200
    assert client.get("/read/", {"api_key": key}).status_code == 401


def basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


@pytest.mark.parametrize(
    "write_header",
    [
        lambda key: key,
        lambda key: f"Bearer%20{key}",
        lambda key: quote(f"Bearer {key}"),
        lambda key: basic(f"pk-lf-anything:{key}"),
        lambda key: basic(f"{key}:"),
        basic,
        lambda key: quote(basic(f"user:{key}")),
    ],
)
def test_it_takes_the_key_as_other_products_want_it(
    client: Client, issue: Issue, write_header: Callable[[str], str]
) -> None:
    key = issue("read", "ingest")["Authorization"].removeprefix("Bearer ")
    headers = {"Authorization": write_header(key)}
    assert client.get("/read/", headers=headers).status_code == 200
    assert post_spans(client, headers).status_code == 200


def test_a_key_of_its_own_header_comes_before_the_password_of_a_proxy(client: Client, issue: Issue) -> None:
    key = issue("read")["Authorization"].removeprefix("Bearer ")
    headers = {"Authorization": basic("proxy:password"), "x-api-key": key}
    assert client.get("/read/", headers=headers).status_code == 200


SECRET = "cat_secretsecretsecret"


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "has neither the header Authorization nor x-api-key"),
        ({"x-api-key": SECRET}, "The API key in the header x-api-key is unknown or revoked"),
        ({"Authorization": f"Bearer {SECRET}"}, "The API key in the Authorization header is unknown or revoked"),
        ({"Authorization": f"Bearer%20{SECRET}"}, "in the percent-encoded Authorization header is unknown"),
        ({"Authorization": SECRET}, "in the Authorization header, which has no Bearer, is unknown"),
        ({"Authorization": basic(f"me:{SECRET}")}, "in the password of the Authorization header, which has the scheme"),
        ({"Authorization": basic(f"{SECRET}:")}, "in the user of the Authorization header"),
        ({"Authorization": basic(":")}, "the scheme Basic with neither a user nor a password"),
        ({"Authorization": f"Basic {SECRET}"}, "the scheme Basic without a user and password in base64"),
        ({"Authorization": "Bearer"}, "an Authorization header with Bearer without a key"),
        ({"Authorization": f"token {SECRET}"}, "an Authorization header with the scheme Token"),
        ({"Authorization": f"{SECRET} {SECRET}"}, "an Authorization header with another scheme than Bearer"),
    ],
)
def test_it_says_what_came_in_place_of_a_key_but_never_the_key(
    client: Client, headers: dict[str, str], words: str
) -> None:
    for refused in (client.get("/read/", headers=headers), post_spans(client, headers)):
        assert (refused.status_code, refused["WWW-Authenticate"]) == (401, "Bearer")
        assert words in refused.text
        assert "Bearer KEY" in refused.text
        assert SECRET not in refused.text


@pytest.mark.parametrize("url", ["/read/", "/write/1/"])
@pytest.mark.parametrize("headers", [{}, {"x-api-key": "cat_wrong"}, {"Authorization": "Basic YTpi"}])
def test_it_turns_strangers_away(client: Client, project: Project, url: str, headers: dict[str, str]) -> None:
    refused = client.get(url, headers=headers)
    assert (refused.status_code, refused["WWW-Authenticate"]) == (401, "Bearer")
    assert refused.json()["error"]["code"] == "unauthorized"
    assert "cat_wrong" not in refused.text


def test_a_session_does_not_stand_in_for_a_key(client_as: Callable[[User], Client], alice: User) -> None:
    assert client_as(alice).get("/read/").status_code == 401


def test_it_asks_for_no_csrf_token(issue: Issue) -> None:
    assert Client(enforce_csrf_checks=True).post("/write/1/", headers=issue("write")).status_code == 200


@pytest.mark.parametrize(("url", "scopes"), [("/read/", ["ingest", "write"]), ("/write/1/", ["ingest", "read"])])
def test_it_wants_the_scope_of_the_view(client: Client, issue: Issue, url: str, scopes: list[str]) -> None:
    refused = client.get(url, headers=issue(*scopes))
    scope = url.split("/")[1]
    assert refused.status_code == 403
    assert refused.json() == {
        "error": {"code": "forbidden", "message": f"The API key does not have the scope {scope}. Use one that has it."}
    }


def test_a_view_cannot_ask_for_a_scope_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="raed"):
        api_scope("raed")


@pytest.mark.parametrize("url", ["/read/", "/write/1/"])
def test_it_takes_a_key_until_it_expires(client: Client, issue: Issue, url: str) -> None:
    headers = issue("read", "write", expires_at=NOW)
    with time_machine.travel(NOW - SECOND / 2, tick=False):
        assert client.get(url, headers=headers).status_code == 200
    with time_machine.travel(NOW, tick=False):
        refused = client.get(url, headers=headers)
    assert refused.status_code == 401
    assert "expired on 2026-11-20 12:30 UTC" in refused.json()["error"]["message"]


def test_ingest_refuses_an_expired_key(client: Client, issue: Issue) -> None:
    headers = issue("ingest", expires_at=NOW)
    with time_machine.travel(NOW, tick=False):
        refused = post_spans(client, headers)
    assert refused.status_code == 401
    assert "expired on 2026-11-20 12:30 UTC" in refused.json()["message"]
    assert ApiKey.objects.get().last_used_at is None


def test_it_limits_requests_of_a_key_whatever_they_ask_for(client: Client, issue: Issue, settings: Settings) -> None:
    settings.KEY_REQUESTS_PER_SECOND = 1
    headers = issue("read", "write", "ingest")
    with time_machine.travel(NOW, tick=False):
        for _ in range(5):
            assert client.get("/read/", headers=headers).status_code == 200
            assert post_spans(client, headers).status_code == 200
        refused = client.get("/write/1/", headers=headers)
    assert (refused.status_code, refused["Retry-After"]) == (429, "1")
    assert refused.json()["error"]["code"] == "rate_limited"
    with time_machine.travel(NOW + SECOND, tick=False):
        assert client.get("/write/1/", headers=headers).status_code == 200


def test_a_key_that_another_process_revokes_works_for_seconds_at_most(client: Client, issue: Issue) -> None:
    headers = issue("ingest", "read")
    with time_machine.travel(NOW, tick=False):
        assert post_spans(client, headers).status_code == 200
    ApiKey.objects.revoke(NOW)
    with time_machine.travel(NOW + 5 * SECOND, tick=False):
        assert post_spans(client, headers).status_code == 401
        assert client.get("/read/", headers=headers).status_code == 401


def test_a_key_that_is_revoked_here_works_no_more(
    client: Client,
    issue: Issue,
    client_as: Callable[[User], Client],
    alice: User,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    headers = issue("ingest", "read")
    with time_machine.travel(NOW, tick=False):
        assert post_spans(client, headers).status_code == 200
        page = f"/p/default/settings/keys/{ApiKey.objects.get().pk}/revoke/"
        with django_capture_on_commit_callbacks(execute=True):
            assert client_as(alice).post(page).status_code == 302
        assert post_spans(client, headers).status_code == 401
        assert client.get("/read/", headers=headers).status_code == 401


def test_a_limit_that_is_set_here_holds_at_once(
    client: Client,
    issue: Issue,
    client_as: Callable[[User], Client],
    alice: User,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    headers = issue("read")
    with time_machine.travel(NOW, tick=False):
        assert client.get("/read/", headers=headers).status_code == 200
        page = f"/p/default/settings/keys/{ApiKey.objects.get().pk}/limit/"
        with django_capture_on_commit_callbacks(execute=True):
            assert client_as(alice).post(page, {"requests_per_second": "1"}).status_code == 302
        assert {client.get("/read/", headers=headers).status_code for _ in range(20)} == {200, 429}


def test_it_looks_a_busy_key_up_once_and_remembers_no_made_up_ones(
    client: Client, issue: Issue, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    headers = issue("read", last_used_at=NOW)
    with time_machine.travel(NOW, tick=False):
        with django_assert_num_queries(1):
            assert [client.get("/read/", headers=headers).status_code for _ in range(3)] == [200] * 3
        with django_assert_num_queries(3):
            assert [client.get("/read/", headers={"x-api-key": "wrong"}).status_code for _ in range(3)] == [401] * 3


def test_a_key_can_change_things_in_its_own_name(project: Project, issue: Issue) -> None:
    issue("write")
    operations.rename_project(project, name="Renamed", by=Actor(api_key=ApiKey.objects.get()))
    entry = project.audit_entries.get()
    key = ApiKey.objects.get()
    assert (entry.api_key, entry.actor_name) == (key, f"API key {key}")
