"""The signals of one agent, as a tab and as a section of its overview."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst.core.models import Project, User
from signals import operations
from signals.definitions import definition
from signals.models import Label, Signal
from tests.factories import make_agent, make_label, make_labels, make_signal
from tests.page import Page, Part

pytestmark = pytest.mark.real_clock

HTMX = {"HX-Request": "true"}


def page_of(project: Project) -> str:
    return f"/p/default/agents/{make_agent(project).pk}/signals/"


def rate_of(browser: Client, project: Project) -> tuple[Part, Part]:
    """The chart of the only signal, and the change of its rate."""
    (figure,) = Page(browser.get(page_of(project), headers=HTMX).text).all("//figure")
    (change,) = figure.all(".//span[contains(@class, 'delta')]")
    return figure, change


def drawn(browser: Client, project: Project, query: str) -> dict[str, str]:
    """The points of the lines of cost and failures, by name."""
    page = Page(browser.get(f"{page_of(project)}?{query}", headers=HTMX).text)
    lines = page.all("//svg[contains(@aria-label, ' over ')]/polyline")
    return {line.element.getparent().get("aria-label").split()[0]: line.attribute("points") for line in lines}


def test_it_shows_what_the_signals_of_the_agent_found(browser: Client, project: Project, now: datetime) -> None:
    agent = make_agent(project)
    signal = make_signal(agent, name="Refund <wanted>", active_since=now - timedelta(hours=1))
    for label, value in zip(make_labels(signal, project, 4, now=now), ("yes", "no", "no", "no"), strict=True):
        Label.objects.filter(pk=label.pk).update(status="done", value=value, labelled_at=now)
    make_signal(agent, name="Still a draft")
    make_signal(make_agent(project, "other"), name="Of another agent")
    operations.archive(make_signal(agent, name="Put away"), now)
    page = Page(browser.get(page_of(project)).text)
    table = page.region("All signals").table()
    assert {row["Signal"] for row in table.rows} == {"Refund <wanted>", "Still a draft"}
    row = table.row("Refund <wanted>")
    assert row["State"].startswith("Active")
    assert row["Share of labels"].endswith("yes 25.0%")
    assert row["Labels"] == "4 labels"
    assert row.link("Refund <wanted>").startswith(signal.get_absolute_url())
    assert table.row("Still a draft")["Share of labels"] == "Not running yet"
    assert "Of another agent" not in page.text
    assert "Put away" not in page.text


def test_it_is_a_section_for_htmx(browser: Client, project: Project) -> None:
    make_signal(make_agent(project))
    response = browser.get(page_of(project), headers=HTMX)
    page = Page(response.text)
    assert not page.is_whole
    assert page.region("Active signals").attribute("id") == "agent-signals"
    assert "HX-Request" in response.headers["Vary"]


def test_it_offers_the_first_signal(
    browser: Client, client_as: Callable[[User], Client], viewer: User, project: Project
) -> None:
    section = Page(browser.get(page_of(project)).text).region("Active signals")
    assert "No signals yet." in section.text
    assert section.link("New signal") == "/p/default/signals/new/?agent=support-bot"
    assert not Page(client_as(viewer).get(page_of(project)).text).has_link("New signal")


def test_it_asks_as_often_for_many_signals_as_for_few(browser: Client, project: Project, now: datetime) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(page_of(project)).status_code == 200
        return len(captured)

    for number in range(10):
        make_signal(make_agent(project), name=f"Signal {number}", active_since=now)
    few = queries()
    for number in range(10, 20):
        make_signal(make_agent(project), name=f"Signal {number}", active_since=now)
    assert queries() == few


def label_all(signal: Signal, values: Sequence[str], first: int, *, now: datetime) -> None:
    """Labels with these values, of runs from number `first` on that began at `now`."""
    for number, value in enumerate(values, first):
        make_label(signal, number, now=now, value=value)


def test_it_shows_how_often_the_bad_label_is_given_against_the_period_before(
    browser: Client, project: Project, now: datetime
) -> None:
    then = now - timedelta(hours=30)
    signal = make_signal(make_agent(project), active_since=now - timedelta(days=3))
    label_all(signal, ["yes"] * 2 + ["no"] * 38, 1, now=then)
    label_all(signal, ["yes"] * 30 + ["no"] * 10, 41, now=now)
    rate, change = rate_of(browser, project)
    assert rate.link("Refund wanted").startswith(signal.get_absolute_url())
    assert "75.0% yes" in rate.text
    assert [mark.text for mark in rate.all(".//*[@class='negative']")] == ["75.0%"]
    assert (change.text, change.attribute("title")) == ("up 70.0 points", "from 5.0%")
    assert change.attribute("class").split() == ["delta", "bad"]


def test_it_leaves_grey_what_may_be_chance(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(days=3))
    label_all(signal, ["yes", "no", "no", "no"], 1, now=now - timedelta(hours=30))
    label_all(signal, ["yes", "yes", "no", "no"], 5, now=now)
    _, change = rate_of(browser, project)
    assert (change.text, change.attribute("title")) == ("up 25.0 points", "from 25.0%")
    assert change.attribute("class").split() == ["delta"]


def test_it_compares_with_nothing_less_than_the_whole_period_before(
    browser: Client, project: Project, now: datetime
) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(hours=40))
    label_all(signal, ["no"] * 4, 1, now=now - timedelta(hours=30))
    label_all(signal, ["yes"] * 4, 5, now=now)
    rate, change = rate_of(browser, project)
    assert "100% yes" in rate.text
    assert change.text == ""


def test_it_compares_no_version_with_another(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(days=3))
    label_all(signal, ["no"] * 4, 1, now=now - timedelta(hours=30))
    operations.publish_version(signal, definition.Definition(type="binary", prompt="Now?", sample_rate=100))
    signal.refresh_from_db()
    label_all(signal, ["yes"] * 4, 5, now=now)
    rate, change = rate_of(browser, project)
    assert "100% yes" in rate.text
    assert change.text == ""
    week = Page(browser.get(page_of(project), {"range": "7d"}, headers=HTMX).text)
    assert "8 labels of versions 1 and 2, for 8 of 8 sampled traces" in week.text


def test_it_leaves_a_gap_where_nothing_was_judged(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(days=3))
    for first, hours in enumerate((9, 8, 2), 1):
        label_all(signal, ["yes"], first, now=now - timedelta(hours=hours))
    rate, _ = rate_of(browser, project)
    assert len(rate.all(".//polyline")) == 2


def test_it_lists_the_names_of_those_that_do_not_fit(browser: Client, project: Project, now: datetime) -> None:
    for number in range(6):
        make_signal(make_agent(project), name=f"Signal {number}", active_since=now)
    section = Page(browser.get(page_of(project), headers=HTMX).text)
    assert len(section.all("//figure")) == 3
    assert {name for name, _ in section.links} == {"All signals", *(f"Signal {number}" for number in range(6))}


def test_it_says_how_many_labels_a_rate_is_of_and_what_they_cost(
    browser: Client, project: Project, now: datetime
) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(hours=1))
    first, second, third, _ = (label.pk for label in make_labels(signal, project, 4, now=now))
    Label.objects.filter(pk__in=[first, second]).update(status="done", value="yes", labelled_at=now, cost="0.01")
    Label.objects.filter(pk=third).update(status="failed", error="The judge is broken.")
    rate, _ = rate_of(browser, project)
    assert "2 labels, for 2 of 4 sampled traces" in rate.text
    assert "judge cost $0.0200 1 failed" in rate.text


@pytest.mark.parametrize("query", ["range=1h", "range=1d", "range=7d"])
def test_it_draws_what_failed_and_what_judging_cost(
    browser: Client, project: Project, now: datetime, query: str
) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(hours=1))
    first, second = (label.pk for label in make_labels(signal, project, 2, now=now))
    Label.objects.filter(pk=first).update(status="done", value="yes", labelled_at=now)
    assert drawn(browser, project, query) == {}
    Label.objects.filter(pk=first).update(cost="0.01")
    Label.objects.filter(pk=second).update(status="failed", error="The judge is broken.")
    lines = drawn(browser, project, query)
    assert set(lines) == {"Cost", "Failed"}
    for points in lines.values():
        heights = [float(point.split(",")[1]) for point in points.split()]
        assert heights.count(1) == 1
        assert heights.count(21) == len(heights) - 1
