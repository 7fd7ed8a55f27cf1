"""Somebody who forgot their password gets a link by mail, where a mail server is set up."""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings

from catalyst.core.models import AuditEntry, User
from catalyst.mail import checked_mail_url, mailers
from tests.page import Page

pytestmark = pytest.mark.django_db

FORGOTTEN, LOGIN = "/password/forgotten/", "/login/"
NEW = "a new and long one"


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_user("ada", "ada@example.com", "an old and long one")


@pytest.fixture
def mailbox(settings: Settings) -> list[mail.EmailMessage]:
    """A mail server is set up; what it got."""
    settings.SENDS_MAIL = True
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend", "QUEUES": []}}
    mail.outbox = []
    return mail.outbox


def link_in(message: mail.EmailMessage) -> str:
    found = re.search(r"https?://\S+", str(message.body))
    assert found
    return urlsplit(found[0]).path


def test_a_mailed_link_sets_a_new_password_once(
    client: Client, ada: User, mailbox: list[mail.EmailMessage], client_as: Callable[[User], Client]
) -> None:
    elsewhere = client_as(ada)
    page = Page(client.get(Page(client.get(LOGIN).text).link("Forgot your password?")).text)
    assert page.buttons == ["Send a link"]
    assert "on its way" in client.post(FORGOTTEN, {"email": "Ada@Example.com"}).text
    (message,) = mailbox
    assert message.to == ["ada@example.com"]
    link = link_in(message)
    form = client.get(link, follow=True)
    assert link.split("/")[-2] not in form.redirect_chain[-1][0], "the page's address has no token"
    set_at = form.redirect_chain[-1][0]
    refused = client.post(set_at, {"new_password1": NEW, "new_password2": "another one"})
    assert Page(refused.text).all("//*[@role='alert'] | //*[contains(@class, 'wrong')]")
    done = client.post(set_at, {"new_password1": NEW, "new_password2": NEW}, follow=True)
    assert "Your password is set" in done.text
    ada.refresh_from_db()
    assert ada.check_password(NEW)
    assert elsewhere.get("/profile/").status_code == 302
    assert AuditEntry.objects.filter(action="changed the password of", target_id=ada.pk).exists()
    assert "has expired, or it was used" in Client().get(link, follow=True).text


def test_the_answer_does_not_tell_who_has_an_account(
    client: Client, ada: User, mailbox: list[mail.EmailMessage]
) -> None:
    known, unknown = (client.post(FORGOTTEN, {"email": f"{name}@example.com"}).text for name in ("ada", "eve"))
    assert Page(known).main.text == Page(unknown).main.text
    assert [message.to for message in mailbox] == [["ada@example.com"]]


def test_nobody_is_flooded_with_mail(ada: User, mailbox: list[mail.EmailMessage]) -> None:
    for number in range(20):
        client = Client(REMOTE_ADDR=f"198.51.{number}.1")
        assert client.post(FORGOTTEN, {"email": "ada@example.com"}).status_code == 200
    assert len(mailbox) == 3


def test_people_who_left_get_none(client: Client, ada: User, mailbox: list[mail.EmailMessage]) -> None:
    User.objects.update(is_active=False)
    client.post(FORGOTTEN, {"email": "ada@example.com"})
    assert not mailbox


def test_without_a_mail_server_the_page_says_what_to_do(client: Client, ada: User) -> None:
    assert not Page(client.get(LOGIN).text).main.has_link("Forgot your password?")
    answer = client.get(FORGOTTEN)
    assert answer.status_code == 404
    assert "login_link" in answer.text


def test_a_url_names_the_mail_server() -> None:
    options = mailers("smtp://me%40x:p%3Aw@mail.example.com")["default"]["OPTIONS"]
    assert options == {
        "host": "mail.example.com", "port": 587, "username": "me@x", "password": "p:w", "use_tls": True, "timeout": 20,
    }  # fmt: skip
    assert mailers("smtps://mail.example.com")["default"]["OPTIONS"]["port"] == 465
    assert not mailers("smtp://localhost:25")["default"]["OPTIONS"]["use_tls"]


@pytest.mark.parametrize("url", ["mail.example.com", "http://user:secret@host", "smtp://", "smtp://user:secret@h:port"])
def test_another_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"^Use smtp://") as refused:
        checked_mail_url(url)
    assert "secret" not in str(refused.value)
