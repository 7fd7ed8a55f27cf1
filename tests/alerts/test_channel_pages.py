"""Settings, Channels: owners set up channels in the browser."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client

from alerts import delivery
from alerts.models import Channel, Delivery, Recipient
from catalyst.core.models import Project, User
from catalyst.env import env
from catalyst.notifications import notify
from tests.alerts.mail_server import MailServer
from tests.alerts.service import Answer, Service, slack
from tests.factories import WEBHOOK, make_channel, make_message
from tests.page import Page

pytestmark = pytest.mark.django_db

PAGE = "/p/default/settings/channels/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def browser(client_as: Callable[[User], Client], alice: User) -> Client:
    """The owner's browser."""
    return client_as(alice)


@pytest.fixture
def channel(project: Project, now: datetime) -> Channel:
    return make_channel(project, now=now)


def path_of(channel: Channel) -> str:
    return f"{PAGE}{channel.pk}/"


def test_a_first_channel_is_chosen_by_kind(browser: Client, project: Project) -> None:
    page = Page(browser.get(PAGE).text)
    assert "No channel yet." in page.text
    assert "The operator has not turned it on with CATALYST_APPRISE." in page.main.text
    form = Page(browser.get(page.main.link("PagerDuty")).text)
    assert form.field("Integration key").value == ""
    assert form.field("Address of the API").value == "https://events.pagerduty.com/v2/enqueue"
    assert form.field("Name").value == "PagerDuty"


def test_a_checkbox_opts_in_to_messages_about_judges(browser: Client, channel: Channel) -> None:
    form = Page(browser.get(path_of(channel)).text).form(path_of(channel))
    assert "Also tell it when a judge does not answer" in form.text
    assert "judge_outages" not in form.filled, "off at first"
    browser.post(form.action, form.filled | {"judge_outages": "on"})
    assert "when a judge does not answer" in Page(browser.get(PAGE).text).table().rows[0]["Used by"]
    form = Page(browser.get(path_of(channel)).text).form(path_of(channel))
    assert form.filled.pop("judge_outages") == "on"
    browser.post(form.action, {name: value for name, value in form.filled.items() if name != "judge_outages"})
    assert Page(browser.get(PAGE).text).table().rows[0]["Used by"] == "no alert"


def test_apprise_is_offered_where_the_operator_allows_it(
    browser: Client, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not Page(browser.get(PAGE).text).main.has_link("Other services, by Apprise")
    assert browser.post(f"{PAGE}new/?kind=apprise", {"name": "x", "url": "discord://a/b"}).status_code == 422
    monkeypatch.setattr(env, "apprise", True)
    filled = {"name": "Discord", "url": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"}
    assert browser.post(f"{PAGE}new/?kind=apprise", filled).status_code == 302
    assert Page(browser.get(PAGE).text).table().row("Discord Other services, by Apprise")["Address"] == "Discord"


def test_it_saves_a_channel_and_never_shows_its_secrets(browser: Client, project: Project) -> None:
    filled = {"name": "On call", **WEBHOOK, "headers": "X-Token: tenant-token-5678", "then": "test"}
    response = browser.post(f"{PAGE}new/?kind=webhook", filled)
    channel = Channel.objects.get()
    assert response.headers["Location"] == f"{path_of(channel)}?test=1"
    assert channel.reveal_secrets() == WEBHOOK | {"headers": "X-Token: tenant-token-5678"}
    assert (channel.kind, channel.created_by_name) == ("webhook", "alice")
    for path in (PAGE, path_of(channel), f"{path_of(channel)}messages/", "/p/default/settings/audit/"):
        text = browser.get(path).text
        assert not [word for word in ("hidden-1234", "tenant-token", "whsec_c2ln") if word in text], path
    row = Page(browser.get(PAGE).text).table().rows[0]
    assert (row["Address"], row["Last sent"], row["State"]) == ("https://hooks.invalid/…", "last sent never", "Enabled")


def test_a_new_signing_secret_is_suggested(browser: Client, project: Project) -> None:
    first, second = (Page(browser.get(f"{PAGE}new/?kind=webhook").text).main.text for _ in range(2))
    assert "Here is a new one: whsec_" in first
    assert first != second


def test_it_shows_every_error_beside_its_field(browser: Client, project: Project) -> None:
    filled = {"name": "On call", "url": "http://10.0.0.5/in", "signing_secret": "short-hidden", "headers": "Host: x"}
    response = browser.post(f"{PAGE}new/?kind=webhook", filled)
    assert response.status_code == 422
    page = Page(response.text)
    assert "10.0.0.5 is an address that is not public." in page.field("URL").errors[0]
    assert page.field("Signing secret").errors
    assert page.field("Headers").errors == ["Catalyst sets the header Host itself. Remove it."]
    assert "short-hidden" not in response.text
    assert not Channel.objects.exists()


def test_an_empty_secret_keeps_the_stored_one_unless_the_host_changes(browser: Client, channel: Channel) -> None:
    kept = {"name": "Renamed", "url": "", "signing_secret": "", "headers": ""}
    page = Page(browser.post(path_of(channel), kept, follow=True).text)
    assert "Renamed is saved" in page.text
    channel.refresh_from_db()
    assert channel.reveal_secrets() == WEBHOOK
    response = browser.post(path_of(channel), kept | {"url": "https://other.invalid/in"})
    assert response.status_code == 422
    assert "The address goes elsewhere now." in Page(response.text).field("Signing secret").errors[0]
    channel.refresh_from_db()
    assert channel.reveal_secrets() == WEBHOOK


def test_optional_secrets_are_cleared_with_the_address_or_on_request(
    browser: Client, project: Project, now: datetime
) -> None:
    channel = make_channel(project, secrets=WEBHOOK | {"headers": "X-Token: 12345678"}, now=now)
    kept = {"name": "On call", "url": "", "signing_secret": "", "headers": ""}
    browser.post(path_of(channel), kept | {"clear_headers": "on"})
    channel.refresh_from_db()
    assert channel.reveal_secrets() == WEBHOOK
    browser.post(path_of(channel), kept | {"headers": "X-Token: 12345678"})
    moved = {"url": "https://other.invalid/in", "signing_secret": WEBHOOK["signing_secret"]}
    page = Page(browser.post(path_of(channel), kept | moved, follow=True).text)
    assert "Headers: deleted, because the address goes elsewhere now" in page.text
    channel.refresh_from_db()
    assert "headers" not in channel.reveal_secrets()


def test_a_test_shows_the_real_answer(browser: Client, project: Project, service: Service, now: datetime) -> None:
    channel = make_channel(project, secrets=WEBHOOK | {"url": f"{service.url}/in"}, now=now)
    service.script = lambda _: Answer("welcome <b>here</b>")
    page = Page(browser.post(f"{path_of(channel)}test/", headers=HTMX).text)
    assert page.text == "Sent. 200 welcome <b>here</b>"
    service.script = lambda _: Answer("no such hook", 404)
    whole = Page(browser.post(f"{path_of(channel)}test/").text)
    assert whole.is_whole
    assert "Not sent. 127.0.0.1 answered 404: no such hook" in whole.main.text


def test_a_channel_of_slack_is_chosen_from_a_list(
    browser: Client, project: Project, service: Service, now: datetime
) -> None:
    service.script = slack
    typed = {"name": "Slack", "token": "xoxb-good", "api_url": f"{service.url}/api", "channel": ""}
    fragment = Page(browser.post(f"{PAGE}choices/?kind=slack_bot", typed, headers=HTMX).text)
    assert fragment.choice("Channel").options == {"#alerts": "C0ALERTS", "#other": "C0OTHER"}
    whole = browser.post(f"{PAGE}choices/?kind=slack_bot", typed).text
    assert "xoxb-good" not in whole
    form = Page(whole).form("/new/?kind=slack_bot")
    browser.post(form.action, form.filled | {"token": "xoxb-good", "channel": "C0ALERTS"})
    channel = Channel.objects.get()
    page = Page(browser.get(path_of(channel)).text)
    assert page.field("Channel").value == "C0ALERTS"
    stored = typed | {"token": "", "channel_id": str(channel.pk), "channel": "C0OTHER"}
    fragment = Page(browser.post(f"{PAGE}choices/?kind=slack_bot", stored, headers=HTMX).text)
    assert fragment.choice("Channel").chosen == ["#other"]


def test_a_stored_token_is_not_sent_to_another_address_to_list_channels(
    browser: Client, project: Project, service: Service, now: datetime
) -> None:
    settings = {"channel": "C0ALERTS"}
    channel = make_channel(project, kind="slack_bot", settings=settings, secrets={"token": "xoxb-good"}, now=now)
    asked = {"name": "x", "channel": "C1", "channel_id": str(channel.pk), "api_url": f"{service.url}/api"}
    fragment = Page(browser.post(f"{PAGE}choices/?kind=slack_bot", asked, headers=HTMX).text)
    assert "Enter the bot token first." in fragment.text
    assert service.asked == []


def test_a_disabled_channel_says_why_and_is_enabled_again(
    browser: Client, project: Project, service: Service, now: datetime
) -> None:
    channel = make_channel(project, secrets=WEBHOOK | {"url": f"{service.url}/in"}, now=now)
    service.script = lambda _: Answer("moved away", 410)
    notify(project.pk, "alert.fired", "key", make_message(), [channel.pk], now=now)
    delivery.work(lambda: now)
    row = Page(browser.get(PAGE).text).table().rows[0]
    assert row["State"] == "Disabled 127.0.0.1 answered 410: moved away."
    page = Page(browser.get(path_of(channel)).text)
    assert "Nothing is sent." in page.main.text
    assert page.table("Newest messages").rows[0]["State"] == "Failed"
    page = Page(browser.post(page.form("/enable/").action, follow=True).text)
    assert "Enable again" not in page.buttons
    channel.refresh_from_db()
    assert channel.is_usable
    page = Page(browser.post(page.form("/disable/").action, follow=True).text)
    assert "Disabled by alice." in page.main.text


def test_addresses_and_their_states_are_shown(
    browser: Client, project: Project, mail_server: MailServer, now: datetime
) -> None:
    filled = {"name": "Mails", "addresses": "ada@example.com\nbob@example.com"}
    browser.post(f"{PAGE}new/?kind=email", filled)
    channel = Channel.objects.get()
    Recipient.objects.filter(address="ada@example.com").update(confirmed_at=now, link_due_at=None)
    row = Page(browser.get(PAGE).text).table().rows[0]
    assert row["Address"] == "ada@example.com and 1 more 1 of 2 addresses gets mails"
    page = Page(browser.get(path_of(channel)).text)
    states = {row["Address"]: row["State"] for row in page.table("Addresses").rows}
    assert states == {"ada@example.com": "Confirmed", "bob@example.com": "Not confirmed, a link is on its way"}
    bob = Recipient.objects.get(address="bob@example.com")
    answer = browser.post(f"{path_of(channel)}addresses/{bob.pk}/ask/", follow=True)
    assert "A link to bob@example.com is on its way" in Page(answer.text).text


def test_without_a_mail_server_the_page_says_so(browser: Client, project: Project) -> None:
    assert "No mail server is set up (CATALYST_MAIL_URL)." in Page(browser.get(f"{PAGE}new/?kind=email").text).text


def test_deleting_asks_for_nothing_that_nobody_uses(browser: Client, channel: Channel) -> None:
    page = Page(browser.get(path_of(channel)).text)
    assert "No alert sends to this channel." in page.main.text
    form = page.form("/delete/")
    assert browser.post(form.action, form.filled).headers["Location"] == PAGE
    assert browser.get(path_of(channel)).status_code == 404


def test_messages_are_paged(browser: Client, channel: Channel, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerts.views.channels.PAGE", 3)
    for number in range(5):
        message = make_message(title=f"Fired {number}")
        notify(channel.project_id, "alert.fired", f"key-{number}", message, [channel.pk], now=now)
    page = Page(browser.get(f"{path_of(channel)}messages/").text)
    assert [row["Message"].split(" alert")[0] for row in page.table().rows] == ["Fired 4", "Fired 3", "Fired 2"]
    older = Page(browser.get(f"{path_of(channel)}messages/{page.main.link('Older messages')}").text)
    assert len(older.table().rows) == 2
    assert not older.main.has_link("Older messages")


def test_a_list_takes_no_more_queries_for_more_channels(
    browser: Client, project: Project, now: datetime, django_assert_max_num_queries: Callable[..., object]
) -> None:
    counts = []
    for start in (0, 10):
        for number in range(start, start + 10):
            settings = {"addresses": f"a{number}@example.com, b{number}@example.com"}
            make_channel(project, f"Channel {number}", kind="email", settings=settings, now=now)
        with django_assert_max_num_queries(30) as queries:  # type: ignore[attr-defined]
            browser.get(PAGE)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert Delivery.objects.count() == 0
