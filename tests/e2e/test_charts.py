"""A click on a bar or point of a chart narrows the page to its time, and keeps the rest of the query."""

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page

from tests.e2e.instance import Instance, sign_in
from tests.e2e.pages import Stop

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# Where the highest point of the first series is, and the query that belongs to it.
HIGHEST = """chart => {
  const { y, x, customdata } = chart.data[0];
  const index = y.indexOf(Math.max(...y));
  const { xaxis, yaxis } = chart._fullLayout;
  const isBar = chart.data[0].type === "bar";
  const box = chart.getBoundingClientRect();
  const height = yaxis.d2p(isBar ? y[index] / 2 : y[index]);
  return {
    x: box.x + xaxis._offset + xaxis.d2p(x[index]), y: box.y + yaxis._offset + height, query: customdata[index],
  };
}"""


def click_the_highest(page: Page, chart: Locator) -> dict[str, list[str]]:
    """Click the highest point of a chart; returns the query that belongs to it."""
    chart.scroll_into_view_if_needed()
    place = chart.evaluate(HIGHEST)
    page.mouse.move(place["x"], place["y"])
    chart.locator(".hoverlayer > *").first.wait_for(state="attached")  # a click is one on what is hovered over
    with page.expect_navigation():
        page.mouse.click(place["x"], place["y"])
    return parse_qs(place["query"])


@pytest.mark.parametrize(
    ("name", "kept"), [("signal", {"show": ["share"], "status": ["labelled"]}), ("agent", {"attribute": ["a=b&c"]})]
)
def test_each_chart_narrows_the_page_to_what_was_clicked(
    demo: Instance, stops: list[Stop], page: Page, name: str, kept: dict[str, list[str]]
) -> None:
    (path,) = (stop.path for stop in stops if stop.name == name)
    address = f"{demo.url}{path}&after=1&" + {"signal": "show=share", "agent": "attribute=a%3Db%26c"}[name]
    sign_in(page, demo)
    page.goto(address)
    charts = page.locator("[data-chart][data-href]")
    charts.first.wait_for()
    for number in range(charts.count()):
        page.goto(address)
        page.wait_for_load_state("networkidle")
        of_bar = click_the_highest(page, charts.nth(number))
        query = parse_qs(urlsplit(page.url).query)
        assert set(of_bar) >= {"from", "to"}
        assert query == of_bar | kept
