"""Addresses are confirmed before they get mail, and whoever reads the mail can stop it."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
import time_machine
from django.test import Client

from alerts import recipients
from alerts.models import Channel, Recipient
from alerts.models.channel import LINK_LIFETIME
from catalyst.core.models import AuditEntry, Project, User
from catalyst.core.operation_context import for_system
from catalyst.log_filter import HideTokens
from catalyst.operations import InvalidInput, find
from tests.alerts.mail_server import MailServer
from tests.factories import make_channel
from tests.page import Page

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
TWENTY_MINUTES = 20 * MINUTE


@pytest.fixture
def channel(project: Project, mail_server: MailServer, now: datetime) -> Channel:
    return make_channel(project, kind="email", settings={"addresses": "ada@example.com"}, now=now)


def link_in(mail_server: MailServer) -> str:
    body = mail_server.mails[-1].get_body(("plain",))
    assert body
    found = re.search(r"https://\S+", str(body.get_content()))
    assert found
    assert found[0].startswith("https://catalyst.example/")
    return urlsplit(found[0]).path


def ada() -> Recipient:
    return Recipient.objects.get(address="ada@example.com")


def answer(client: Client, method: str, path: str, now: datetime, **data: str) -> tuple[int, str]:
    with time_machine.travel(now, tick=False):
        response = client.get(path) if method == "get" else client.post(path, data)
    return response.status_code, Page(response.text).main.text


def test_a_mailed_link_confirms_with_a_button(
    channel: Channel, mail_server: MailServer, client: Client, now: datetime
) -> None:
    assert recipients.has_links(now)
    assert recipients.send_links(now) == 1
    assert recipients.send_links(now) == 0
    assert mail_server.recipients == [["ada@example.com"]]
    link = link_in(mail_server)
    status, text = answer(client, "get", link, now + MINUTE)
    assert status == 200
    assert "ada@example.com would get the messages of the channel On call of the project Default." in text
    assert not ada().is_active, "mail scanners open links"
    status, text = answer(client, "post", link, now + MINUTE)
    assert (status, "is confirmed" in text) == (200, True)
    assert ada().is_active
    entry = AuditEntry.objects.latest("pk")
    assert (entry.actor_name, entry.action) == ("ada@example.com", "confirmed an address of")
    assert answer(client, "post", link, now + MINUTE)[0] == 410


def test_a_link_expires_and_is_replaced_by_a_newer_one(
    channel: Channel, mail_server: MailServer, client: Client, now: datetime
) -> None:
    recipients.send_links(now)
    old = link_in(mail_server)
    assert answer(client, "get", old, now + LINK_LIFETIME + MINUTE)[0] == 410
    recipients.ask_again(ada(), by=for_system(channel.project, now).actor, now=now + MINUTE)
    recipients.send_links(now + MINUTE)
    assert answer(client, "post", old, now + 2 * MINUTE)[0] == 410
    assert answer(client, "post", link_in(mail_server), now + 2 * MINUTE)[0] == 200


def test_a_link_is_of_one_address_and_channel(
    channel: Channel, mail_server: MailServer, client: Client, now: datetime
) -> None:
    recipients.send_links(now)
    link = link_in(mail_server)
    edit = find("channels.edit")
    edit.call(for_system(channel.project, now), {"channel": channel.pk, "settings": {"addresses": "bob@example.com"}})
    assert answer(client, "post", link, now + MINUTE)[0] == 410
    back = {"channel": channel.pk, "settings": {"addresses": "ada@example.com, bob@example.com"}}
    edit.call(for_system(channel.project, now), back)
    assert answer(client, "post", link, now + MINUTE)[0] == 410
    assert not Recipient.objects.active().exists()


@pytest.mark.parametrize("token", ["nonsense", "a:b:c"])
def test_a_forged_link_does_nothing(channel: Channel, client: Client, now: datetime, token: str) -> None:
    for path in (f"/mails/confirm/{token}/", f"/mails/stop/{token}/"):
        for method in ("get", "post"):
            assert answer(client, method, path, now)[0] == 410


def test_nobody_is_flooded_with_links(channel: Channel, mail_server: MailServer, now: datetime) -> None:
    caller, asked = for_system(channel.project, now), {"channel": channel.pk, "address": "ada@example.com"}
    recipients.send_links(now)
    for _ in range(2):
        find("channels.ask").call(caller, asked)
        recipients.send_links(now)
    for _ in range(5):
        with pytest.raises(InvalidInput, match="Wait 20 minutes"):
            find("channels.ask").call(caller, asked)
        recipients.send_links(now)
    assert len(mail_server.mails) == 3
    find("channels.ask").call(for_system(channel.project, now + TWENTY_MINUTES), asked)


def test_a_mail_server_that_refuses_is_shown(channel: Channel, mail_server: MailServer, now: datetime) -> None:
    mail_server.refuse = {"ada@example.com": "550 No such person"}
    recipients.send_links(now)
    assert "550 No such person" in ada().state(now)
    assert recipients.send_links(now + TWENTY_MINUTES) == 0, "an owner asks again"


def test_the_states_of_an_address_are_told(channel: Channel, mail_server: MailServer, now: datetime) -> None:
    seen = [ada().state(now)]
    recipients.send_links(now)
    seen += [ada().state(now), ada().state(now + LINK_LIFETIME + MINUTE)]
    recipients.confirm(ada(), now)
    seen.append(ada().state(now))
    recipients.stop(ada(), now=now)
    seen.append(ada().state(now))
    assert seen == [
        "not confirmed, a link is on its way",
        "not confirmed, a link was mailed",
        "not confirmed, and the mailed link has expired",
        "confirmed",
        "stopped by its owner",
    ]


def test_the_link_in_a_mail_stops_and_resumes(channel: Channel, now: datetime) -> None:
    recipients.confirm(ada(), now)
    path = urlsplit(recipients.stop_url(ada())).path
    client = Client(enforce_csrf_checks=True)
    assert "Stop these mails" in answer(client, "get", path, now)[1]
    assert ada().is_active
    status, text = answer(client, "post", path, now + timedelta(days=400), **{"List-Unsubscribe": "One-Click"})
    assert (status, "Mails are stopped" in text) == (200, True)
    assert not ada().is_active
    answer(client, "post", path, now, again="1")
    assert ada().is_active
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))[-2:]
    assert actions == ["stopped mails of", "resumed mails of"]


def test_people_see_their_mails_in_their_profile_and_stop_nobodys(
    channel: Channel, client_as: Callable[[User], Client], alice: User, charlie: User, now: datetime
) -> None:
    """Anybody may enter any address there, so it proves nothing."""
    recipients.confirm(ada(), now)
    User.objects.filter(pk__in=[alice.pk, charlie.pk]).update(email="Ada@example.com")
    browser = client_as(User.objects.get(pk=alice.pk))
    page = Page(browser.get(Page(browser.get("/profile/").text).main.link("Mails of channels")).text)
    row = page.table().row("On call")
    assert (row["Project"], row["State"]) == ("Default", "On")
    assert "The link at the end of each mail stops" in page.main.text
    assert browser.post("/profile/mails/", {"stop": ada().pk}).status_code == 405
    assert ada().is_active
    outsider = client_as(User.objects.get(pk=charlie.pk))
    assert "No channel of your projects" in Page(outsider.get("/profile/mails/").text).main.text


def test_other_addresses_are_not_ones_own(
    channel: Channel, client_as: Callable[[User], Client], bob: User, now: datetime
) -> None:
    recipients.confirm(ada(), now)
    User.objects.filter(pk=bob.pk).update(email="")
    browser = client_as(User.objects.get(pk=bob.pk))
    assert "Your profile has no address." in Page(browser.get("/profile/mails/").text).main.text


def test_the_log_has_no_link(channel: Channel, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(HideTokens())
    for kind in ("confirm", "stop"):
        assert client.get(f"/mails/{kind}/very-secret-token/").status_code == 410
    assert caplog.text
    assert "very-secret-token" not in caplog.text
