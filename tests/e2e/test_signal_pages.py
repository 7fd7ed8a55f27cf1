"""The editor of a signal in the browser: typed text is not lost."""

import re

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.e2e.instance import Instance, sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_leaving_the_editor_with_changes_asks(demo: Instance, page: Page) -> None:
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    sign_in(page, demo)
    page.goto(f"{demo.url}/p/demo/signals/new/?template=laziness")
    page.get_by_label("Name", exact=True).fill("Mine")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Traces").click(no_wait_after=True)
    expect(page).to_have_url(re.compile("template=laziness"))
    assert asked == ["beforeunload"]
    page.locator("summary", has_text="Laziness").click()
    page.get_by_role("button", name="Sentiment").click()
    expect(page.get_by_role("alert")).to_contain_text("Sentiment replaces the name, prompt and labels that you typed.")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Mine")
    page.get_by_label("Name", exact=True).fill("")
    page.get_by_role("button", name="Save draft").click()
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    assert asked == ["beforeunload"]


def test_the_editor_counts_the_prompt_while_it_is_typed(demo: Instance, page: Page) -> None:
    sign_in(page, demo)
    page.goto(f"{demo.url}/p/demo/signals/new/")
    counter = page.locator("#prompt-count")
    expect(counter).to_have_text("0")
    page.get_by_role("textbox", name="Prompt").fill(1_234 * "\N{GRINNING FACE}")
    expect(counter).to_have_text("1,234")
    page.get_by_role("textbox", name="Prompt").fill(20_001 * "x")
    expect(counter).to_have_class("bad-text")


def test_a_tooltip_in_a_row_shows_and_the_row_still_opens(demo: Instance, page: Page) -> None:
    sign_in(page, demo)
    page.goto(f"{demo.url}/p/demo/signals/?range=7d")
    row = page.locator("#signal-rows tr").first
    time = row.locator("time")
    time.hover()
    assert time.evaluate("element => element.matches(':hover')")
    time.click()
    page.wait_for_url(re.compile(r"/p/demo/signals/\d+/"))
