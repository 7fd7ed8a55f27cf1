"""A session that ends while somebody works: nothing that was typed is lost."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.instance import Instance, sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def window(chromium: Browser, catalyst: Instance) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    sign_in(page, catalyst)
    yield page
    context.close()


def test_a_form_is_filled_again_after_signing_in(window: Page, catalyst: Instance) -> None:
    window.goto(f"{catalyst.url}/projects/new/")
    window.get_by_label("Name").fill("Ada's tests")
    window.context.clear_cookies()
    window.get_by_role("button", name="Create", exact=False).click()
    expect(window).to_have_url(re.compile(r"/login/\?next=/projects/new/$"))
    assert "Ada" not in window.url
    sign_in(window, catalyst)
    window.goto(f"{catalyst.url}/projects/new/")
    expect(window.get_by_label("Name")).to_have_value("Ada's tests")
    expect(window.locator("#toasts")).to_contain_text("Nothing was saved yet")
    window.get_by_role("button", name="Create", exact=False).click()
    expect(window).to_have_url(re.compile("/p/ada-s-tests/"))


def test_no_password_is_kept(window: Page, catalyst: Instance) -> None:
    window.goto(f"{catalyst.url}/profile/")
    window.context.clear_cookies()
    for field in window.locator("input[type=password]").all():
        field.fill("correct horse battery")
    window.locator("form:has(input[type=password]) button").click()
    expect(window.locator("#expired-session")).to_contain_text("Your session has expired")
    assert "horse" not in window.evaluate("JSON.stringify(sessionStorage)")


def test_a_fragment_says_that_the_session_ended_and_the_page_stays(window: Page, catalyst: Instance) -> None:
    catalyst.new_projects("stays")
    window.goto(f"{catalyst.url}/p/stays/settings/keys/")
    window.get_by_label("Name").fill("A key with a long name")
    window.context.clear_cookies()
    window.get_by_role("button", name=re.compile("key")).last.click()
    said = window.locator("#expired-session")
    expect(said).to_contain_text("Your session has expired")
    expect(said.get_by_role("link")).to_have_attribute(
        "href", re.compile(r"/login/\?next=%2Fp%2Fstays%2Fsettings%2Fkeys%2F$")
    )
    expect(window.get_by_label("Name")).to_have_value("A key with a long name")
    sign_in(window, catalyst)
    window.get_by_role("button", name=re.compile("key")).last.click()
    expect(window.get_by_role("cell", name="A key with a long name", exact=True)).to_be_visible()
