"""Origins of web pages that a key lists: how they are written, and under Settings."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from catalyst.core import operations
from catalyst.core.actor import SYSTEM
from catalyst.core.models import MAX_ORIGIN_CHARACTERS, MAX_ORIGINS, ApiKey, Project, User
from catalyst.core.operation_context import for_system
from catalyst.core.origins import checked_origins
from catalyst.operations import InvalidInput, find
from tests.page import Page

PAGE = "/p/default/settings/keys/"
APP, OTHER_APP = "https://app.example.com", "http://localhost:5173"


@pytest.fixture
def key(project: Project) -> ApiKey:
    return ApiKey.issue(project=project, name="web", scopes=["ingest"])[0]


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://app.example.com", "https://app.example.com"),
        (" HTTPS://App.Example.com/ ", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:80", "http://app.example.com"),
        ("http://app.example.com:0080", "http://app.example.com"),
        ("https://app.example.com:8443", "https://app.example.com:8443"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://[0:0::1]:3000", "http://[::1]:3000"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
    ],
)
def test_it_writes_origins_as_browsers_do(written: str, origin: str) -> None:
    assert checked_origins([written, origin], ["ingest"]) == [origin]


@pytest.mark.parametrize(
    "text",
    [
        *("*", "null", "app.example.com", "https://", "https://*.example.com", "https://app.example.com/path"),
        *("https://user@app.example.com", "https://app.example.com:99999", "https://app.example.com?q", "http://[::g]"),
        *("https://a b", "https://app.example.com:x", "http://[1.2.3.4]", f"https://{'ü' * 70}.example"),
    ],
)
def test_it_refuses_what_is_no_origin(text: str) -> None:
    with pytest.raises(ValidationError, match="is not an origin"):
        checked_origins([text], ["ingest"])


def test_it_bounds_origins() -> None:
    many = [f"https://{number}.example" for number in range(MAX_ORIGINS)]
    assert checked_origins(many, ["ingest"]) == many
    with pytest.raises(ValidationError, match="20 origins"):
        checked_origins([*many, APP], ["ingest"])
    with pytest.raises(ValidationError, match="200 characters"):
        checked_origins(["https://" + "a" * MAX_ORIGIN_CHARACTERS], ["ingest"])


@pytest.mark.parametrize("scopes", [["read"], ["ingest", "read"], ["write", "ingest"], []])
def test_only_keys_for_ingest_alone_may_have_origins(project: Project, scopes: list[str]) -> None:
    assert checked_origins([], scopes) == []
    with pytest.raises(ValidationError, match="Only a key for ingest alone"):
        operations.create_key(project, name="ci", scopes=scopes, origins=[APP], by=SYSTEM)
    assert not project.api_keys.exists()


def test_a_member_makes_a_key_for_web_pages(client_as: Callable[[User], Client], bob: User, project: Project) -> None:
    client = client_as(bob)
    data = {"name": "web", "scopes": ["ingest"], "origins": f"{APP}/\r\n{OTHER_APP}, {APP}"}
    shown = Page(client.post(PAGE, data).text).table("API keys").row("web")
    assert project.api_keys.get().origins == [APP, OTHER_APP]
    assert shown.headings[0] == "2 web origins"
    assert project.audit_entries.get().detail == f"for ingest from {APP}, {OTHER_APP}"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"scopes": ["ingest"], "origins": "*"}, "* is not an origin"),
        ({"scopes": ["ingest", "read"], "origins": APP}, "Only a key for ingest alone"),
        ({"scopes": ["ingest"], "origins": "x" * 10_000}, "at most 4040 characters"),
    ],
)
def test_the_form_says_what_is_wrong_with_origins(
    client_as: Callable[[User], Client], bob: User, project: Project, data: dict[str, str], words: str
) -> None:
    response = client_as(bob).post(PAGE, {"name": "web", **data})
    assert response.status_code == 422
    assert any(words in error for error in Page(response.text).errors)
    assert not project.api_keys.exists()


def test_a_member_sets_the_origins_of_a_key(
    client_as: Callable[[User], Client], bob: User, viewer: User, project: Project, key: ApiKey
) -> None:
    client, url = client_as(bob), f"{PAGE}{key.pk}/origins/"

    def set_to(origins: str) -> str:
        return Page(client.post(url, {"origins": origins}, follow=True).text).text

    assert "The origins of key web are set" in set_to(f"{APP} {OTHER_APP}")
    key.refresh_from_db()
    assert key.origins == [APP, OTHER_APP]
    assert project.audit_entries.newest()[0].detail == f"origins to {APP}, {OTHER_APP}"
    assert "is not an origin" in set_to("https://*")
    assert "at most 4040 characters" in set_to("x" * 10_000)
    key.refresh_from_db()
    assert key.origins == [APP, OTHER_APP]
    seen = Page(client_as(viewer).get(PAGE).text).table("API keys").row("web")
    assert seen["Scopes"] == f"ingest {APP} {OTHER_APP}"
    set_to("")
    key.refresh_from_db()
    assert key.origins == []
    assert project.audit_entries.count() == 2


def test_a_key_that_may_read_gets_no_origins(client_as: Callable[[User], Client], bob: User, project: Project) -> None:
    reader = ApiKey.issue(project=project, name="reader", scopes=["ingest", "read"])[0]
    client = client_as(bob)
    assert Page(client.get(PAGE).text).table("API keys").row("reader")["Scopes"] == "ingestread"
    answer = client.post(f"{PAGE}{reader.pk}/origins/", {"origins": APP}, follow=True)
    assert "Only a key for ingest alone" in Page(answer.text).text
    reader.refresh_from_db()
    assert reader.origins == []


def test_operations_make_keys_with_origins_and_change_them(project: Project, now: datetime) -> None:
    context = for_system(project, now)
    data = {"name": "web", "scopes": ["ingest"], "origins": [f"{APP}/"]}
    made = find("keys.create").call(context, data)
    assert made.origins == [APP]
    assert find("keys.origins").call(context, {"key": made.id, "origins": [OTHER_APP]}).origins == [OTHER_APP]
    assert find("keys.origins").call(context, {"key": made.id}).origins == []
    with pytest.raises(InvalidInput) as refused:
        find("keys.create").call(context, data | {"scopes": ["ingest", "read"]})
    assert refused.value.errors.keys() == {"origins"}
