"""What people see while a request runs, and when one fails: there where it happened."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.instance import Instance, sign_in
from tests.processes import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TRAFFIC = """
from django.utils import timezone
from catalyst.core.models import Project
from tests.factories import make_agent, make_trace
project = Project.objects.get(slug="feedback")
make_trace(project, 1, now=timezone.now(), error="it broke")
print(make_agent(project).pk)
"""


@pytest.fixture(scope="module")
def agent(catalyst: Instance) -> str:
    """The id of an agent with one run, in the project Feedback."""
    catalyst.new_projects("feedback", "silent")
    return catalyst.shell(TRAFFIC)


@pytest.fixture
def window(chromium: Browser, catalyst: Instance, agent: str) -> Iterator[Page]:
    """A signed-in window, whose console may speak of failed requests."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    sign_in(page, catalyst)
    yield page
    context.close()


def broken(route: Route) -> None:
    route.fulfill(status=500, body="It broke.")


def unreachable(route: Route) -> None:
    route.abort("connectionrefused")


def fragments(page: Page, path: str, handler: Callable[[Route], None]) -> None:
    """Have this answer what htmx asks for at a path; whole pages come as ever."""

    def answer(route: Route) -> None:
        if "hx-request" in route.request.headers:
            handler(route)
        else:
            route.continue_()

    page.route(re.compile(re.escape(path)), answer)


def test_a_panel_that_fails_says_so_in_its_own_place_and_size(catalyst: Instance, window: Page, agent: str) -> None:
    fragments(window, f"/agents/{agent}/signals/", broken)
    window.goto(f"{catalyst.url}/p/feedback/agents/{agent}/")
    panel = window.locator("#agent-signals")
    expect(panel.get_by_role("alert")).to_contain_text("Not loaded: the server met an error (500).")
    expect(panel.locator(".skeleton").first).to_be_hidden()
    failed = panel.bounding_box()
    panel.locator(".failure").evaluate("note => note.remove()")
    expect(panel.locator(".skeleton").first).to_be_visible()
    assert failed == panel.bounding_box()


def test_a_panel_that_failed_can_be_tried_again(catalyst: Instance, window: Page, agent: str) -> None:
    fragments(window, f"/agents/{agent}/signals/", broken)
    window.goto(f"{catalyst.url}/p/feedback/agents/{agent}/")
    with window.expect_response(re.compile(f"/agents/{agent}/signals/")):
        window.get_by_role("alert").get_by_role("button", name="Try again").click()
    expect(window.get_by_role("alert")).to_have_count(1)
    window.unroute_all()
    window.get_by_role("button", name="Try again").click()
    expect(window.get_by_text("No signals yet")).to_be_visible()
    expect(window.get_by_role("alert")).to_have_count(0)


def test_a_poll_that_fails_says_so_once_and_recovers_by_itself(catalyst: Instance, window: Page) -> None:
    asked = []

    def down(route: Route) -> None:
        asked.append(route)
        unreachable(route)

    window.clock.install()
    window.goto(f"{catalyst.url}/p/silent/traces/")
    fragments(window, "/p/silent/traces/", down)
    for _ in range(3):
        with window.expect_event("requestfailed"):
            window.clock.run_for(2_000)
    expect(window.get_by_role("alert")).to_have_text(
        re.compile(r"Not up to date: the server can't be reached\. It is tried again by itself\.")
    )
    assert len(asked) >= 3
    window.unroute_all()
    with window.expect_event("requestfinished"):
        window.clock.run_for(2_000)
    expect(window.get_by_role("alert")).to_have_count(0)


def test_a_span_that_does_not_come_is_missed_where_it_would_stand(catalyst: Instance, window: Page) -> None:
    window.goto(f"{catalyst.url}/p/feedback/traces/{1:032x}/")
    fragments(window, "?span=", unreachable)
    window.locator("[data-tree] .open").nth(1).click()
    pane = window.locator("#span-pane")
    expect(pane.get_by_role("alert")).to_contain_text("Not loaded: the server can't be reached.")
    window.unroute_all()
    pane.get_by_role("button", name="Try again").click()
    expect(window).to_have_url(re.compile(r"[?&]span="))
    expect(window.get_by_role("alert")).to_have_count(0)


def test_a_form_that_fails_keeps_what_was_typed(catalyst: Instance, window: Page) -> None:
    window.goto(f"{catalyst.url}/p/feedback/settings/keys/")
    fragments(window, "/settings/keys/", broken)
    window.get_by_label("Name").fill("staging")
    window.get_by_role("button", name="Create key").click()
    form = window.locator("form", has=window.get_by_role("button", name="Create key"))
    expect(form.get_by_role("alert")).to_contain_text("Not done: the server met an error (500).")
    expect(window.get_by_label("Name")).to_have_value("staging")
    window.unroute_all()
    form.get_by_role("button", name="Try again").click()
    expect(window.get_by_role("cell", name="staging", exact=True)).to_be_visible()


def test_loading_is_shown_where_it_was_asked_for_but_not_at_once(catalyst: Instance, window: Page) -> None:
    held: list[Route] = []
    window.goto(f"{catalyst.url}/p/feedback/traces/{1:032x}/")
    fragments(window, "?span=", held.append)
    pane = window.locator("#span-pane")
    window.locator("[data-tree] .open").nth(1).click()
    expect(pane).to_have_css("animation-delay", "0.15s")
    expect(pane).to_have_css("opacity", "0.5")
    eventually(lambda: window.title() and held)
    held[0].continue_()
    expect(pane).to_have_css("opacity", "1")


def test_a_page_refreshes_itself_only_while_it_is_live(catalyst: Instance, window: Page, agent: str) -> None:
    window.clock.install()
    window.goto(f"{catalyst.url}/p/feedback/agents/{agent}/")
    live = window.get_by_role("button", name="Live")
    expect(live).to_have_attribute("aria-pressed", "true")
    with window.expect_response(re.compile(f"/agents/{agent}/$")):
        window.clock.run_for(31_000)

    live.click()
    window.reload()
    expect(live).to_have_attribute("aria-pressed", "false")
    asked: list[str] = []
    window.on("request", lambda request: asked.append(request.url))
    window.clock.run_for(91_000)
    assert asked == []
    live.click()
    with window.expect_response(re.compile(f"/agents/{agent}/$")):
        window.clock.run_for(31_000)


def test_a_page_that_stands_still_has_no_live_button(catalyst: Instance, window: Page) -> None:
    window.goto(f"{catalyst.url}/p/feedback/settings/")
    expect(window.get_by_role("button", name="Live")).to_be_hidden()
