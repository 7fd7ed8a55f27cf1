"""Alerts in the browser: from the chart of a signal to a saved alert, with the rule in words and its backtest."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.alerts.service import Service, slack
from tests.e2e.instance import Instance, sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SIGNAL = "SELECT id FROM signals_signal WHERE name = 'Task outcome' ORDER BY id LIMIT 1"


@pytest.fixture
def service() -> Iterator[Service]:
    """Something that speaks like Slack."""
    with Service(slack) as service:
        yield service


def test_from_a_chart_to_a_saved_alert(demo: Instance, page: Page, service: Service) -> None:
    """Its channel is tested first: the answer of the service is shown."""
    ((signal,),) = demo.query(SIGNAL)
    sign_in(page, demo)
    page.goto(f"{demo.url}/p/demo/settings/channels/new/?kind=slack")
    page.get_by_label("Name").fill("Chart watchers")
    page.get_by_label("URL").fill(f"{service.url}/services/T0/B0/X0")
    page.get_by_role("button", name="Save and test").click()
    expect(page.get_by_role("status").filter(has_text="Sent.")).to_have_text("Sent. ok")
    assert [asked.path for asked in service.asked] == ["/services/T0/B0/X0"]
    page.goto(f"{demo.url}/p/demo/signals/{signal}/?range=7d")
    page.get_by_role("link", name="Create alert").click()
    beside = page.get_by_role("complementary", name="Rule and backtest")
    expect(beside).to_contain_text("Fires when")
    expect(page.get_by_label("Window")).to_have_value("6h")
    page.get_by_label("Metric").select_option("label_volume")
    page.get_by_label("Threshold").fill("3")
    page.get_by_label("Window").select_option("24h")
    expect(beside).to_contain_text("Fires when there are at least 3 labels in 24 hours.")
    expect(page.get_by_label("Label", exact=True)).to_be_hidden()
    page.get_by_label("Threshold").fill("x")
    expect(beside).to_contain_text("Threshold: Enter a number")
    page.get_by_label("Comparison").select_option("pct_change")
    page.get_by_label("Threshold").fill("10")
    expect(beside).to_contain_text("at least 10% more labels than in the 24 hours before")
    beside.get_by_text("14d", exact=True).click()
    expect(beside.get_by_role("radio", name="14d")).to_be_checked()
    page.get_by_label("Chart watchers").check()
    page.get_by_role("button", name="Create").click()
    expect(page).to_have_url(re.compile(r"/alerts/\d+/\?range=7d$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Task outcome: labels up 10%")
    expect(page.get_by_label("Rule", exact=True)).to_contain_text("Chart watchers")


def test_another_signal_brings_its_metrics_and_keeps_the_page(demo: Instance, page: Page) -> None:
    sign_in(page, demo)
    page.goto(f"{demo.url}/p/demo/alerts/new/")
    choice = page.get_by_label("Watch", exact=True)
    for metric, name in (("value_share", "Task outcome"), ("true_rate", "User frustration")):
        option = choice.locator("option", has_text=name).first.get_attribute("value")
        choice.select_option(option)
        expect(page.get_by_label("Metric")).to_have_value(metric)
        expect(page).to_have_url(re.compile(f"subject={option}"))
    page.on("dialog", lambda dialog: dialog.dismiss())
    page.get_by_label("Name").fill("Typed")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Traces").click(no_wait_after=True)
    expect(page.get_by_label("Name")).to_have_value("Typed")


AGENT = "SELECT id FROM agents_agent WHERE identity = 'demo-support'"


def test_an_agents_numbers_have_their_units(demo: Instance, page: Page) -> None:
    ((agent,),) = demo.query(AGENT)
    sign_in(page, demo)
    page.goto(f"{demo.url}/p/demo/agents/{agent}/alerts/?range=7d")
    page.get_by_role("link", name="New alert").click()
    expect(page.get_by_label("Metric")).to_have_value("error_rate")
    # Scripts run before that, and what is typed earlier asks for no backtest.
    page.wait_for_load_state()
    beside = page.get_by_role("complementary", name="Rule and backtest")
    threshold = page.locator("#row-threshold")
    for metric, unit, words in (
        ("p95_latency", "seconds", "the 95th percentile of latency in 6 hours is at least 7 s"),
        ("cost", "US dollars", "the traces of 6 hours cost at least $7"),
        ("tokens", "tokens", "the traces of 6 hours use at least 7 tokens"),
        ("runs", "traces", "there are at least 7 traces in 6 hours"),
    ):
        page.get_by_label("Metric").select_option(metric)
        page.get_by_label("Threshold").fill("7")
        expect(beside).to_contain_text(words)
        expect(threshold.get_by_text(unit, exact=True)).to_be_visible()
        chance = page.get_by_label("Only when the value is more than chance")
        expect(chance).to_be_visible(visible=metric not in {"cost", "tokens"})
    page.get_by_role("button", name="Create").click()
    expect(page).to_have_url(re.compile(r"/alerts/\d+/\?range=7d$"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("traces at least 7 in 6 hours")


def test_the_list_refreshes_itself_and_keeps_the_selection_and_the_focus(demo: Instance, page: Page) -> None:
    sign_in(page, demo)
    for name in ("Chosen one", "Focused one"):
        page.goto(f"{demo.url}/p/demo/alerts/new/")
        page.get_by_label("Name").fill(name)
        page.get_by_role("button", name="Create").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
    page.clock.install()
    page.goto(f"{demo.url}/p/demo/alerts/")
    page.wait_for_load_state()
    chosen = page.get_by_label("Select Chosen one")
    chosen.check()
    link = page.locator("#alert-rows").get_by_role("link", name="Focused one")
    link.focus()
    page.locator("#alert-rows tr").first.evaluate("row => row.dataset.old = 'yes'")
    with page.expect_response(lambda response: response.url.endswith("/alerts/")):
        page.clock.run_for(31_000)
    expect(page.locator("#alert-rows tr[data-old]")).to_have_count(0)
    expect(chosen).to_be_checked()
    expect(page.locator("#bulk")).to_contain_text("1 selected")
    expect(link).to_be_focused()
