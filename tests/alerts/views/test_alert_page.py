"""The page of an alert: its state, its values, its events and what is done with it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from alerts import operations
from alerts.models import Alert, AlertEvent, AlertState, Channel, Delivery
from alerts.rules import Problem
from alerts.views import alert_detail
from catalyst.core.models import Project, User
from catalyst.timerange import floor
from signals.models import SettledMinute, Signal, SignalVersion
from tests.factories import make_agent, make_alert, make_channel, make_event, make_signal
from tests.page import Page

pytestmark = pytest.mark.real_clock

DASH = "\N{EN DASH}"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def browser(client_as: Callable[[User], Client], bob: User) -> Client:
    """A member's."""
    return client_as(bob)


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    """Published long ago: creation is stamped with the machine's time."""
    signal = make_signal(make_agent(project), active_since=now - 40 * DAY)
    SignalVersion.objects.update(created_at=now - 40 * DAY)
    return signal


@pytest.fixture
def alert(signal: Signal, now: datetime) -> Alert:
    return make_alert(signal, now=now - 3 * DAY, cooldown_minutes=60)


def settle(signal: Signal, at: datetime, **values: int) -> None:
    """Labels of targets that settled in this minute."""
    of_version: dict[str, Any] = {"version_id": signal.current_version_id, "is_live": True, "outcome": "done"}
    minute = floor(at, MINUTE)
    rows = [SettledMinute(**of_version, minute=minute, value=value, count=count) for value, count in values.items()]
    SettledMinute.objects.bulk_create(rows)


def page_of(browser: Client, alert: Alert, query: str = "") -> Page:
    response = browser.get(f"/p/default/alerts/{alert.pk}/{query}")
    assert response.status_code == 200
    return Page(response.text)


def do(browser: Client, alert: Alert, action: str, **data: Any) -> Page:
    return Page(browser.post(f"/p/default/alerts/{alert.pk}/{action}/", data, follow=True).text)


def deliver(event: AlertEvent, channel: Channel, now: datetime, **about: Any) -> None:
    fields = {"kind": "alert.fired", "message": {}, "created_at": now, "due_at": now, "event_key": event.key}
    Delivery.objects.create(project=channel.project, channel=channel, **fields | about)


def test_it_says_what_the_alert_does_and_how_it_stands(browser: Client, alert: Alert, now: datetime) -> None:
    page = page_of(browser, alert)
    rule = page.region("Rule")
    assert "Fires when at least 30% of the labels of an hour are “yes”." in rule.text
    assert "Fires again after 1 hour at the earliest." in rule.text
    assert (rule.facts["Now"], rule.facts["Evaluated"], rule.facts["Last fired"]) == (DASH, "not yet", "never")
    assert rule.facts["Created"].endswith("by Catalyst")
    make_event(alert, now - 4 * MINUTE)
    AlertState.objects.update(requested=64)
    rule = page_of(browser, alert).region("Rule")
    assert (rule.facts["Now"], rule.facts["Threshold"]) == ("40%", "at least 30%")
    assert (rule.facts["Last fired"], rule.facts["Labels"]) == ("4 min ago", "50 of 64 judged")
    assert rule.link("Refund wanted") == f"/p/default/signals/{alert.signal_id}/"


@pytest.mark.parametrize(
    ("about", "words"),
    [
        (
            {"problem": Problem.INVALID, "reason": "The signal no longer has the label."},
            "Invalid: The signal no longer",
        ),
        ({"problem": Problem.NO_DATA, "reason": "There are too few labels."}, "No data: There are too few labels."),
        ({"problem": Problem.DELAYED, "reason": "The judge is late."}, "Delayed: The judge is late."),
    ],
)
def test_it_names_a_problem(browser: Client, alert: Alert, about: dict[str, Any], words: str) -> None:
    AlertState.objects.update(**about)
    assert words in page_of(browser, alert).main.text


def test_a_change_from_zero_has_words(browser: Client, signal: Signal, now: datetime) -> None:
    alert = make_alert(signal, now=now, comparison="pct_change", threshold=10)
    make_event(alert, now - MINUTE, observed=None)
    AlertState.objects.update(value=None)
    page = page_of(browser, alert)
    assert page.region("Rule").facts["Now"] == "up from zero"
    assert page.table("What happened, newest first").row(1)["Value"] == "up from zero"


def test_its_chart_has_the_values_the_thresholds_and_the_events(browser: Client, signal: Signal, now: datetime) -> None:
    alert = make_alert(signal, now=now - DAY, window="5m", warning=0.2)
    assert "No value in the last 24 hours" in page_of(browser, alert).text
    settle(signal, now - 3 * HOUR, yes=4, no=4)
    settle(signal, now - 2 * HOUR, no=8)
    make_event(alert, floor(now - 3 * HOUR, MINUTE) + MINUTE)
    figure = page_of(browser, alert).figures["metric-over-time"]
    values = [value for value in figure["data"][0]["y"] if value is not None]
    assert (max(values), min(values)) == (50, 0)
    lines = [shape for shape in figure["layout"]["shapes"] if shape.get("xref") == "paper"]
    assert [(line["y0"], line["name"]) for line in lines] == [(30, "negative"), (20, "warn")]
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["fired"]
    assert "metric-over-time" not in page_of(browser, alert, "?from=2026-01-01T10:00&to=2026-01-01T12:00").figures


def test_it_lists_events_with_what_was_sent(browser: Client, alert: Alert, project: Project, now: datetime) -> None:
    sent, failed = make_channel(project, "#oncall", now=now), make_channel(project, "Pager", now=now)
    mail = make_channel(project, "Team", now=now)
    event = make_event(alert, now - 10 * MINUTE)
    deliver(event, sent, now, state="sent", ended_at=now)
    deliver(event, failed, now, state="failed", ended_at=now, error="channel_not_found")
    for address in ("ada@example.com", "bob@example.com"):
        deliver(event, mail, now, state="sent", ended_at=now, address=address)
    make_event(alert, now - 5 * MINUTE, "resolved", observed=0.1, requested=52, silenced="The alert was muted.")
    make_event(alert, now - 30 * HOUR)
    resolved, fired = page_of(browser, alert).table("What happened, newest first").rows
    assert (resolved["Event"], resolved["Value"]) == ("Resolved", "10%")
    assert (resolved["Labels"], resolved["Told"]) == ("50 of 52 judged labels", "Nobody was told. The alert was muted.")
    assert (fired["Event"], fired["Value"], fired["Labels"]) == ("Fired", "40%", "50 labels")
    assert fired["Told"] == "#oncall: sent Pager: failed channel_not_found Team: 2 sent"
    page = page_of(browser, alert, "?range=3d")
    assert [row["Event"] for row in page.table("What happened, newest first").rows] == ["Resolved", "Fired", "Fired"]
    assert page.region("Filter by kind").link("Fired") == "?range=3d&kind=fired"
    page = page_of(browser, alert, "?range=3d&kind=resolved")
    assert len(page.table("What happened, newest first").rows) == 1
    assert "No channel was told." in page_of(browser, alert, "?range=3d").text


def test_owners_are_led_to_the_messages_of_a_channel(
    client_as: Callable[[User], Client], alice: User, alert: Alert, project: Project, now: datetime
) -> None:
    channel = make_channel(project, "#oncall", now=now)
    deliver(make_event(alert, now - MINUTE), channel, now)
    page = page_of(client_as(alice), alert)
    assert page.main.link("#oncall: queued") == f"/p/default/settings/channels/{channel.pk}/messages/"


def test_events_keep_the_unit_of_the_rule_as_it_was(browser: Client, alert: Alert, now: datetime) -> None:
    rule = {"metric": "label_volume", "comparison": "absolute", "threshold": 5, "window": "1h"}
    make_event(alert, now - MINUTE, rule=rule, observed=12)
    assert page_of(browser, alert).table("What happened, newest first").row(1)["Value"] == "12"


def test_more_events_follow(browser: Client, alert: Alert, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_detail, "PAGE", 2)
    for minutes in range(1, 6):
        make_event(alert, now - minutes * MINUTE)
    page = page_of(browser, alert, "?range=6h")
    found = len(page.table("What happened, newest first").rows)
    for _ in range(2):
        address = f"/p/default/alerts/{alert.pk}/{page.link('Load more')}"
        page = Page(browser.get(address, headers={"HX-Request": "true"}).text)
        found += len(page.rows)
    assert (found, page.has_link("Load more")) == (5, False)


def test_more_events_need_no_more_queries(browser: Client, alert: Alert, project: Project, now: datetime) -> None:
    channel = make_channel(project, now=now)
    counts = []
    for ten in range(2):
        for number in range(10):
            deliver(make_event(alert, now - (1 + number + 10 * ten) * MINUTE), channel, now)
        with CaptureQueriesContext(connection) as queries:
            page_of(browser, alert)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_its_buttons_change_it(browser: Client, alert: Alert, now: datetime) -> None:
    page = do(browser, alert, "mute", hours="8")
    assert "Muted until" in page.main.text
    assert "Unmute" in page.buttons
    assert "is unmuted" in do(browser, alert, "unmute").text
    assert "This alert is disabled." in do(browser, alert, "disable").main.text
    assert "looks at labels from now on" in do(browser, alert, "enable").text
    assert "Archive 1 alert?" in do(browser, alert, "archive").headings
    do(browser, alert, "archive", sure="yes")
    page = page_of(browser, alert)
    assert "This alert is archived." in page.main.text
    assert "Archived" in page.main.text
    assert page.main.buttons == ["Unarchive"]
    assert "An archived alert can't be enabled" in do(browser, alert, "enable").text
    do(browser, alert, "unarchive")
    alert.refresh_from_db()
    assert alert.archived_at is None


def test_an_odd_mute_is_one_of_an_hour(browser: Client, alert: Alert, now: datetime) -> None:
    do(browser, alert, "mute", hours="1000000")
    alert.refresh_from_db()
    assert alert.muted_until is not None
    assert now < alert.muted_until < now + 2 * HOUR


def test_unarchiving_says_what_is_in_the_way(
    browser: Client, alert: Alert, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations.archive(alert, now)
    monkeypatch.setattr(operations, "MAX_ALERTS_OF_SIGNAL", 0)
    assert "can't have more" in do(browser, alert, "unarchive").text


def test_viewers_see_it_without_buttons(
    client_as: Callable[[User], Client], viewer: User, alert: Alert, now: datetime
) -> None:
    make_event(alert, now)
    page = page_of(client_as(viewer), alert)
    assert "Firing" in page.main.text
    assert [form.action for form in page.main.forms if form.is_post] == []
