"""Signing in and out."""

import logging
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalyst.core import forms, login_links
from catalyst.core.models import Project, User
from catalyst.log_filter import HideTokens
from tests.page import Page

LOGIN = "/login/"
CREDENTIALS = {"username": "alice", "password": "correct horse battery"}


@pytest.fixture
def ada(alice: User) -> User:
    """Alice with a password."""
    alice.set_password("correct horse battery")
    alice.save(update_fields=["password"])
    return alice


def test_it_signs_in_and_goes_to_the_traces(client: Client, ada: User) -> None:
    response = client.post(LOGIN, CREDENTIALS, follow=True)
    assert response.redirect_chain[-1][0] == "/p/default/traces/"
    assert response.status_code == 200


def test_it_says_that_the_password_is_wrong(client: Client, ada: User) -> None:
    response = client.post(LOGIN, {"username": "alice", "password": "wrong"})
    assert response.status_code == 422
    assert "Wrong username or password" in Page(response.text).text


def test_it_goes_back_to_the_page_that_was_asked_for(client: Client, ada: User, project: Project) -> None:
    page = reverse("core:settings", args=[project.slug])
    asked = client.get(page)
    assert asked.headers["Location"] == f"{LOGIN}?next={page}"
    response = client.post(LOGIN, {**CREDENTIALS, "next": page})
    assert response.headers["Location"] == page


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example", "abc", "a.b", "\0"])
def test_it_goes_nowhere_else(client: Client, ada: User, target: str) -> None:
    response = client.post(LOGIN, {**CREDENTIALS, "next": target})
    assert response.headers["Location"] == "/"
    assert client.get(LOGIN, {"next": target}).headers["Location"] == "/"


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_fragment_that_finds_the_session_ended_leaves_the_page_as_it_is(
    client: Client, project: Project, method: str
) -> None:
    response = getattr(client, method)("/p/default/traces/", headers={"HX-Request": "true"})
    assert (response.status_code, response.content) == (401, b"")


def test_who_signs_in_by_link_without_a_password_is_asked_for_one_once(
    client: Client, alice: User, project: Project
) -> None:
    alice.set_unusable_password()
    alice.save()
    asked = []
    for _ in range(2):
        alice.refresh_from_db()
        client.post(f"{LOGIN}{login_links.make(alice, timezone.now())}/")
        pages = [Page(client.get("/p/default/agents/").text) for _ in range(2)]
        asked.append([page.main.has_link("Set a password") for page in pages])
        client.post("/logout/")
    assert asked == [[True, False], [False, False]]


def test_signing_in_leads_back_to_the_page_of_the_form(client: Client, ada: User, project: Project) -> None:
    page = "/p/default/signals/?range=7d&scope=trace"
    response = client.post("/p/default/signals/bulk/", headers={"Referer": f"http://testserver{page}"})
    assert response.headers["Location"] == f"{LOGIN}?next={quote(page)}"
    for elsewhere in (
        "http://evil.example/p/default/",
        "//evil.example/",
        "http://testserver//evil.example/",
        "http://testserver/\\evil.example/",
        "",
    ):
        response = client.post("/p/default/signals/bulk/", headers={"Referer": elsewhere})
        assert response.headers["Location"] == f"{LOGIN}?next=/p/default/signals/bulk/"


def test_it_is_the_same_when_both_cookies_are_gone(db: None, project: Project) -> None:
    client = Client(enforce_csrf_checks=True)
    page = "http://testserver/p/default/signals/"
    response = client.post("/p/default/signals/bulk/", headers={"Referer": page})
    assert response.headers["Location"] == f"{LOGIN}?next=/p/default/signals/"
    assert client.post("/p/default/signals/bulk/", headers={"HX-Request": "true"}).status_code == 401


def test_a_form_without_its_token_is_refused(ada: User, project: Project) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    response = client.post("/profile/", {"first_name": "Ada"})
    assert response.status_code == 403
    assert "This form is out of date" in Page(response.text).headings


@pytest.mark.parametrize(
    ("address", "page"),
    [
        ("/p/default/signals/bulk/", "/p/default/signals/"),
        ("/p/default/settings/keys/5/revoke/", "/p/default/settings/keys/"),
        ("/p/default/settings/retention/", "/p/default/settings/"),
        ("/profile/password/", "/profile/"),
        ("/logout/", "/"),
    ],
)
def test_the_address_of_a_form_leads_to_the_page_above_it(
    client_as: Callable[[User], Client], alice: User, project: Project, address: str, page: str
) -> None:
    assert client_as(alice).get(address).headers["Location"] == page


def test_it_lets_someone_who_is_signed_in_through(client_as: Callable[[User], Client], alice: User) -> None:
    assert client_as(alice).get(LOGIN).headers["Location"] == "/"


def test_it_signs_in_by_a_link_once(alice: User) -> None:
    link = login_links.path(alice, timezone.now())
    first = Client()
    assert Page(first.get(link).text).form("").buttons == ["Sign in"]
    assert first.post(link).headers["Location"] == "/"
    assert first.get("/").headers["Location"] == "/p/default/traces/"
    for second in (Client().get(link), Client().post(link)):
        assert second.status_code == 410
        assert "manage.py login_link" in second.text


def test_it_refuses_an_old_link_and_nonsense(client: Client, alice: User) -> None:
    old = login_links.path(alice, timezone.now() - login_links.LIFETIME - timedelta(minutes=1))
    assert client.get(old).status_code == 410
    assert client.post(old).status_code == 410
    assert client.get("/login/nonsense/").status_code == 410
    assert client.post("/login/nonsense/").status_code == 410


def test_it_lets_the_person_who_used_the_link_use_it_again(alice: User) -> None:
    link, client = login_links.path(alice, timezone.now()), Client()
    client.post(link)
    assert client.get(link).headers["Location"] == "/"
    assert client.post(link).headers["Location"] == "/"


def test_no_shared_cache_keeps_pages_of_people(
    client_as: Callable[[User], Client], alice: User, client: Client, project: Project
) -> None:
    browser = client_as(alice)
    for path in ("/p/default/traces/", "/p/default/signals/", "/p/default/settings/", "/profile/"):
        assert browser.get(path).headers["Cache-Control"] == "private, no-cache", path
    assert "no-store" in client.get("/login/").headers["Cache-Control"]
    assert "private" not in client.post("/v1/traces").headers.get("Cache-Control", "")


def test_signing_out_empties_the_cache_of_the_browser(client_as: Callable[[User], Client], alice: User) -> None:
    assert client_as(alice).post("/logout/").headers["Clear-Site-Data"] == '"cache"'


def test_it_signs_out(client_as: Callable[[User], Client], alice: User) -> None:
    client = client_as(alice)
    assert client.get("/logout/").headers["Location"] == "/"
    assert client.post("/logout/").headers["Location"] == LOGIN
    assert client.get("/").status_code == 302


def test_it_says_what_to_do_without_a_project(client_as: Callable[[User], Client], db: None) -> None:
    stranger = User.objects.create_superuser("stranger")
    response = client_as(stranger).get("/")
    assert response.status_code == 200
    page = Page(response.text)
    assert page.headings == ["Your first project"]
    assert page.form("/projects/new/").buttons == ["Create project"]


@pytest.mark.parametrize("path", [LOGIN, "/admin/login/"])
def test_it_looks_at_no_more_passwords_after_too_many_tries(client: Client, ada: User, path: str) -> None:
    User.objects.filter(pk=ada.pk).update(is_staff=True)
    for _ in range(forms.SIGN_IN_BY_NAME.capacity):
        client.post(path, {"username": "alice", "password": "wrong"})
    response = client.post(path, {"username": "alice", "password": "correct horse battery"})
    assert "Too many tries" in Page(response.text).text
    assert not client.session.get("_auth_user_id")
    assert response.status_code == 429


@pytest.mark.slow
def test_it_limits_an_address_that_tries_many_names(client: Client, ada: User) -> None:
    tries = [
        client.post(LOGIN, {"username": f"name{number}", "password": "wrong"}).status_code
        for number in range(forms.SIGN_IN_BY_ADDRESS.capacity + 1)
    ]
    assert set(tries[:-1]) == {422}
    assert tries[-1] == 429
    elsewhere = client.post(LOGIN, CREDENTIALS, REMOTE_ADDR="192.0.2.7")
    assert elsewhere.status_code == 302


def test_it_counts_anew_after_signing_in(client: Client, ada: User) -> None:
    for _ in range(2):
        for _ in range(forms.SIGN_IN_BY_NAME.capacity - 1):
            client.post(LOGIN, {"username": "alice", "password": "wrong"})
        assert client.post(LOGIN, CREDENTIALS).status_code == 302
        client.post("/logout/")


def test_who_only_looks_at_a_link_is_not_signed_in_and_does_not_use_it_up(
    alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    link = login_links.path(alice, timezone.now())
    for look in ("get", "head", "options", "put"):
        browser = Client()
        assert getattr(browser, look)(link).status_code == 200
        assert "_auth_user_id" not in browser.session
    assert Client().post(link).status_code == 302
    assert link not in caplog.text


def test_no_log_holds_a_link(alice: User) -> None:
    link = login_links.path(alice, timezone.now())
    record = logging.makeLogRecord({"msg": "Forbidden (%s): %s", "args": ("CSRF token missing.", link)})
    assert HideTokens().filter(record)
    assert record.getMessage() == "Forbidden (CSRF token missing.): /login/…/"


@pytest.mark.parametrize("path", [LOGIN, "/admin/login/"])
def test_strangers_can_t_lock_a_person_out(
    client: Client, ada: User, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "SLOW_SECONDS", 0)
    User.objects.filter(pk=ada.pk).update(is_staff=True)
    for number in range(5 * forms.SIGN_IN_BY_NAME.capacity):
        where = f"2001:db8:0:{number % 8}::{number}"
        client.post(path, {"username": "alice", "password": "wrong"}, REMOTE_ADDR=where)
    assert client.post(path, {"username": "alice", "password": "correct horse battery"}).status_code == 302


def test_addresses_of_one_ipv6_network_count_as_one(client: Client, ada: User) -> None:
    for number in range(forms.SIGN_IN_BY_NAME.capacity):
        client.post(LOGIN, {"username": "alice", "password": "wrong"}, REMOTE_ADDR=f"2001:db8::{number:x}")
    assert client.post(LOGIN, CREDENTIALS, REMOTE_ADDR="2001:db8::ffff").status_code == 429
    assert client.post(LOGIN, CREDENTIALS, REMOTE_ADDR="2001:db8:0:1::1").status_code == 302
