"""Everything can be reached, seen and done with the keyboard alone."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.instance import Instance, sign_in
from tests.e2e.pages import Stop

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def tab_to(page: Page, wanted: Locator, most: int = 80) -> None:
    """Press Tab until this has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{wanted} is not reached")


def test_keys_lead_from_the_first_page_to_a_session_and_back(demo: Instance, page: Page) -> None:
    sign_in(page, demo)
    page.goto(demo.url)
    switch = page.get_by_label(re.compile("^Project Default"))
    tab_to(page, switch)
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name=re.compile("^Demo")))
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/p/demo/traces/([?]|$)"))
    page.keyboard.type("ga")
    page.wait_for_url(re.compile("/p/demo/agents/([?]|$)"))
    page.keyboard.type("gt")
    page.wait_for_url(re.compile("/p/demo/traces/([?]|$)"))

    for key in "jjk":
        page.keyboard.press(key)
    names = page.locator(".list .open")
    expect(names.first).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/p/demo/traces/[0-9a-f]{32}/([?]|$)"))

    page.keyboard.press("j")
    expect(page.locator("[data-tree] .open").nth(1)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator("[data-tree] .open").nth(2)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.locator("[data-tree] .open").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"[?&]span="))
    expect(page.locator("[data-tree] tr").nth(2)).to_have_attribute("aria-selected", "true")

    page.keyboard.press("Home")
    tab_to(page, page.locator("dl.facts a[href*='/sessions/']"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Turn 1", exact=True)).to_be_visible()
    page.go_back()
    expect(page).to_have_url(re.compile("/p/demo/traces/[0-9a-f]{32}/"))


def test_keys_filter_and_escape_leaves_the_filter(demo: Instance, page: Page) -> None:
    sign_in(page, demo)
    page.goto(f"{demo.url}/p/demo/traces/?range=7d")
    page.keyboard.press("/")
    expect(page.get_by_role("combobox", name="Search or filter")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("combobox", name="Search or filter")).not_to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("research")
    page.keyboard.press("Enter")
    expect(page.get_by_text("text: research")).to_be_visible()


def test_space_checks_a_value_beside_the_list(demo: Instance, page: Page) -> None:
    sign_in(page, demo)
    page.goto(f"{demo.url}/p/demo/traces/?range=7d")
    page.get_by_role("checkbox", name="production").focus()
    page.keyboard.press("Space")
    expect(page).to_have_url(re.compile("environment=production"))
    expect(page.get_by_role("checkbox", name="production")).to_be_checked()


def test_the_list_of_keys_gives_the_focus_back(demo: Instance, page: Page) -> None:
    sign_in(page, demo)
    page.goto(f"{demo.url}/p/demo/signals/?range=7d")
    page.keyboard.press("j")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Shortcuts")).to_be_hidden()
    expect(page.locator(".list .open").first).to_be_focused()


@pytest.mark.parametrize("name", ["Project Demo", "Account of owner", "Custom"])
def test_menus_open_and_close_and_keep_the_focus(demo: Instance, page: Page, name: str) -> None:
    sign_in(page, demo)
    page.goto(f"{demo.url}/p/demo/traces/")
    summary = page.locator("summary", has_text=name).or_(page.locator(f"summary[aria-label^='{name}']"))
    tab_to(page, summary)
    menu = page.locator("details.menu", has=summary)
    page.keyboard.press("Enter")
    expect(menu).to_have_attribute("open", "")
    page.keyboard.press("Tab")
    expect(menu.locator(".float :focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    expect(summary).to_be_focused()


def test_a_region_that_refreshes_itself_keeps_the_chosen_row(demo: Instance, page: Page, stops: list[Stop]) -> None:
    sign_in(page, demo)
    page.clock.install()
    page.goto(demo.url + next(stop.path for stop in stops if stop.name == "signal"))
    rows = page.locator("#label-rows tr")
    for key in "jj":
        page.keyboard.press(key)
    first = rows.first.element_handle()
    page.clock.run_for(10_000)
    page.wait_for_function("row => !row.isConnected", arg=first, polling=50)
    expect(rows.nth(1).locator(".open")).to_be_focused()
    page.keyboard.press("j")
    expect(rows.nth(2).locator(".open")).to_be_focused()
