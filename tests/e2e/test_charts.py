"""A click on a bar of a chart narrows the page to its time, and keeps the rest of the query."""

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page

from tests.e2e.instance import Instance, sign_in
from tests.e2e.pages import Stop

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def click_a_bar(page: Page) -> dict[str, list[str]]:
    """Click the tallest bar of the first chart; returns the query of the page that follows."""
    page.wait_for_load_state("networkidle")
    chart = page.locator("[data-chart][data-href]").first
    chart.scroll_into_view_if_needed()
    boxes = [box for bar in chart.locator(".bars path").all() if (box := bar.bounding_box())]
    tallest = max(boxes, key=lambda box: box["height"])
    place = tallest["x"] + tallest["width"] / 2, tallest["y"] + tallest["height"] / 2
    page.mouse.move(*place)
    chart.locator(".hoverlayer > *").first.wait_for(state="attached")  # a click is one on what is hovered over
    with page.expect_navigation():
        page.mouse.click(*place)
    return parse_qs(urlsplit(page.url).query)


@pytest.mark.parametrize(
    ("name", "kept"), [("signal", {"show": ["share"], "status": ["labelled"]}), ("agent", {"attribute": ["a=b&c"]})]
)
def test_it_narrows_the_page_to_a_bar(
    demo: Instance, stops: list[Stop], page: Page, name: str, kept: dict[str, list[str]]
) -> None:
    (path,) = (stop.path for stop in stops if stop.name == name)
    sign_in(page, demo)
    page.goto(f"{demo.url}{path}&after=1&" + {"signal": "show=share", "agent": "attribute=a%3Db%26c"}[name])
    query = click_a_bar(page)
    assert set(query) == {"from", "to", *kept}
    assert kept.items() <= query.items()
