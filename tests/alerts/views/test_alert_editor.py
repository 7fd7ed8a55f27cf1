"""The editor of an alert, and the backtest beside it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from alerts import operations
from alerts.models import Alert
from alerts.rules import Level
from catalyst.agents.models import Agent
from catalyst.core.models import AuditEntry, Project, User
from catalyst.timerange import floor
from signals import operations as signal_operations
from signals.definitions.definition import Definition
from signals.models import SettledMinute, Signal, SignalVersion
from tests.factories import (
    make_agent,
    make_alert,
    make_channel,
    make_event,
    make_label,
    make_signal,
    make_traces,
    settle_all,
)
from tests.page import Page

pytestmark = pytest.mark.real_clock

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NEW, BACKTEST = "/p/default/alerts/new/", "/p/default/alerts/backtest/"
HTMX = {"HX-Request": "true", "HX-Target": "backtest"}


@pytest.fixture
def browser(client_as: Callable[[User], Client], bob: User) -> Client:
    """A member's."""
    return client_as(bob)


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    """A binary, published long ago."""
    signal = make_signal(make_agent(project), active_since=now - 40 * DAY)
    SignalVersion.objects.update(created_at=now - 40 * DAY)
    return signal


@pytest.fixture
def outcome(project: Project) -> Signal:
    """One with labels of its own."""
    return make_signal(make_agent(project), name="Outcome", labels=("done", "failed", "gone"))


def typed(signal: Signal, **about: Any) -> dict[str, Any]:
    """What a form sends."""
    return {"signal": signal.pk, **typed_rule(), **about}


def typed_rule() -> dict[str, Any]:
    rule = {"metric": "true_rate", "comparison": "absolute", "operator": "gte", "threshold": "30", "window": "1h"}
    return {"min_label_count": "0", "cooldown_minutes": "60", **rule}


def settle(signal: Signal, start: datetime, minutes: int, **values: int) -> None:
    """Minutes in each of which so many targets settled."""
    of_version: dict[str, Any] = {"version_id": signal.current_version_id, "is_live": True, "outcome": "done"}
    first = floor(start, MINUTE)
    rows = [
        SettledMinute(**of_version, minute=first + minute * MINUTE, value=value, count=count)
        for minute in range(minutes)
        for value, count in values.items()
    ]
    SettledMinute.objects.bulk_create(rows)


def test_it_creates_what_is_typed(browser: Client, signal: Signal, project: Project) -> None:
    channel = make_channel(project, now=signal.created_at)
    page = Page(browser.get(NEW).text)
    assert page.field("Only when the value is more than chance").element.get("checked") is not None
    about = {"name": "Too many", "warning": "12.5", "min_label_count": "20", "channels": [channel.pk]}
    response = browser.post(
        f"{NEW}?range=7d&signal={signal.pk}&label=yes", typed(signal, only_significant="on", **about)
    )
    alert = Alert.objects.get()
    assert response.headers["Location"] == f"/p/default/alerts/{alert.pk}/?range=7d"
    assert (alert.name, alert.signal, alert.metric, alert.threshold, alert.warning) == (
        "Too many",
        signal,
        "true_rate",
        0.3,
        0.125,
    )
    assert (alert.min_label_count, alert.cooldown_minutes, alert.only_significant) == (20, 60, True)
    assert (alert.notify_no_data, list(alert.channels.all()), alert.created_by_name) == (False, [channel], "bob")


@pytest.mark.parametrize(
    ("about", "threshold"),
    [
        ({"metric": "label_volume", "threshold": "1,500"}, 1500),
        ({"threshold": "7%"}, 0.07),
        ({"comparison": "pct_change", "threshold": "-50", "operator": "lte"}, -50),
    ],
)
def test_people_type_percent_and_thousands(
    browser: Client, signal: Signal, about: dict[str, Any], threshold: float
) -> None:
    browser.post(NEW, typed(signal, **about))
    assert Alert.objects.get().threshold == threshold


def test_an_alert_without_a_name_is_named_after_its_rule(browser: Client, signal: Signal) -> None:
    for _ in range(2):
        browser.post(NEW, typed(signal))
    names = ["Refund wanted: yes at least 30%", "Refund wanted: yes at least 30% (2)"]
    assert sorted(Alert.objects.values_list("name", flat=True)) == names


@pytest.mark.parametrize(
    ("about", "label", "error"),
    [
        ({"threshold": "130"}, "Threshold", "Enter a percentage from 0 to 100"),
        ({"threshold": ""}, "Threshold", "Enter a number"),
        ({"threshold": "many"}, "Threshold", "Enter a number"),
        ({"threshold": "NaN"}, "Threshold", "Enter a number"),
        ({"warning": "40"}, "Warn from", "A warning comes first, so it is below the threshold"),
        ({"min_label_count": "-1"}, "Only with", "Enter a whole number from 0 to 1,000,000"),
        ({"name": "x" * 101}, "Name", "Enter up to 100 characters"),
    ],
)
def test_errors_stand_beside_their_fields_and_what_was_typed_stays(
    browser: Client, signal: Signal, about: dict[str, Any], label: str, error: str
) -> None:
    response = browser.post(NEW, typed(signal, window="6h", **about))
    assert response.status_code == 422
    page = Page(response.text)
    (value,) = about.values()
    assert (page.field(label).value, page.field(label).errors) == (value, [error])
    assert page.choice("Window").chosen == ["6 hours"]
    assert "Not saved." in page.main.text
    assert not Alert.objects.exists()


def test_a_taken_name_is_an_error_of_the_name(browser: Client, signal: Signal, now: datetime) -> None:
    make_alert(signal, now=now, name="Taken")
    page = Page(browser.post(NEW, typed(signal, name="Taken")).text)
    assert page.field("Name").errors == ["support-bot already has an alert with this name"]


def test_it_offers_what_fits_the_signal(browser: Client, signal: Signal, outcome: Signal) -> None:
    page = Page(browser.get(f"{NEW}?signal={signal.pk}").text)
    assert list(page.choice("Metric").options) == ["Number of labels", "Share of yes"]
    page = Page(browser.get(f"{NEW}?signal={outcome.pk}").text)
    assert list(page.choice("Metric").options) == ["Number of labels", "Number of one label", "Share of one label"]
    assert list(page.choice("Label").options) == ["done", "failed", "gone"]
    assert "Cost" not in page.main.text
    response = browser.post(NEW, typed(signal, metric="cost"))
    assert response.status_code == 422
    page = Page(browser.post(NEW, typed(signal) | {"signal": outcome.pk, "then": "choose"}).text)
    assert page.choice("Label").chosen == ["failed"]


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ("label=gone&range=1d", ("Share of one label", "gone", "1 hour")),
        ("label=odd&range=7d", ("Share of one label", "failed", "6 hours")),
        ("range=1h", ("Share of one label", "failed", "5 minutes")),
        ("range=90d", ("Share of one label", "failed", "48 hours")),
        ("", ("Share of one label", "failed", "1 hour")),
    ],
)
def test_it_begins_with_what_was_on_the_screen(
    browser: Client, outcome: Signal, query: str, chosen: tuple[str, ...]
) -> None:
    page = Page(browser.get(f"{NEW}?signal={outcome.pk}&{query}").text)
    assert tuple(page.choice(each).chosen[0] for each in ("Metric", "Label", "Window")) == chosen


def test_the_chart_of_a_signal_leads_to_it(browser: Client, outcome: Signal, now: datetime) -> None:
    make_label(outcome, now=now, value="failed")
    page = Page(browser.get(f"{outcome.get_absolute_url()}?label=failed&range=7d&bars=day").text)
    address = page.main.link("Create alert")
    assert address == f"{NEW}?label=failed&range=7d&signal={outcome.pk}"
    assert Page(browser.get(address).text).choice("Label").chosen == ["failed"]


def test_a_signal_that_is_gone_is_not_replaced_by_another(
    browser: Client, signal: Signal, outcome: Signal, now: datetime
) -> None:
    signal_operations.archive(signal, now)
    response = browser.post(NEW, typed(signal))
    assert response.status_code == 422
    assert "There is no such signal or agent." in Page(response.text).main.text
    assert not Alert.objects.exists()


def test_without_a_signal_it_leads_to_one(browser: Client, project: Project) -> None:
    page = Page(browser.get(NEW).text)
    assert "First, a signal" in page.headings
    assert Page(browser.post(NEW, {}).text).main.link("Create a signal") == "/p/default/signals/"


def test_it_lists_the_first_signals_and_says_so(
    browser: Client, signal: Signal, outcome: Signal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.views.alert_editor.MAX_LISTED", 1)
    page = Page(browser.get(f"{NEW}?signal={signal.pk}").text)
    assert page.choice("Watch").chosen == ["Refund wanted (support-bot)"]
    assert "Only the first 1 signals and agents by name are listed." in page.main.text


def test_it_shows_and_replaces_a_stored_alert(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    channel = make_channel(project, now=now)
    slack = {"slack_channel_id": "C1", "slack_channel_name": "#ops"}
    about: dict[str, Any] = {"warning": 0.125, "channels": [channel.pk], "cooldown_minutes": 15, **slack}
    alert = make_alert(signal, now=now - DAY, threshold=0.07, operator="lte", **about | {"warning": 0.125})
    make_event(alert, now - MINUTE)
    edit = f"/p/default/alerts/{alert.pk}/edit/"
    page = Page(browser.get(f"{edit}?range=7d").text)
    form = page.form("/edit/?range=7d").filled
    assert {name: form[name] for name in ("name", "threshold", "warning", "operator", "cooldown_minutes")} == {
        "name": "Many refunds",
        "threshold": "7",
        "warning": "12.5",
        "operator": "lte",
        "cooldown_minutes": "15",
    }
    assert page.field("On call").element.get("checked") is not None
    assert "And the Slack channel #ops" in page.main.text
    response = browser.post(f"{edit}?range=7d", form | {"name": "Renamed"})
    assert response.headers["Location"] == f"/p/default/alerts/{alert.pk}/?range=7d"
    alert.refresh_from_db()
    assert (alert.name, alert.slack_channel_name, alert.state.level) == ("Renamed", "#ops", Level.FIRING)
    page = Page(browser.post(edit, form | {"name": "Renamed", "threshold": "9"}, follow=True).text)
    assert "Renamed is saved. It looks at labels from now on." in page.text
    entries = AuditEntry.objects.filter(kind="alert", action="changed").order_by("pk")
    assert list(entries.values_list("detail", flat=True)) == ["name", "threshold"]


def test_an_edit_that_fails_changes_nothing(browser: Client, signal: Signal, now: datetime) -> None:
    alert = make_alert(signal, now=now)
    response = browser.post(f"/p/default/alerts/{alert.pk}/edit/", typed(signal, threshold="130", name="Other"))
    page = Page(response.text)
    assert response.status_code == 422
    assert page.field("Threshold").errors == ["Enter a percentage from 0 to 100"]
    assert "Edit Many refunds" in page.headings
    assert Alert.objects.get().name == "Many refunds"


def test_an_alert_that_no_longer_fits_its_signal_says_so(browser: Client, signal: Signal, now: datetime) -> None:
    alert = make_alert(signal, now=now)
    labels = Definition("string", "How did it go?", 100, labels=("done", "failed"))
    signal_operations.publish_version(signal, labels)
    page = Page(browser.get(f"/p/default/alerts/{alert.pk}/edit/").text)
    assert list(page.choice("Metric").options) == ["Number of labels", "Number of one label", "Share of one label"]
    assert "Choose one of the options" in page.region("Rule and backtest").text


def test_the_sentence_follows_what_is_typed(browser: Client, signal: Signal) -> None:
    about = typed(signal, comparison="pct_change", threshold="10")
    response = browser.post(BACKTEST, about, headers=HTMX)
    page = Page(response.text)
    assert (response.status_code, page.is_whole) == (200, False)
    assert "Fires when “yes” is at least 10% more frequent than in the hour before." in page.text
    assert "Saved as Refund wanted: yes up 10%." in page.text
    assert (
        "Threshold: Enter a number" in Page(browser.post(BACKTEST, about | {"threshold": "x"}, headers=HTMX).text).text
    )
    assert "Choose a signal or an agent." in Page(browser.post(BACKTEST, {}, headers=HTMX).text).text
    assert not Alert.objects.exists()


def test_the_backtest_shows_when_it_would_have_fired(browser: Client, signal: Signal, now: datetime) -> None:
    settle(signal, now - 20 * HOUR, 20 * 60, no=2)
    settle(signal, now - 10 * HOUR, 60, yes=4)
    settle(signal, now - 5 * HOUR, 4, yes=40)
    page = Page(browser.post(BACKTEST, typed(signal, window="15m", days="1"), headers=HTMX).text)
    assert "2 firings in 0.8 days, 2.4 a day." in page.text
    rows = page.table("When it would have fired, newest first").rows
    assert len(rows) == 2
    assert rows[1]["Peak"] == "66.7%"
    figure = page.figures["backtest-chart"]
    shapes = figure["layout"]["shapes"]
    assert [shape["type"] for shape in shapes] == ["line", "rect", "rect"]
    assert 300 >= len(figure["data"][0]["y"]) > 200
    held = Page(browser.post(BACKTEST, typed(signal, window="15m", cooldown_minutes="1440"), headers=HTMX).text)
    assert "The cooldown held 1 more back." in held.text
    held = Page(browser.post(BACKTEST, typed(signal, window="15m", min_label_count="10000"), headers=HTMX).text)
    assert "It would not have fired in 0.8 days. The minimum held 2 more back." in held.text


def test_the_threshold_begins_where_it_would_be_reached_about_once_a_week(
    browser: Client, signal: Signal, now: datetime
) -> None:
    assert Page(browser.get(NEW).text).field("Threshold").value == "20"
    settle(signal, now - 20 * HOUR, 20 * 60, no=3, yes=1)
    page = Page(browser.get(NEW).text)
    assert page.field("Threshold").value == "25"
    assert "Reached about once a week: at least 25%." in page.region("Rule and backtest").text


@pytest.mark.parametrize(("operator", "suggested"), [("gte", "66.6"), ("lte", "66.7")])
def test_a_suggested_threshold_is_reached(
    browser: Client, signal: Signal, now: datetime, *, operator: str, suggested: str
) -> None:
    settle(signal, now - 20 * HOUR, 20 * 60, no=1, yes=2)
    label = "no" if operator == "lte" else "yes"
    page = Page(browser.get(f"{NEW}?signal={signal.pk}&label={label}").text)
    assert (page.choice("Operator").chosen[0], page.field("Threshold").value) == (
        "at most" if operator == "lte" else "at least",
        suggested,
    )
    assert "The rule of chance held 1 more back." in page.region("Rule and backtest").text


def test_it_is_for_the_alert_that_is_edited(browser: Client, signal: Signal, now: datetime) -> None:
    alert = make_alert(signal, now=now)
    about = typed(signal, alert=alert.pk, threshold="50", name=alert.name)
    page = Page(browser.post(BACKTEST, about, headers=HTMX).text)
    assert "at least 50% of the labels" in page.text
    assert alert.name in page.text
    assert browser.post(BACKTEST, about | {"alert": "999999"}, headers=HTMX).status_code == 404
    operations.archive(alert, now)
    assert browser.post(BACKTEST, about, headers=HTMX).status_code == 200


def test_without_javascript_the_editor_shows_the_backtest(browser: Client, signal: Signal) -> None:
    page = Page(browser.post(BACKTEST, typed(signal, threshold="45")).text)
    assert page.is_whole
    assert page.field("Threshold").value == "45"
    assert "at least 45% of the labels" in page.region("Rule and backtest").text


def test_a_viewer_can_ask_but_not_edit(client_as: Callable[[User], Client], viewer: User, signal: Signal) -> None:
    browser = client_as(viewer)
    assert browser.get(NEW).status_code == browser.post(NEW, typed(signal)).status_code == 403
    assert not Page(browser.post(BACKTEST, typed(signal)).text).is_whole


def typed_on(agent: Agent, **about: Any) -> dict[str, Any]:
    """What a form sends about an agent's own numbers."""
    return typed_rule() | {"subject": f"agent-{agent.pk}", "metric": "error_rate", **about}


def test_it_creates_an_alert_on_an_agents_numbers(browser: Client, signal: Signal) -> None:
    agent = signal.agent
    page = Page(browser.get(f"{NEW}?agent={agent.pk}").text)
    assert (page.choice("Watch").chosen, page.choice("Metric").chosen) == (["support-bot"], ["Share of failed traces"])
    assert list(page.choice("Metric").options) == [
        "Number of traces",
        "Share of failed traces",
        "95th percentile of latency",
        "Cost",
        "Tokens",
    ]
    response = browser.post(f"{NEW}?range=7d", typed_on(agent, threshold="5", only_significant="on"))
    alert = Alert.objects.get()
    assert response.headers["Location"] == f"/p/default/alerts/{alert.pk}/?range=7d"
    assert (alert.signal, alert.agent, alert.metric, alert.threshold) == (None, agent, "error_rate", 0.05)
    assert (alert.name, alert.only_significant) == ("support-bot: failed traces at least 5%", True)


def test_cost_and_tokens_have_no_choice_of_chance(browser: Client, signal: Signal) -> None:
    page = Page(browser.get(f"{NEW}?agent={signal.agent_id}").text)
    assert "Cost and tokens have no test of chance." in page.main.text
    browser.post(NEW, typed_on(signal.agent, metric="cost", threshold="2.50", only_significant="on"))
    alert = Alert.objects.get()
    assert (alert.threshold, alert.only_significant) == (2.5, False)


def test_an_alert_on_numbers_is_edited_and_shown(browser: Client, signal: Signal, now: datetime) -> None:
    alert = make_alert(signal.agent, now=now, metric="p95_latency", threshold=30, window="15m")
    edit = f"/p/default/alerts/{alert.pk}/edit/"
    page = Page(browser.get(edit).text)
    assert page.region("Rule and backtest").text.startswith("Fires when the 95th percentile of latency in 15 minutes")
    form = page.form("/edit/?").filled
    response = browser.post(edit, form | {"metric": "tokens", "threshold": "1,000"}, follow=True)
    page = Page(response.text)
    assert "is saved. It looks at traces from now on." in page.text
    assert "Fires when the traces of 15 minutes use at least 1,000 tokens." in page.region("Rule").text
    assert page.region("Rule").link("support-bot") == f"/p/default/agents/{signal.agent_id}/"


def test_the_backtest_of_a_short_window_says_how_far_it_goes(browser: Client, signal: Signal, now: datetime) -> None:
    make_traces(signal.project, range(1, 5), now=now - 3 * HOUR)
    settle_all(now - 4 * HOUR)
    asked = typed_on(signal.agent, metric="runs", threshold="3", window="10m", days="7")
    page = Page(browser.post(BACKTEST, asked, headers=HTMX).text)
    assert "1 firing in 0.1 days" in page.text
    assert "Windows below an hour can be tested over the last 3 days." in page.text
    assert page.table("When it would have fired, newest first").row(1)["Peak"] == "4"
    page = Page(browser.post(BACKTEST, asked | {"window": "1h"}, headers=HTMX).text)
    assert "over the last 3 days" not in page.text
    assert "backtest-chart" in page.figures


def test_it_offers_the_numbers_without_any_signal(browser: Client, project: Project) -> None:
    agent = make_agent(project)
    page = Page(browser.get(NEW).text)
    assert page.choice("Watch").chosen == ["support-bot"]
    page = Page(browser.get(f"/p/default/agents/{agent.pk}/alerts/?range=7d").text)
    assert page.main.link("New alert") == f"{NEW}?range=7d&agent={agent.pk}"
    response = browser.post(NEW, typed_on(agent, subject="agent-999999"))
    assert (response.status_code, Alert.objects.exists()) == (422, False)


@pytest.mark.parametrize(
    ("chart", "metric"),
    [
        ("Runs", "runs"),
        ("Error rate", "error_rate"),
        ("Latency", "p95_latency"),
        ("Tokens", "tokens"),
        ("Cost", "cost"),
    ],
)
def test_the_charts_of_an_agent_lead_to_it(
    browser: Client, project: Project, now: datetime, chart: str, metric: str
) -> None:
    agent = make_agent(project, seen=now - DAY)
    make_traces(project, range(1, 4), now=now - HOUR)
    page = Page(browser.get(f"/p/default/agents/{agent.pk}/?range=6h").text)
    path = page.main.link(f"Create alert on {chart}")
    editor = Page(browser.get(path).text)
    assert editor.field("Metric").value == metric
    assert editor.field("Window").value == "15m"
    sent = editor.form(path).filled | {"threshold": "5", "then": ""}
    assert browser.post(path, sent).status_code == 302
    alert = Alert.objects.get()
    assert (alert.agent, alert.metric, alert.only_significant) == (agent, metric, metric not in {"cost", "tokens"})


def test_viewers_are_not_led_from_charts_to_the_editor(
    client_as: Callable[[User], Client], viewer: User, project: Project, now: datetime
) -> None:
    agent = make_agent(project, seen=now - DAY)
    make_traces(project, range(1, 4), now=now - HOUR)
    assert "Create alert" not in Page(client_as(viewer).get(f"/p/default/agents/{agent.pk}/?range=6h").text).main.text
