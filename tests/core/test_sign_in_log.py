"""What the audit log has about accounts: sign-ins, failed ones, passwords, links."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from catalyst.core import audit, forms, login_links, operations, sign_in_log
from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.models import AuditEntry, Bucket, Project, User
from catalyst.core.token_buckets import Limit
from tests.page import Page

LOGIN, ADMIN_LOGIN = "/login/", "/admin/login/"
PASSWORD = "correct horse battery"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"


@pytest.fixture
def ada(alice: User) -> User:
    """Alice with a password. An operator."""
    alice.set_password(PASSWORD)
    alice.is_staff = True
    alice.save(update_fields=["password", "is_staff"])
    return alice


def log() -> list[tuple[str, str, str, str]]:
    """Who did what to which account, and the detail, oldest first."""
    entries = AuditEntry.objects.filter(kind="user").order_by("pk")
    assert all(entry.project_id is None for entry in entries)
    return [(entry.actor_name, entry.action, entry.target_name, entry.detail) for entry in entries]


def enter(
    client: Client, username: str = "alice", password: str = "wrong", path: str = LOGIN, address: str = "127.0.0.1"
) -> int:
    """Try to sign in."""
    return client.post(path, {"username": username, "password": password}, REMOTE_ADDR=address).status_code


@pytest.mark.parametrize(("path", "way"), [(LOGIN, "by password"), (ADMIN_LOGIN, "by password in the administration")])
def test_it_records_sign_ins_and_sign_outs(client: Client, ada: User, path: str, way: str) -> None:
    about = {"username": "alice", "password": PASSWORD}
    client.post(path, about, headers={"User-Agent": FIREFOX}, REMOTE_ADDR="192.0.2.7")
    client.post("/logout/", REMOTE_ADDR="2001:db8::1")
    assert log() == [
        ("alice", "signed in", "alice", f"{way} from 192.0.2.7, Firefox on Linux"),
        ("alice", "signed out", "alice", "from 2001:db8::1, Unknown browser"),
    ]


def test_it_records_a_sign_in_by_a_link_but_no_token(client: Client, alice: User) -> None:
    link = login_links.path(alice, timezone.now())
    client.get(link)
    assert log() == []
    client.post(link)
    assert log() == [("alice", "signed in", "alice", "by a login link from 127.0.0.1, Unknown browser")]


def test_nobody_signs_out_who_is_not_signed_in(client: Client, db: None) -> None:
    client.post("/logout/")
    assert log() == []


@pytest.mark.parametrize("path", [LOGIN, ADMIN_LOGIN])
def test_it_records_failures_once_a_minute(client: Client, ada: User, path: str) -> None:
    for _ in range(3):
        enter(client, path=path)
    assert log() == [("Somebody", "failed to sign in", "alice", "from 127.0.0.1, Unknown browser")]
    Bucket.objects.filter(key__startswith=sign_in_log.FAILURES_OF_NAME.name).update(
        filled_at=timezone.now() - timedelta(seconds=61)
    )
    enter(client, path=path)
    enter(client, path=path, address="192.0.2.7")
    assert len(log()) == 3


def test_it_records_that_the_administration_is_not_for_everybody(client: Client, ada: User) -> None:
    User.objects.update(is_staff=False)
    enter(client, password=PASSWORD, path=ADMIN_LOGIN)
    assert [entry[:3] for entry in log()] == [("Somebody", "failed to sign in", "alice")]


def test_it_records_who_reaches_the_limit(client: Client, ada: User) -> None:
    tries = [enter(client) for _ in range(forms.SIGN_IN_BY_NAME.capacity + 3)]
    assert tries[-1] == 429
    assert [entry[:3] for entry in log()] == [
        ("Somebody", "failed to sign in", "alice"),
        ("Somebody", "was kept from signing in", "alice"),
    ]


@pytest.mark.parametrize("name", [PASSWORD, "a\nb", "\0", "\x1b[2J", "x" * 5_000, "ALICE"])
def test_it_stores_no_name_that_no_account_has(client: Client, ada: User, name: str) -> None:
    enter(client, name)
    enter(client, f"{name}2")
    assert {entry[2] for entry in log()} <= {sign_in_log.UNKNOWN_NAME}
    assert len(log()) <= 1


def test_strangers_with_many_addresses_cause_few_entries(
    client: Client, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "SLOW_SECONDS", 0)
    monkeypatch.setattr(sign_in_log, "ALL_FAILURES", Limit("failed sign-ins", 3, 1 / 3600))
    for number in range(6):
        assert enter(client, address=f"192.0.2.{number}") == 422
    assert len(log()) == 3
    assert enter(client, password=PASSWORD, address="192.0.2.9") == 302
    assert log()[-1][:2] == ("alice", "signed in")


def test_it_records_changes_of_passwords_and_sessions(client_as: Callable[[User], Client], bob: User) -> None:
    new = {"new_password1": PASSWORD, "new_password2": PASSWORD}
    browser = client_as(bob)
    browser.post("/profile/password/", new)
    browser.post("/profile/sign-out-elsewhere/")
    assert log() == [
        ("bob", "changed the password of", "bob", ""),
        ("bob", "signed out other browsers of", "bob", "0"),
    ]
    assert PASSWORD not in str(list(AuditEntry.objects.values()))


def test_it_records_who_signs_up(client: Client, project: Project, alice: User, now: datetime) -> None:
    _, token = operations.invite(project, role="member", by=Actor(alice), now=timezone.now())
    form = {"username": "dora", "password1": PASSWORD, "password2": PASSWORD}
    assert client.post(f"/invitations/{token}/", form).status_code == 302
    assert [entry[:3] for entry in log()] == [("dora", "created", "dora"), ("dora", "signed in", "dora")]


def test_it_records_login_links_without_the_token(alice: User, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("login_link", "alice")
    token = capsys.readouterr().out.rstrip("/\n").rpartition("/")[2]
    assert log() == [("Catalyst", "made a login link for", "alice", "")]
    assert token not in str(list(AuditEntry.objects.values()))


def test_a_project_shows_no_sign_ins(client_as: Callable[[User], Client], client: Client, ada: User) -> None:
    enter(client)
    enter(client, password=PASSWORD)
    page = Page(client_as(ada).get("/p/default/settings/audit/").text)
    assert "Nothing has been changed yet" in page.text
    assert "signed in" not in page.main.text


def test_operators_find_them_in_the_administration(
    client_as: Callable[[User], Client], client: Client, ada: User, project: Project
) -> None:
    enter(client)
    operations.rename_project(project, name="Support", by=Actor(ada))
    browser = client_as(User.objects.create_superuser("operator"))
    text = Page(browser.get("/admin/core/auditentry/").text).text
    assert "failed to sign in" in text
    assert "renamed" in text
    of_accounts = Page(browser.get("/admin/core/auditentry/", {"project__isnull": "True"}).text)
    assert [row["Action"] for row in of_accounts.table("Search audit entries").rows] == ["failed to sign in"]


def test_a_profile_shows_the_activity_of_its_account(
    client_as: Callable[[User], Client], client: Client, ada: User, bob: User, project: Project
) -> None:
    enter(client)
    enter(client, password=PASSWORD)
    operations.rename_project(project, name="Support", by=Actor(ada))
    region = Page(client_as(ada).get("/profile/").text).region("Recent activity")
    assert [(row["User"], row["Action"].split(" from")[0]) for row in region.table().rows] == [
        ("alice", "signed in by password"),
        ("Somebody", "failed to sign in"),
    ]
    assert "Nothing is recorded yet" in Page(client_as(bob).get("/profile/").text).region("Recent activity").text


def test_a_profile_says_what_was_created(client_as: Callable[[User], Client], bob: User) -> None:
    audit.record(SYSTEM, "created", bob)
    region = Page(client_as(bob).get("/profile/").text).region("Recent activity")
    assert [row["Action"] for row in region.table().rows] == ["created the account"]


def test_it_deletes_old_sign_ins_and_nothing_else(
    client: Client, ada: User, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(client)
    enter(client, password=PASSWORD)
    operations.set_password(ada, password="another horse battery")
    operations.rename_project(project, name="Support", by=Actor(ada))
    now = timezone.now()
    assert audit.delete_expired(now + audit.SIGN_INS_KEPT - timedelta(minutes=1)) == 0
    monkeypatch.setattr(audit, "BATCH", 1)
    later = now + audit.SIGN_INS_KEPT + timedelta(minutes=1)
    assert [audit.delete_expired(later) for _ in range(3)] == [1, 1, 0]
    assert set(AuditEntry.objects.values_list("action", flat=True)) == {"changed the password of", "renamed"}
