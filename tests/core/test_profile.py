"""One's own account: name and address, password, browsers."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from catalyst.core import sign_ins
from catalyst.core.models import SignIn, User
from tests.page import Page

PAGE = "/profile/"
PASSWORD = f"{PAGE}password/"
ELSEWHERE = f"{PAGE}sign-out-elsewhere/"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Safari/604.1"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
NEW = {"new_password1": "correct horse battery", "new_password2": "correct horse battery"}


@pytest.fixture
def browser(client_as: Callable[[User], Client], bob: User) -> Client:
    """Bob's browser."""
    return client_as(bob)


def test_it_changes_name_and_address(browser: Client, bob: User) -> None:
    response = browser.post(PAGE, {"first_name": "Bob", "last_name": "<B>", "email": "bob@new.example"}, follow=True)
    page = Page(response.text)
    assert "Your profile is saved" in page.text
    assert page.field("Last name").value == "<B>"
    bob.refresh_from_db()
    assert (bob.get_full_name(), bob.email) == ("Bob <B>", "bob@new.example")


def test_it_says_what_is_wrong_with_them(browser: Client, bob: User) -> None:
    response = browser.post(PAGE, {"email": "nonsense"})
    assert response.status_code == 422
    assert Page(response.text).field("Email address").errors == ["Enter an email address, such as ada@example.com"]
    bob.refresh_from_db()
    assert bob.email == "bob@example.org"


def test_an_error_replaces_only_its_own_form(browser: Client) -> None:
    htmx = {"HX-Request": "true"}
    for path, sent, shown in ((PAGE, {"email": "nonsense"}, "About you"), (PASSWORD, {}, "Set a password")):
        response = browser.post(path, sent, headers=htmx)
        assert response.status_code == 422
        assert Page(response.text).headings == [shown]
    saved = browser.post(PAGE, {"first_name": "Bob", "email": "bob@new.example"}, headers=htmx)
    assert saved.headers["HX-Redirect"] == PAGE


def test_it_sets_a_first_password_without_asking_for_one(browser: Client, bob: User) -> None:
    page = Page(browser.get(PAGE).text)
    assert "Set a password" in page.headings
    assert "old_password" not in page.form(PASSWORD).names
    assert browser.post(PASSWORD, NEW).headers["Location"] == PAGE
    assert Client().login(username="bob", password=NEW["new_password1"])


def test_it_changes_the_password_and_signs_other_browsers_out(client_as: Callable[[User], Client], bob: User) -> None:
    bob.set_password("the old password")
    bob.save(update_fields=["password"])
    here, there = client_as(bob), client_as(bob)
    there.get(PAGE)
    assert here.post(PASSWORD, {"old_password": "the old password", **NEW}).headers["Location"] == PAGE
    assert "Your password is changed" in Page(here.get(PAGE).text).text
    assert there.get(PAGE).status_code == 302
    assert SignIn.objects.filter(user=bob).count() == 1


@pytest.mark.parametrize(
    "data",
    [{}, {"old_password": "wrong", **NEW}, {"old_password": "the old password", **NEW, "new_password2": "else"}],
)
def test_it_says_what_is_wrong_with_a_password(
    client_as: Callable[[User], Client], bob: User, data: dict[str, str]
) -> None:
    bob.set_password("the old password")
    bob.save(update_fields=["password"])
    response = client_as(bob).post(PASSWORD, data)
    assert response.status_code == 422
    assert Page(response.text).form(PASSWORD).errors
    assert Client().login(username="bob", password="the old password")


def test_it_lists_the_browsers_one_is_signed_in_with(
    client_as: Callable[[User], Client], bob: User, viewer: User
) -> None:
    client_as(bob).get("/p/default/settings/", headers={"User-Agent": SAFARI})
    client_as(viewer).get("/p/default/settings/", headers={"User-Agent": "curl/8"})
    page = Page(client_as(bob).get(PAGE, headers={"User-Agent": FIREFOX}).text)
    assert {row.cells[0] for row in page.table().rows} == {"Firefox on Linux this one", "Safari on iPhone"}


def test_it_signs_out_everywhere_else(client_as: Callable[[User], Client], bob: User, viewer: User) -> None:
    here, there, other = client_as(bob), client_as(bob), client_as(viewer)
    for each in (here, there, other):
        assert each.get(PAGE).status_code == 200
    assert "1 other session ended" in Page(here.post(ELSEWHERE, follow=True).text).text
    assert [each.get(PAGE).status_code for each in (here, there, other)] == [200, 302, 200]


def test_it_takes_only_the_right_method(browser: Client) -> None:
    assert [browser.get(url).headers["Location"] for url in (PASSWORD, ELSEWHERE)] == [PAGE, PAGE]


def test_it_sends_strangers_to_sign_in(client: Client, db: None) -> None:
    for answer in (client.get(PAGE), client.post(PASSWORD), client.post(ELSEWHERE)):
        assert answer.headers["Location"].startswith("/login/?next=")


def test_it_notes_a_session_at_most_once_a_minute(browser: Client, bob: User) -> None:
    browser.get(PAGE)
    seen = SignIn.objects.get(user=bob).seen_at
    browser.get(PAGE)
    assert SignIn.objects.get(user=bob).seen_at == seen
    SignIn.objects.update(seen_at=seen - timedelta(minutes=2))
    browser.get(PAGE)
    assert SignIn.objects.get(user=bob).seen_at >= seen


def test_it_forgets_a_sign_in_with_its_session(browser: Client, bob: User) -> None:
    browser.get(PAGE)
    browser.post("/logout/")
    assert not SignIn.objects.exists()
    browser.force_login(bob)
    browser.get(PAGE)
    sign_ins.delete_expired(timezone.now() + timedelta(days=1))
    assert SignIn.objects.exists()
    sign_ins.delete_expired(timezone.now() + timedelta(days=30))
    assert not SignIn.objects.exists()
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    ("user_agent", "said"), [(SAFARI, "Safari on iPhone"), (FIREFOX, "Firefox on Linux"), ("", "Unknown browser")]
)
def test_it_names_browsers_for_people(user_agent: str, said: str) -> None:
    assert sign_ins.browser(user_agent) == said
