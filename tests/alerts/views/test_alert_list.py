"""The list of alerts, the rail, and the tabs of signals and agents."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from alerts import operations
from alerts.models import Alert, AlertState
from alerts.rules import Level, Problem
from alerts.views import alert_list
from catalyst.core.models import AuditEntry, Project, User
from signals.models import Signal
from tests.factories import make_agent, make_alert, make_channel, make_event, make_signal
from tests.page import Page

pytestmark = pytest.mark.real_clock

DASH = "\N{EN DASH}"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PAGE = "/p/default/alerts/"


@pytest.fixture
def browser(client_as: Callable[[User], Client], bob: User) -> Client:
    """A member's."""
    return client_as(bob)


@pytest.fixture
def signal(project: Project) -> Signal:
    return make_signal(make_agent(project))


def names(browser: Client, query: str = "", at: str = PAGE) -> list[str]:
    return [row.links[0][0] for row in Page(browser.get(f"{at}{query}").text).table().rows]


def bulk(browser: Client, action: str, *alerts: Alert, **about: Any) -> Page:
    data = {"do": action, "alert": [alert.pk for alert in alerts], **about}
    return Page(browser.post(f"{PAGE}bulk/", data, follow=True).text)


def test_without_alerts_it_says_what_they_are_and_leads_to_a_signal(browser: Client, project: Project) -> None:
    page = Page(browser.get(PAGE).text)
    assert "Hear about a change without watching" in page.headings
    assert page.main.link("Send traces") == "/p/default/agents/"
    signal = make_signal(make_agent(project))
    page = Page(browser.get(f"{PAGE}?range=7d").text)
    assert page.main.link("support-bot") == f"{PAGE}new/?range=7d&agent={signal.agent_id}"
    assert page.main.link("Refund wanted") == f"{PAGE}new/?range=7d&signal={signal.pk}"


def test_viewers_are_not_led_to_the_editor(
    client_as: Callable[[User], Client], viewer: User, signal: Signal, now: datetime
) -> None:
    browser = client_as(viewer)
    assert "Ask an owner for the member role" in Page(browser.get(PAGE).text).text
    make_alert(signal, now=now)
    page = Page(browser.get(PAGE).text)
    assert not page.main.has_link("New alert")
    assert page.table().columns[0] == "State"
    assert [form.action for form in page.main.forms if form.is_post] == []


def test_it_shows_every_alert_firing_first(browser: Client, signal: Signal, now: datetime) -> None:
    channels = [make_channel(signal.project, name, now=now).pk for name in ("#oncall", "Mail")]
    make_alert(signal, now=now, name="A calm one", metric="label_volume", threshold=1500)
    firing = make_alert(signal, now=now - 9 * DAY, name="B fires", channels=channels)
    for ago in (8 * DAY, 2 * DAY, 5 * MINUTE):
        make_event(firing, now - ago)
    page = Page(browser.get(PAGE).text)
    first, second = page.table().rows
    assert first["State"] == "Firing"
    assert first["Alert"] == "B fires Refund wanted: Share of “yes” in 1 hour"
    assert (first["Now"], first["Last fired"], first["Channels"]) == ("40% at least 30%", "5 min ago", "#oncall, Mail")
    assert first["7 days"] == "2 in 7 days"
    assert (second["State"], second["Now"], second["7 days"]) == ("OK", f"{DASH} at least 1,500", "0 in 7 days")
    assert page.main.link("1 firing") == "?state=firing"
    events = Page(browser.get(first.link("2")).text).table("What happened, newest first")
    assert [row["Event"] for row in events.rows] == ["Fired", "Fired"]


def test_the_rail_counts_what_fires(browser: Client, signal: Signal, now: datetime) -> None:
    assert Page(browser.get("/p/default/traces/").text).region("Main").has_link("Alerts")
    alerts = [make_alert(signal, now=now - DAY, name=name) for name in ("a", "b", "c", "d")]
    for alert in alerts:
        make_event(alert, now)
    operations.disable(alerts[0], now)
    AlertState.objects.filter(alert=alerts[1]).update(problem=Problem.INVALID)
    rail = Page(browser.get("/p/default/traces/").text).region("Main")
    assert rail.link("Alerts 2 firing") == PAGE
    assert len(names(browser, "?state=firing")) == 2
    assert Page(browser.get("/profile/").text).region("Main").link("Alerts 2 firing") == PAGE


def test_it_filters(browser: Client, project: Project, signal: Signal, now: datetime) -> None:
    other = make_signal(make_agent(project, "other-bot"), name="Elsewhere")
    make_alert(signal, now=now, name="First")
    second = make_alert(other, now=now, name="Second")
    make_event(second, now)
    assert names(browser, "?q=elsewhere") == names(browser, "?state=firing") == ["Second"]
    assert names(browser, f"?agent={signal.agent_id}") == ["First"]
    page = Page(browser.get(f"{PAGE}?q=nothing&range=7d").text)
    assert "No alerts match" in page.headings
    assert page.main.link("Clear filters") == "?range=7d"
    assert "There is no such choice." in Page(browser.get(f"{PAGE}?state=odd").text).text


def test_archived_alerts_have_a_list_of_their_own(browser: Client, signal: Signal, now: datetime) -> None:
    make_alert(signal, now=now, name="Kept")
    operations.archive(make_alert(signal, now=now, name="Old"), now)
    page = Page(browser.get(PAGE).text)
    assert names(browser) == ["Kept"]
    assert names(browser, page.main.link("1 archived")) == ["Old"]
    operations.archive(Alert.objects.get(name="Kept"), now)
    assert "All alerts are archived" in Page(browser.get(PAGE).text).headings


def test_it_continues_behind_the_last_row(
    browser: Client, signal: Signal, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_list, "PAGE", 2)
    for name in ("e", "d", "c", "b", "a"):
        make_alert(signal, now=now - DAY, name=name)
    make_event(Alert.objects.get(name="d"), now)
    page = Page(browser.get(f"{PAGE}?q=refund").text)
    found = [row.links[0][0] for row in page.table().rows]
    for _ in range(2):
        page = Page(browser.get(PAGE + page.link("Load more"), headers={"HX-Request": "true"}).text)
        assert not page.is_whole
        found += [row.links[0][0] for row in page.rows]
    assert found == ["d", "a", "b", "c", "e"]
    assert not page.has_link("Load more")


def test_it_changes_several_alerts(browser: Client, signal: Signal, now: datetime) -> None:
    alerts = [make_alert(signal, now=now, name=name) for name in ("a", "b", "c")]
    first, second, third = alerts
    assert "2 alerts muted. Events are kept." in bulk(browser, "mute", first, second, hours="24").text
    first.refresh_from_db()
    assert first.muted_until is not None
    assert now + DAY <= first.muted_until < now + DAY + HOUR
    row = Page(browser.get(PAGE).text).table().row(1)
    assert row["State"] == "OK muted"
    assert "1 alert unmuted" in bulk(browser, "unmute", first).text
    assert "3 alerts disabled" in bulk(browser, "disable", *alerts).text
    assert "1 alert enabled" in bulk(browser, "enable", third).text
    page = bulk(browser, "archive", first, second)
    assert "Archive 2 alerts?" in page.headings
    assert not Alert.objects.archived().exists()
    assert "2 alerts archived" in bulk(browser, "archive", first, second, sure="yes").text
    assert names(browser) == ["c"]
    assert AuditEntry.objects.filter(kind="alert", actor_name="bob").count() == 9


@pytest.mark.parametrize(("action", "count"), [("enable", 0), ("odd", 1)])
def test_it_changes_nothing_without_alerts_or_an_action(
    browser: Client, signal: Signal, now: datetime, action: str, count: int
) -> None:
    alerts = [make_alert(signal, now=now) for _ in range(count)]
    assert "Select at least one alert" in bulk(browser, action, *alerts).text


def test_signals_and_agents_have_their_alerts_in_a_tab(
    browser: Client, project: Project, signal: Signal, now: datetime
) -> None:
    other = make_signal(signal.agent, name="Other")
    elsewhere = make_signal(make_agent(project, "other-bot"))
    for each, name in ((signal, "a"), (other, "b"), (elsewhere, "c")):
        make_alert(each, now=now, name=name)
    of_signal, of_agent = f"/p/default/signals/{signal.pk}/alerts/", f"/p/default/agents/{signal.agent_id}/alerts/"
    assert names(browser, at=of_signal) == ["a"]
    assert names(browser, at=of_agent) == ["a", "b"]
    page = Page(browser.get(f"{of_signal}?range=7d").text)
    assert page.region("Signal").current == ["Alerts"]
    assert page.main.link("New alert") == f"{PAGE}new/?range=7d&signal={signal.pk}"
    assert page.main.link("a").endswith("/?range=7d")
    assert Page(browser.get(of_agent).text).region("Agent").current == ["Alerts"]
    operations.archive(Alert.objects.get(name="a"), now)
    assert "No alerts yet" in Page(browser.get(of_signal).text).headings


@pytest.mark.parametrize("address", [PAGE, "/p/default/signals/{signal}/alerts/", "/p/default/agents/{agent}/alerts/"])
def test_more_alerts_need_no_more_queries(browser: Client, signal: Signal, now: datetime, address: str) -> None:
    url = address.format(signal=signal.pk, agent=signal.agent_id)
    channels = [make_channel(signal.project, name, now=now).pk for name in ("#oncall", "Mail")]
    counts = []
    for ten in range(2):
        for number in range(10):
            alert = make_alert(signal, now=now - DAY, name=f"{ten} {number}", channels=channels)
            make_event(alert, now)
        with CaptureQueriesContext(connection) as queries:
            assert len(Page(browser.get(url).text).table().rows) == 10 * (ten + 1)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_it_draws_the_last_day_against_the_threshold(browser: Client, signal: Signal, now: datetime) -> None:
    alert = make_alert(signal, now=now - DAY)
    assert not Page(browser.get(PAGE).text).all("//*[local-name()='svg' and contains(@class, 'spark')]")
    AlertState.objects.filter(alert=alert).update(recent=[0.1, None, 0.3])
    (drawn,) = Page(browser.get(PAGE).text).all("//*[local-name()='svg' and contains(@class, 'spark')]")
    assert drawn.attribute("aria-label") == "The last 24 hours, and the threshold"
    assert len(drawn.all(".//*[local-name()='polyline']")) == 3


def test_the_list_is_polled_with_the_number_that_fires(browser: Client, signal: Signal, now: datetime) -> None:
    first = make_alert(signal, now=now, name="First")
    page = Page(browser.get(PAGE).text)
    assert "firing" not in page.part("firing-count").text
    AlertState.objects.filter(alert=first).update(level=Level.FIRING)
    polled = browser.get(PAGE, headers={"HX-Request": "true"}).text
    assert "1 firing" in polled
    assert Page(polled).part("firing-count").text == "1 firing"
    after = browser.get(f"{PAGE}?after=0_{first.pk}", headers={"HX-Request": "true"}).text
    assert "firing-count" not in after
