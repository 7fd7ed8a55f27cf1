"""API keys under Settings."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from catalyst.core import operations
from catalyst.core.models import ApiKey, Project, User
from tests.page import Page

PAGE = "/p/default/settings/keys/"
HTMX = {"HX-Request": "true"}
NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)


@pytest.fixture
def key(project: Project) -> ApiKey:
    """A live key."""
    return ApiKey.issue(project=project, name="production", scopes=["ingest"])[0]


def test_it_lists_keys_without_showing_them(client_as: Callable[[User], Client], alice: User, project: Project) -> None:
    key, secret = ApiKey.issue(project=project, name="<production>", scopes=["read"])
    response = client_as(alice).get(PAGE)
    row = Page(response.text).table("API keys").row("<production>")
    assert (row["Prefix"], row["Scopes"]) == (f"{key.hint}…", "read")
    assert secret not in response.text


def test_it_makes_a_key_and_shows_it_once(client_as: Callable[[User], Client], bob: User, project: Project) -> None:
    client = client_as(bob)
    response = client.post(PAGE, {"name": "ci", "scopes": ["ingest", "read"]})
    key = project.api_keys.get()
    shown = Page(response.text).part("connect-key").text
    assert ApiKey.objects.find(shown) == key
    assert (key.name, key.scopes, key.created_by) == ("ci", ["ingest", "read"], bob)
    assert shown not in client.get(PAGE).text


def test_the_first_key_is_named_only_where_it_works(
    client_as: Callable[[User], Client], alice: User, project: Project
) -> None:
    client, other = client_as(alice), operations.create_project(name="Shop", owner=alice)
    for slug, works in ((project.slug, True), (other.slug, False)):
        assert ("Use the First key" in Page(client.get(f"/p/{slug}/traces/").text).text) == works


def test_the_page_of_the_first_trace_keeps_one_unused_key(
    client_as: Callable[[User], Client], bob: User, project: Project
) -> None:
    client = client_as(bob)
    ApiKey.issue(project=project, name="First trace of production", scopes=["ingest"])
    first = Page(client.post(PAGE, {"first": 1}).text)
    assert "It is “First trace” in the API keys." in first.text
    assert "replaces" not in first.text
    second = Page(client.post(PAGE, {"first": 1}).text)
    assert "It replaces the key made here before, which nothing has used." in second.text
    assert ApiKey.objects.find(first.part("connect-key").text) is None
    used = second.part("connect-key").text
    assert ApiKey.objects.use(used, timezone.now())

    for _ in range(2):
        third = Page(client.post(PAGE, {"first": 1}).text)
        assert "It is “First trace 2” in the API keys." in third.text
    key = ApiKey.objects.find(third.part("connect-key").text)
    assert key is not None
    assert (key.scopes, key.created_by) == (["ingest"], bob)
    assert ApiKey.objects.find(used) is not None
    names = project.api_keys.order_by("name").values_list("name", flat=True)
    assert list(names) == ["First trace", "First trace 2", "First trace of production"]
    actions = project.audit_entries.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["created", "replaced", "created", "created", "replaced", "created"]


def test_it_answers_htmx_with_the_keys_alone(client_as: Callable[[User], Client], bob: User) -> None:
    response = client_as(bob).post(PAGE, {"name": "ci", "scopes": ["ingest"]}, headers=HTMX)
    assert response.status_code == 200
    page = Page(response.text)
    assert not page.is_whole
    assert page.table("API keys").row("ci")
    assert response.headers["Vary"].count("HX-Request") == 1


@pytest.mark.parametrize("data", [{}, {"name": "ci"}, {"name": "ci", "scopes": ["root"]}, {"scopes": ["ingest"]}])
def test_it_says_what_is_wrong(
    client_as: Callable[[User], Client], bob: User, project: Project, data: dict[str, str]
) -> None:
    response = client_as(bob).post(PAGE, data, headers=HTMX)
    assert response.status_code == 422
    assert Page(response.text).errors
    assert not project.api_keys.exists()


def test_it_revokes_a_key_for_good(client_as: Callable[[User], Client], bob: User, key: ApiKey) -> None:
    client = client_as(bob)
    assert client.post(f"{PAGE}{key.pk}/revoke/", headers=HTMX).status_code == 200
    key.refresh_from_db()
    revoked = key.revoked_at
    assert revoked is not None
    assert client.post(f"{PAGE}{key.pk}/revoke/").headers["Location"] == PAGE
    key.refresh_from_db()
    assert key.revoked_at == revoked


def test_it_puts_revoked_keys_last(
    client_as: Callable[[User], Client], bob: User, project: Project, key: ApiKey
) -> None:
    project.api_keys.filter(pk=key.pk).revoke(timezone.now())
    ApiKey.issue(project=project, name="fresh", scopes=["read"])
    rows = Page(client_as(bob).get(PAGE).text).table("API keys").rows
    assert [row["Name"] for row in rows] == ["fresh", "production"]


def test_it_lets_viewers_look_only(
    client_as: Callable[[User], Client], viewer: User, project: Project, key: ApiKey
) -> None:
    client = client_as(viewer)
    page = Page(client.get(PAGE).text)
    assert page.table("API keys").row("production")["Actions"] == ""
    assert "Create key" not in page.buttons
    assert client.post(PAGE, {"name": "ci", "scopes": ["ingest"]}).status_code == 403
    assert client.post(f"{PAGE}{key.pk}/revoke/").status_code == 403
    assert project.api_keys.get().revoked_at is None


def test_it_is_not_there_for_outsiders(client_as: Callable[[User], Client], charlie: User, key: ApiKey) -> None:
    client = client_as(charlie)
    assert client.get(PAGE).status_code == 404
    assert client.post(PAGE, {"name": "ci", "scopes": ["ingest"]}).status_code == 404
    assert client.post(f"/p/other/settings/keys/{key.pk}/revoke/").status_code == 404


def test_it_keeps_the_limits_of_a_key_from_members_of_other_projects(
    client_as: Callable[[User], Client], charlie: User, other_project: Project, key: ApiKey
) -> None:
    url = f"/p/{other_project.slug}/settings/keys/{key.pk}/limit/"
    assert client_as(charlie).post(url, {"requests_per_second": "1", "spans_per_second": "1"}).status_code == 404
    key.refresh_from_db()
    assert (key.requests_per_second, key.spans_per_second) == (None, None)


@pytest.mark.parametrize(("days", "expires"), [("", None), ("30", NOW + timedelta(days=30))])
def test_it_makes_keys_that_expire(
    client_as: Callable[[User], Client], bob: User, project: Project, days: str, expires: datetime | None
) -> None:
    with time_machine.travel(NOW, tick=False):
        page = client_as(bob).post(PAGE, {"name": "ci", "scopes": ["read"], "days": days})
    assert project.api_keys.get().expires_at == expires
    shown = Page(page.text).table("API keys").row("ci")["Expires"]
    assert shown == ("until 20 Dec 12:30 UTC" if expires else "expires never")
    detail = "for read until 2026-12-20 12:30 UTC" if expires else "for read"
    assert project.audit_entries.get().detail == detail


def test_it_refuses_a_lifetime_that_it_does_not_offer(
    client_as: Callable[[User], Client], bob: User, project: Project
) -> None:
    answer = client_as(bob).post(PAGE, {"name": "ci", "scopes": ["read"], "days": "100000000"})
    assert answer.status_code == 422
    assert not project.api_keys.exists()


def test_it_shows_which_keys_have_expired(client_as: Callable[[User], Client], bob: User, project: Project) -> None:
    ApiKey.issue(project=project, name="old", scopes=["read"], expires_at=NOW)
    client = client_as(bob)

    def expiry() -> str:
        return Page(client.get(PAGE).text).table("API keys").row("old")["Expires"]

    with time_machine.travel(NOW - timedelta(seconds=1), tick=False):
        assert expiry() == "until 20 Nov 12:30 UTC"
    with time_machine.travel(NOW, tick=False):
        assert expiry().startswith("Expired")


def test_it_takes_only_the_right_method(client_as: Callable[[User], Client], alice: User, key: ApiKey) -> None:
    client = client_as(alice)
    assert client.put(PAGE).status_code == 405
    assert client.get(f"{PAGE}{key.pk}/revoke/").headers["Location"] == PAGE


def test_it_limits_how_fast_a_key_may_send(client_as: Callable[[User], Client], alice: User, project: Project) -> None:
    key, _ = ApiKey.issue(project=project, name="ci", scopes=["ingest"])
    client, page = client_as(alice), f"/p/{project.slug}/settings/keys/"

    def limits() -> list[str]:
        return Page(client.get(page).text).table("API keys").row("ci").headings[1:]

    assert limits() == ["limit 1,000 requests, 50,000 spans"]
    client.post(f"{page}{key.pk}/limit/", {"requests_per_second": "", "spans_per_second": "500"})
    assert limits() == ["limit 1,000 requests, 500 spans"]
    answer = client.post(f"{page}{key.pk}/limit/", {"spans_per_second": "-1"}, follow=True)
    assert "A limit is a whole number" in Page(answer.text).text
    key.refresh_from_db()
    assert (key.requests_per_second, key.spans_per_second) == (None, 500)
    assert "500 spans per second" in Page(client.get(f"/p/{project.slug}/settings/audit/").text).text
