"""Signing in and out."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalyst.core import forms, login_links
from catalyst.core.models import Project, User
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
    assert "correct username and password" in Page(response.text).text


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


def test_it_sends_the_whole_page_here_when_a_fragment_finds_the_session_ended(client: Client, project: Project) -> None:
    response = client.get("/p/default/traces/", headers={"HX-Request": "true"}, follow=True)
    assert response.headers["HX-Redirect"] == LOGIN


def test_it_lets_someone_who_is_signed_in_through(client_as: Callable[[User], Client], alice: User) -> None:
    assert client_as(alice).get(LOGIN).headers["Location"] == "/"


def test_it_signs_in_by_a_link_once(alice: User) -> None:
    link = login_links.path(alice, timezone.now())
    first = Client()
    assert first.get(link).headers["Location"] == "/"
    assert first.get("/").headers["Location"] == "/p/default/traces/"
    second = Client().get(link)
    assert second.status_code == 410
    assert "manage.py login_link" in second.text


def test_it_refuses_an_old_link_and_nonsense(client: Client, alice: User) -> None:
    old = login_links.path(alice, timezone.now() - login_links.LIFETIME - timedelta(minutes=1))
    assert client.get(old).status_code == 410
    assert client.get("/login/nonsense/").status_code == 410
    assert client.post("/login/nonsense/").status_code == 405


def test_it_lets_the_person_who_used_the_link_use_it_again(alice: User) -> None:
    link, client = login_links.path(alice, timezone.now()), Client()
    client.get(link)
    assert client.get(link).headers["Location"] == "/"


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
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/").headers["Location"] == LOGIN
    assert client.get("/").status_code == 302


def test_it_says_what_to_do_without_a_project(client_as: Callable[[User], Client], db: None) -> None:
    stranger = User.objects.create_superuser("stranger")
    response = client_as(stranger).get("/")
    assert response.status_code == 200
    page = Page(response.text)
    assert page.headings == ["Your first project"]
    assert page.form("/projects/new/").buttons == ["Make the project"]


@pytest.mark.parametrize("path", [LOGIN, "/admin/login/"])
def test_it_looks_at_no_more_passwords_after_too_many_tries(client: Client, ada: User, path: str) -> None:
    User.objects.filter(pk=ada.pk).update(is_staff=True)
    for _ in range(forms.SIGN_IN_BY_NAME.capacity):
        client.post(path, {"username": "alice", "password": "wrong"})
    response = client.post(path, {"username": "alice", "password": "correct horse battery"})
    assert "Too many tries" in Page(response.text).text
    assert not client.session.get("_auth_user_id")
    assert path != LOGIN or response.status_code == 429


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


def test_it_does_not_use_a_link_up_for_who_only_looks(client: Client, alice: User) -> None:
    link = login_links.path(alice, timezone.now())
    assert client.head(link).status_code == 405
    assert client.get(link).status_code == 302
