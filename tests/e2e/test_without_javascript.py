"""Every page can be read, left by its links and worked with where JavaScript is off."""

import re
from collections.abc import Iterator

import pytest
from django.urls import Resolver404, resolve
from playwright.sync_api import Browser, Page, expect

from tests.e2e import pages
from tests.e2e.instance import Instance, sign_in
from tests.e2e.pages import Stop

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


ADDRESSES = "links => links.map((link) => new URL(link.getAttribute('href'), document.baseURI).href)"


@pytest.fixture
def plain(chromium: Browser) -> Iterator[Page]:
    """A window that runs no script."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, java_script_enabled=False)
    yield context.new_page()
    context.close()


def test_every_page_can_be_read_and_every_link_leads_on(demo: Instance, plain: Page, stops: list[Stop]) -> None:
    kinds: dict[str, str] = {}
    for stop in pages.walk(plain, demo, stops):
        assert_it_can_be_read(plain, stop)
        if stop.person == pages.OWNER:
            for path in paths(plain, demo, stop):
                kinds.setdefault(kind(path), path)
    assert len(kinds) > 15
    sign_in(plain, demo)
    answers = {path: plain.request.get(demo.url + path).status for path in kinds.values()}
    assert {path: status for path, status in answers.items() if status != 200} == {}


def assert_it_can_be_read(plain: Page, stop: Stop) -> None:
    expect(plain.locator("h1").first, stop.name).to_have_text(re.compile(r"\S"))
    assert len(plain.locator("main, #content").first.inner_text()) > 20, stop
    for late in plain.locator("[hx-trigger=load], [hx-trigger*=revealed]").all():
        expect(late.locator("a[href]").or_(late.and_(plain.locator("a[href]"))), stop.name).not_to_have_count(0)
    for button in plain.locator("button[type=button]").all():
        expect(button, stop.name).not_to_be_visible()


def paths(plain: Page, demo: Instance, stop: Stop) -> list[str]:
    """The paths and queries of all links of a page."""
    links = plain.locator("a[href]").evaluate_all(ADDRESSES)
    assert [link for link in links if not link.startswith(demo.url)] == [], stop.name
    return [link.removeprefix(demo.url).partition("#")[0] for link in links]


def kind(path: str) -> str:
    """Which page a link leads to, and which parameters it gives."""
    place, _, query = path.partition("?")
    try:
        return f"{resolve(place).view_name} {sorted(re.findall(r'(?:^|&)(\w+)=', query))}"
    except Resolver404:
        return f"unknown {place}"


@pytest.mark.usefixtures("stops")
def test_forms_work(demo: Instance, plain: Page) -> None:
    sign_in(plain, demo)
    plain.goto(f"{demo.url}/p/demo/traces/?range=7d&status=error")
    plain.get_by_role("combobox", name="Search or filter").fill("research")
    plain.keyboard.press("Enter")
    expect(plain.get_by_text("text: research")).to_be_visible()
    expect(plain.get_by_text("status is error")).to_be_visible()
    plain.get_by_role("combobox", name="Search or filter").fill("environment = production")
    plain.keyboard.press("Enter")
    expect(plain.get_by_text("environment is production")).to_be_visible()
    expect(plain.get_by_text("text: research")).to_be_visible()
    plain.get_by_role("link", name="Show filters with counts").click()
    plain.get_by_role("checkbox", name="production").click()
    expect(plain.get_by_text("environment is production")).to_have_count(0)

    plain.goto(f"{demo.url}/p/empty/settings/keys/")
    plain.get_by_label("Name").fill("script-free")
    plain.get_by_role("button", name="Create key").click()
    expect(plain.get_by_text(re.compile("cat_")).first).to_be_visible()

    plain.goto(f"{demo.url}/p/empty/settings/members/")
    plain.get_by_role("button", name="Create invite link").click()
    expect(plain.get_by_text("/invitations/").first).to_be_visible()

    plain.goto(f"{demo.url}/p/demo/signals/new/?template=sentiment")
    plain.get_by_label("Name", exact=True).fill("Without scripts")
    plain.get_by_role("button", name="Save draft").click()
    expect(plain.get_by_role("heading", name="Without scripts")).to_be_visible()


def test_filters_are_folded_on_a_phone(demo: Instance, plain: Page) -> None:
    plain.set_viewport_size({"width": 390, "height": 844})
    sign_in(plain, demo)
    plain.goto(f"{demo.url}/p/demo/traces/?range=7d&status=error")
    link = plain.get_by_role("link", name="Show filters with counts")
    expect(link).to_be_hidden()
    plain.get_by_text("Filters 1").click()
    link.click()
    plain.get_by_role("radio", name="OK").click()
    expect(plain.get_by_text("status is ok")).to_be_visible()
