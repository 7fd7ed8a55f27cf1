"""Times in the zone of the reader, or in UTC by choice. Sums keep the hours and days of UTC."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.instance import Instance, sign_in
from tests.e2e.pages import Stop
from tests.e2e.test_charts import click_the_highest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ZONES = pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
FIRST_TITLE = ".strip .hit title"
TRAFFIC = """
from datetime import UTC, datetime, timedelta
from django.utils import timezone
from catalyst.core.models import Project
from tests.factories import make_trace
now = timezone.now()
make_trace(Project.objects.get(slug="zones"), 1, now=now)
print((now - timedelta(seconds=2)).strftime("%H:%M:%S"))
"""


@contextmanager
def window_in(chromium: Browser, instance: Instance, zone: str) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, timezone_id=zone)
    page = context.new_page()
    sign_in(page, instance)
    yield page
    context.close()


def local(moment: str, zone: str) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC).astimezone(ZoneInfo(zone))


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_times_are_local_and_name_their_zone(chromium: Browser, catalyst: Instance) -> None:
    catalyst.new_projects("zones")
    utc = catalyst.shell(TRAFFIC)
    with window_in(chromium, catalyst, "Asia/Tokyo") as page:
        page.goto(f"{catalyst.url}/p/zones/traces/{1:032x}/")
        started = page.locator("dl.facts time").first
        expect(started).to_have_text(re.compile(r"\d+ \w+ \d\d:\d\d:\d\d GMT\+9$"))
        expect(started).to_have_attribute("title", re.compile(" UTC$"))
        page.get_by_label("Account of").click()
        page.get_by_role("button", name="Times in Asia/Tokyo: show UTC").click()
        expect(started).to_have_text(re.compile(rf"{utc} UTC$"))
        page.reload()
        expect(started).to_have_text(re.compile(rf"{utc} UTC$"))


@ZONES
def test_a_range_is_typed_in_the_zone_of_the_reader(demo: Instance, chromium: Browser, zone: str) -> None:
    with window_in(chromium, demo, zone) as page:
        page.goto(f"{demo.url}/p/demo/traces/?status=error")
        page.locator(".ranges summary").click()
        page.get_by_label(re.compile(rf"^From \({zone[:5]}")).fill("2026-03-02T08:00")
        page.get_by_label(re.compile(rf"^To \({zone[:5]}")).fill("2026-03-02T17:30")
        page.get_by_role("button", name="Show", exact=True).click()
        page.wait_for_url(re.compile("from="))
        start, end = query(page)["from"][0], query(page)["to"][0]
        assert query(page)["status"] == ["error"]
        assert f"{local(start, zone):%d %H:%M}" == "02 08:00"
        assert f"{local(end, zone):%d %H:%M}" == "02 17:30"
        expect(page.locator(".ranges summary")).to_have_text(
            re.compile(r"^2 Mar( \d{4})? 08:00 to 17:30 (EST|GMT\+5:30)$")
        )


def test_a_range_is_typed_in_utc_by_choice_and_without_javascript(demo: Instance, chromium: Browser) -> None:
    with window_in(chromium, demo, "Asia/Kolkata") as page:
        page.goto(f"{demo.url}/p/demo/traces/?from=2026-03-02T08:00&to=2026-03-02T17:00")
        page.get_by_label("Account of").click()
        page.get_by_role("button", name="show UTC").click()
        page.locator(".ranges summary").click()
        expect(page.get_by_label("From (UTC)")).to_have_value("2026-03-02T08:00")
        page.get_by_label("To (UTC)").fill("2026-03-02T18:00")
        page.get_by_role("button", name="Show", exact=True).click()
        page.wait_for_url(re.compile("to=2026-03-02T18%3A00"))
    context = chromium.new_context(timezone_id="Asia/Kolkata", java_script_enabled=False)
    page = context.new_page()
    sign_in(page, demo)
    page.goto(f"{demo.url}/p/demo/traces/?from=2026-03-02T08:00&to=2026-03-02T17:00")
    expect(page.locator(".ranges summary")).to_have_text("2 Mar 08:00 to 17:00 UTC")
    page.locator(".ranges summary").click()
    expect(page.get_by_label("From (UTC)")).to_have_value("2026-03-02T08:00")
    context.close()


@ZONES
def test_the_strip_and_the_charts_say_local_times_of_the_same_bars(
    demo: Instance, stops: list[Stop], chromium: Browser, zone: str
) -> None:
    (path,) = (stop.path for stop in stops if stop.name == "agent")
    with window_in(chromium, demo, zone) as page:
        page.goto(f"{demo.url}/p/demo/traces/?range=1d")
        names = page.locator(".strip .axis text").all_text_contents()
        assert len(names) >= 4
        assert all(re.fullmatch(r"\d+ \w+|(03|06|09|12|15|18|21):00", name) for name in names), names
        expect(page.locator(".strip .zone")).to_have_text(re.compile(r"^(E[SD]T|GMT\+5:30)$"))
        title = page.locator(FIRST_TITLE).first.text_content() or ""
        start = parse_qs(str(page.locator(".strip .draw a").first.get_attribute("href")).lstrip("?"))["from"][0]
        assert title.startswith(f"{local(start, zone):%-d %b %H:%M} ")
        page.goto(demo.url + path)
        page.wait_for_load_state("networkidle")
        chart = page.locator("[data-chart]").first
        expect(chart.locator(".xtick text").first).to_have_text(re.compile(r"^\d+ \w+$"))
        expect(chart.get_by_text(re.compile(r"^(E[SD]T|GMT\+5:30)$"))).to_be_attached()
        clicked = click_the_highest(page, chart)
        length = datetime.fromisoformat(clicked["to"][0]) - datetime.fromisoformat(clicked["from"][0])
        assert length == timedelta(hours=3)
        assert datetime.fromisoformat(clicked["from"][0]).minute == 0


def test_bars_of_a_day_are_those_of_utc(demo: Instance, stops: list[Stop], chromium: Browser) -> None:
    (path,) = (stop.path for stop in stops if stop.name == "agent")
    with window_in(chromium, demo, "Asia/Kolkata") as page:
        page.goto(f"{demo.url}/p/demo/traces/?range=90d")
        expect(page.locator(".strip .zone")).to_have_text("UTC day")
        assert re.match(r"\d+ \w+, UTC day: ", page.locator(FIRST_TITLE).last.text_content() or "")
        page.goto(demo.url + path.replace("7d", "90d"))
        expect(page.locator("[data-chart]").first.get_by_text("UTC day")).to_be_attached()


def test_the_clock_may_change_within_a_range(demo: Instance, chromium: Browser) -> None:
    with window_in(chromium, demo, "Europe/Berlin") as page:
        page.goto(f"{demo.url}/p/demo/traces/?from=2026-03-28T12:00&to=2026-03-30T12:00")
        ticks = page.locator(".strip .axis text")
        expect(ticks).to_have_text(["18:00", "29 Mar", "06:00", "12:00", "18:00", "30 Mar", "06:00"])
        places = [float(str(tick.get_attribute("x")).rstrip("%")) * 0.48 for tick in ticks.all()]
        assert [round(after - before) for before, after in pairwise(places)] == [6, 5, 6, 6, 6, 6]
        # Both ends are 02:30 on the clock.
        twice = "from=2026-10-25T00%3A30&to=2026-10-25T01%3A30"
        page.goto(f"{demo.url}/p/demo/traces/?{twice}")
        expect(page.locator(".ranges summary")).to_have_text(
            re.compile(r"^25 Oct( 2026)? 02:30 GMT\+2 to 02:30 GMT\+1$")
        )
        page.locator(".ranges summary").click()
        for field in ("From", "To"):
            expect(page.get_by_label(f"{field} (Europe/Berlin)")).to_have_value("2026-10-25T02:30")
        with page.expect_navigation():
            page.get_by_role("button", name="Show", exact=True).click()
        assert page.url.endswith(twice)
