"""An owner sets up channels in the browser: Slack's channels are chosen from a list, an address confirms itself."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from tests.alerts.mail_server import MailServer
from tests.alerts.service import Service, slack
from tests.conftest import database_copy
from tests.e2e import instance
from tests.e2e.instance import Instance, sign_in
from tests.processes import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("channels"), pytest.mark.timeout(600)]

CHANNELS = "/p/default/settings/channels/"


@dataclass(frozen=True)
class World:
    instance: Instance
    slack: Service
    mails: MailServer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An instance with a mail server, beside something that speaks like Slack."""
    with (
        Service(slack) as service,
        MailServer() as mails,
        database_copy("channels") as url,
        instance.started(
            tmp_path_factory.mktemp("channels"),
            DATABASE_URL=url,
            CATALYST_ALLOWED_PRIVATE_TARGETS=f"127.0.0.1:{service.port}",
            CATALYST_MAIL_URL=mails.url,
        ) as started,
    ):
        yield World(started, service, mails)


def test_a_channel_of_slack_is_chosen_and_tested(page: Page, world: World) -> None:
    sign_in(page, world.instance, "owner")
    page.goto(world.instance.url + CHANNELS)
    page.get_by_role("link", name="Slack, by bot").click()
    page.get_by_label("Address of the API").fill(f"{world.slack.url}/api")
    page.get_by_label("Bot token").fill("xoxb-bad")
    find = page.get_by_role("button", name="Show channels to choose from")
    find.click()
    expect(page.get_by_role("alert")).to_contain_text("invalid_auth")
    page.get_by_label("Bot token").fill("xoxb-good")
    find.click()
    page.get_by_role("combobox", name="Channel").select_option(label="#alerts")
    page.get_by_role("button", name="Save and test").click()
    expect(page.get_by_role("status").filter(has_text="Sent.")).to_contain_text("in C0ALERTS")
    posted = [asked.json for asked in world.slack.asked if asked.path == "/api/chat.postMessage"]
    assert [message["channel"] for message in posted] == ["C0ALERTS"]


def test_an_address_confirms_itself_and_gets_mail(page: Page, world: World) -> None:
    sign_in(page, world.instance, "owner")
    page.goto(f"{world.instance.url}{CHANNELS}new/?kind=email")
    page.get_by_label("Name").fill("Search team")
    page.get_by_label("Addresses").fill("ada@example.com")
    page.get_by_role("button", name="Save and test").click()
    expect(page.get_by_role("alert")).to_contain_text("No address of this channel gets mails")
    eventually(lambda: world.mails.mails)
    found = re.search(r"http://\S+", str(world.mails.mails[0].get_content()))
    assert found
    editor = page.url
    page.context.clear_cookies()
    page.goto(found[0])
    page.get_by_role("button", name="Confirm and get mails").click()
    expect(page.get_by_role("heading", name="Your address is confirmed")).to_be_visible()
    sign_in(page, world.instance, "owner")
    page.goto(editor.partition("?")[0])
    expect(page.get_by_role("row", name="ada@example.com")).to_contain_text("Confirmed")
    page.get_by_role("button", name="Send a test message").click()
    expect(page.get_by_role("status").filter(has_text="Sent.")).to_contain_text("took the mail to ada@example.com")
    assert world.mails.mails[-1]["Subject"].endswith("Test of the channel Search team")
