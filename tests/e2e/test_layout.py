"""Pages stand still, fit their window and are light."""

import pytest
from playwright.sync_api import Page, Request

from tests.e2e import pages
from tests.e2e.instance import Instance
from tests.e2e.pages import Stop

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LIGHT = 150_000
"""Bytes that a page may weigh, without the library that draws charts."""
STEADY = 0.02
"""Cumulative layout shift; a quarter of what web.dev calls good and nobody sees."""
WATCH = """
    window.shifts = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
        if (!entry.hadRecentInput) window.shifts += entry.value;
    })).observe({ type: "layout-shift", buffered: true });
"""


@pytest.mark.parametrize("width", [390, 1024, 1280])
def test_no_page_is_wider_than_its_window(demo: Instance, page: Page, stops: list[Stop], width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    widths = {
        stop.name: page.evaluate("document.documentElement.scrollWidth") for stop in pages.walk(page, demo, stops)
    }
    assert {name: found for name, found in widths.items() if found > width} == {}


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_jumps_while_panels_load(demo: Instance, page: Page, stops: list[Stop], width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.add_init_script(WATCH)
    shifts = {}
    for stop in pages.walk(page, demo, stops):
        page.wait_for_load_state("networkidle")
        shifts[stop.name] = page.evaluate("new Promise((done) => setTimeout(() => done(window.shifts), 100))")
    assert {name: shift for name, shift in shifts.items() if shift >= STEADY} == {}


def test_every_page_is_light_when_nothing_is_cached(demo: Instance, page: Page, stops: list[Stop]) -> None:
    page.context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
    finished: list[Request] = []

    def note(request: Request) -> None:
        finished.append(request)

    page.on("requestfinished", note)
    weights = {}
    for stop in pages.walk(page, demo, stops):
        page.wait_for_load_state("networkidle")
        sizes = [request.sizes() for request in finished if "plotly" not in request.url]
        weights[stop.name] = sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)
        finished.clear()
    assert all(weights.values())
    assert {name: weight for name, weight in weights.items() if weight >= LIGHT} == {}
