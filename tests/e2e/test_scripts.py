"""What the scripts of pages do: keys, times, copying, the theme, and silence while nobody looks."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import silent_window
from tests.e2e.instance import Instance, sign_in
from tests.e2e.pages import Stop

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

BAR = ".bars .point path"
FIRST_FILL = f"() => getComputedStyle(document.querySelector('{BAR}')).fill"


@pytest.fixture
def paths(stops: list[Stop]) -> dict[str, str]:
    """Addresses of the demo's pages by name."""
    return {stop.name: stop.path for stop in stops}


@pytest.fixture
def window(chromium: Browser, demo: Instance) -> Iterator[Page]:
    """A signed-in window that may use the clipboard."""
    with silent_window(chromium) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        sign_in(page, demo)
        yield page


def test_a_chart_is_drawn_again_in_the_new_theme(demo: Instance, window: Page, paths: dict[str, str]) -> None:
    window.emulate_media(color_scheme="light")
    window.goto(demo.url + paths["agent"])
    window.locator(BAR).first.wait_for(state="attached")
    light = window.evaluate(FIRST_FILL)
    window.locator("[data-theme-toggle]").click()
    window.wait_for_function(f"light => ({FIRST_FILL})() !== light", arg=light)
    assert window.evaluate("document.documentElement.dataset.theme") == "dark"
    window.reload()
    assert window.evaluate("document.documentElement.dataset.theme") == "dark"


def test_brackets_lead_from_label_to_label(demo: Instance, window: Page, paths: dict[str, str]) -> None:
    window.goto(demo.url + paths["signal"])
    window.keyboard.press("j")
    window.keyboard.press("Enter")
    after = window.locator("[data-walk=after][href]")
    after.wait_for()
    first, second = window.url, str(after.get_attribute("href"))
    window.keyboard.press("]")
    window.wait_for_url(lambda url: url != first)
    assert second in window.url
    window.keyboard.press("[")
    window.wait_for_url(first)


def test_keys_of_the_browser_stay_the_browsers(demo: Instance, window: Page, paths: dict[str, str]) -> None:
    window.goto(demo.url + paths["traces"])
    rows = window.locator("tr.at")
    for key in ("Control+j", "Alt+j", "Meta+j"):
        window.keyboard.press(key)
    expect(rows).to_have_count(0)
    window.keyboard.press("j")
    expect(rows).to_have_count(1)


def test_times_go_on_while_a_page_is_open(demo: Instance, window: Page, paths: dict[str, str]) -> None:
    now = datetime.now(UTC)
    window.clock.install(time=now)
    window.goto(demo.url + paths["trace"])
    window.evaluate(
        """then => document.body.insertAdjacentHTML("beforeend", `<time data-ago datetime="${then}">?</time>`)""",
        (now - timedelta(seconds=30)).isoformat(),
    )
    shown = window.locator("body > time[data-ago]")
    for seconds, text in ((10, "40 s ago"), (170, "3 min ago"), (7_000, "2 h ago"), (172_800, "2 d ago")):
        window.clock.run_for(1_000 * seconds)
        expect(shown).to_have_text(text)


def test_a_page_that_nobody_sees_asks_nothing(demo: Instance, window: Page, paths: dict[str, str]) -> None:
    asked: list[str] = []
    window.on("request", lambda request: asked.append(request.url))
    window.clock.install()
    window.goto(demo.url + paths["agents"])
    window.wait_for_load_state("networkidle")
    window.evaluate("Object.defineProperty(document, 'hidden', {get: () => window.unseen ?? true})")
    asked.clear()
    window.clock.run_for(91_000)
    assert asked == []
    window.evaluate("window.unseen = false")
    with window.expect_request(re.compile("/agents/")):
        window.clock.run_for(31_000)


@pytest.mark.usefixtures("stops")
def test_copying_takes_what_is_shown(demo: Instance, window: Page) -> None:
    window.goto(f"{demo.url}/p/empty/traces/")
    tabs = window.get_by_role("radio")
    copied = set()
    for number in range(tabs.count()):
        tabs.nth(number).check(force=True)
        window.get_by_role("button", name="Copy the snippet").click()
        expect(window.get_by_text("Copied").first).to_be_attached()
        shown = next(code for code in window.locator(".card pre:visible").all() if code.inner_text().strip())
        text = window.evaluate("navigator.clipboard.readText()")
        assert text == shown.inner_text().strip()
        copied.add(text)
    assert len(copied) == tabs.count() > 1
