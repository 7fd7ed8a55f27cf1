"""Pages stand still, fit their window and are light."""

from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, Request

from tests.e2e import pages
from tests.e2e.conftest import silent_window
from tests.e2e.instance import Instance
from tests.e2e.pages import Stop

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LIGHT = 150_000
"""Bytes that a page may weigh, without the library that draws charts."""
STEADY = 0.02
"""Cumulative layout shift; a quarter of what web.dev calls good and nobody sees."""
# New traffic moves rows, too, but a page that stands still loads all of its panels.
WATCH = """
    try { localStorage.setItem("live", "off"); } catch { /* about:blank has none */ }
    window.shifts = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
        if (!entry.hadRecentInput) window.shifts += entry.value;
    })).observe({ type: "layout-shift", buffered: true });
"""


NARROW, WIDE = 390, 1440
WIDTHS = (NARROW, 1024, 1280)
"""In ascending order: a page that shrinks needs a moment for its charts."""


@dataclass
class Measures:
    """Measures of one page."""

    weight: int
    overflows: dict[int, int]
    shifts: dict[int, float]


@pytest.fixture(scope="module")
def measures(demo: Instance, chromium: Browser, stops: list[Stop]) -> dict[str, Measures]:
    """The measures of each page, by its name."""
    with silent_window(chromium) as page:
        page.context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
        page.add_init_script(WATCH)
        page.set_viewport_size({"width": NARROW, "height": 900})
        finished: list[Request] = []

        def note(request: Request) -> None:
            finished.append(request)

        page.on("requestfinished", note)
        found = {}
        for stop in pages.walk(page, demo, stops):
            found[stop.name] = measure(page, finished)
            page.set_viewport_size({"width": NARROW, "height": 900})
            finished.clear()
        return found


def measure(page: Page, finished: list[Request]) -> Measures:
    """Measure a page that loads at the narrow width, then widen it and load it again."""
    shifts = {NARROW: layout_shift(page)}
    sizes = [request.sizes() for request in finished if "plotly" not in request.url]
    weight = sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)
    overflows = {width: overflow(page, width) for width in WIDTHS}
    page.set_viewport_size({"width": WIDE, "height": 900})
    page.reload()
    shifts[WIDE] = layout_shift(page)
    return Measures(weight, overflows, shifts)


def layout_shift(page: Page) -> float:
    """The cumulative layout shift of a page since its load."""
    page.wait_for_load_state("networkidle")
    return float(page.evaluate("new Promise((done) => setTimeout(() => done(window.shifts), 100))"))


def overflow(page: Page, width: int) -> int:
    """Pixels by which a page is wider than a window of this width."""
    page.set_viewport_size({"width": width, "height": 900})
    return max(0, int(page.evaluate("document.documentElement.scrollWidth")) - width)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_its_window(measures: dict[str, Measures], width: int) -> None:
    assert [name for name, found in measures.items() if found.overflows[width]] == []


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_nothing_jumps_while_panels_load(measures: dict[str, Measures], width: int) -> None:
    assert [name for name, found in measures.items() if found.shifts[width] >= STEADY] == []


def test_every_page_is_light_when_nothing_is_cached(measures: dict[str, Measures]) -> None:
    assert all(found.weight for found in measures.values())
    assert {name: found.weight for name, found in measures.items() if found.weight >= LIGHT} == {}
