"""Alerts on an agent's own numbers: what their windows count, and when they fire."""

import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from alerts import backtest, counts
from alerts.messages import message_of
from alerts.models import Alert, AlertEvent, AlertState
from alerts.rules import EventKind
from catalyst.core.models import Project
from catalyst.timerange import DAY, HOUR, MINUTE
from signals.targets import settling
from tests.alerts.agent_history import SETTLED, AgentHistory, Ran
from tests.alerts.history import events
from tests.factories import make_agent
from traces.ingest import moves
from traces.models import AgentMinute

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def history(project: Project) -> AgentHistory:
    return AgentHistory(project, NOON)


def state_of(alert: Alert) -> AlertState:
    return AlertState.objects.get(alert=alert)


def test_it_fires_and_resolves(history: AgentHistory) -> None:
    alert = history.alert(threshold=0.5)
    history.run(4, failed=1)
    history.minute()
    assert (state_of(alert).value, state_of(alert).labelled, state_of(alert).requested) == (0.25, 4, 4)
    history.run(4, failed=4)
    history.minute(20)
    assert events(alert) == ["fired 12:02", "resolved 12:12"]
    event = AlertEvent.objects.earliest("window_end")
    assert (event.observed, event.labelled, event.version_id) == (0.625, 8, None)
    assert state_of(alert).reason == "There are too few traces to tell."


VALUES: list[tuple[str, float]] = [
    ("runs", 5),
    ("error_rate", 0.4),
    ("p95_latency", 8),
    ("cost", 5 * 0.15),
    ("tokens", 5_000_000),
]


@pytest.mark.parametrize("window", ["5m", "1h"])
@pytest.mark.parametrize(("metric", "value"), VALUES)
def test_each_metric_has_its_value(history: AgentHistory, metric: str, value: float, window: str) -> None:
    alert = history.alert(metric=metric, threshold=value * 0.9, window=window)
    history.minute(10)
    history.run(3, failed=2)
    history.run(2, seconds=8)
    history.minute(1 if window == "5m" else 65)
    assert state_of(alert).value == pytest.approx(value, rel=0.05)
    assert events(alert) == ["fired 12:11" if window == "5m" else "fired 13:00"]


def test_windows_of_hours_end_with_the_hour_and_count_what_began_in_it(history: AgentHistory) -> None:
    alert = history.alert(metric="runs", threshold=3, window="1h")
    history.minute(50)
    history.run(2)
    history.minute(24)
    assert state_of(alert).evaluated_until == NOON
    # It began in the hour, and comes within a quarter of an hour after it.
    history.run(1, ago=20 * MINUTE)
    history.minute()
    assert (state_of(alert).evaluated_until, state_of(alert).value) == (NOON + HOUR, 3)
    history.minute(60)
    assert state_of(alert).evaluated_until == NOON + 2 * HOUR
    history.minute(60)
    assert events(alert) == ["fired 13:00", "resolved 15:00"]


def test_a_long_trace_counts_when_it_settles_in_a_short_window(history: AgentHistory) -> None:
    alert = history.alert(metric="runs", threshold=1, window="10m")
    history.minute(5)
    history.run(1, seconds=3 * 3600)
    history.minute()
    assert events(alert) == ["fired 12:06"]


def test_too_few_traces_are_no_data(history: AgentHistory) -> None:
    alert = history.alert(min_label_count=3, notify_no_data=True)
    history.run(2, failed=2)
    history.minute()
    assert events(alert) == ["no_data 12:01"]
    assert message_of(AlertEvent.objects.get()).text == "There are too few traces to tell."


def test_silence_is_a_number_of_traces(history: AgentHistory) -> None:
    alert = history.alert(metric="runs", operator="lte", threshold=0, window="10m")
    history.run()
    history.minute(12)
    assert events(alert) == ["fired 12:11"]


def test_calls_without_a_price_are_said_and_left_out(history: AgentHistory) -> None:
    alert = history.alert(metric="cost", threshold=0.1)
    history.run(2, model="mystery")
    history.minute()
    assert (state_of(alert).problem, state_of(alert).reason) == ("no_data", "No model call has a known price.")
    history.run(1)
    history.minute()
    event = AlertEvent.objects.get()
    assert event.observed == pytest.approx(0.15)
    assert event.reason == "2 model calls have no known price and are not in the cost."
    assert message_of(event).text.endswith(event.reason)


def test_the_agent_must_be_as_old_as_what_is_compared(history: AgentHistory) -> None:
    history.agent.first_seen_at = NOON - MINUTE
    history.agent.save()
    alert = history.alert(metric="runs", comparison="pct_change", threshold=50)
    history.run(2)
    history.minute(8)
    assert state_of(alert).reason == "The agent is newer than what this alert compares."
    history.minute()
    assert state_of(alert).problem == ""


def test_a_change_is_against_the_window_before(history: AgentHistory) -> None:
    alert = history.alert(metric="p95_latency", comparison="pct_change", threshold=100, window="5m")
    history.run(5, seconds=2)
    history.minute(5)
    history.run(5, seconds=8)
    history.minute()
    assert events(alert) == ["fired 12:06"]
    message = message_of(AlertEvent.objects.get())
    assert {fact.name: fact.value for fact in message.facts}["Trend"].startswith("It was ≈")
    assert "95th percentile of latency is at least 100% higher than in the 5 minutes before." in message.text


@pytest.mark.parametrize(
    ("metric", "few", "many"),
    [
        ("error_rate", {"count": 4, "failed": 3}, {"count": 60, "failed": 50}),
        ("runs", {"count": 14}, {"count": 60}),
        ("p95_latency", {"count": 3, "seconds": 5}, {"count": 60, "seconds": 5}),
    ],
)
def test_few_traces_may_be_chance(
    history: AgentHistory, metric: str, few: dict[str, Any], many: dict[str, Any]
) -> None:
    threshold = {"error_rate": 0.4, "runs": 12, "p95_latency": 3}[metric]
    alert = history.alert(metric=metric, threshold=threshold, only_significant=True)
    history.run(**few)
    history.minute()
    assert (state_of(alert).value or 0) >= threshold
    assert events(alert) == []
    history.run(**many)
    history.minute()
    assert events(alert) == ["fired 12:02"]


def test_merged_agents_keep_their_alerts_and_their_numbers(history: AgentHistory, project: Project) -> None:
    other = AgentHistory(project, NOON, agent="other-bot", first=1000)
    alert = other.alert(metric="runs", threshold=5)
    other.run(3)
    history.run(2)
    history.minute(evaluate=False)
    moves.merge([other.agent], history.agent, history.now)
    history.minute()
    alert.refresh_from_db()
    assert (alert.agent, state_of(alert).value) == (history.agent, 5)
    assert events(alert) == ["fired 12:01"]


def test_projects_are_counted_apart(history: AgentHistory, other_project: Project) -> None:
    theirs = AgentHistory(other_project, NOON)
    own, foreign = history.alert(metric="runs", threshold=9), theirs.alert(metric="runs", threshold=9)
    hourly = theirs.alert(name="Hourly", metric="runs", threshold=9, window="1h")
    history.run(3)
    theirs.run(2)
    history.minute()
    assert (state_of(own).value, state_of(foreign).value) == (3, 2)
    history.minute(75)
    assert state_of(hourly).value == 0
    assert backtest.run(counts.of_alert(foreign), foreign.rule, 1, history.now).points[0].value == 2


def test_the_number_of_queries_does_not_grow_with_alerts(history: AgentHistory) -> None:
    found = []
    for number in range(2):
        for metric, _ in VALUES:
            about: dict[str, Any] = {"metric": metric, "threshold": 10**9, "comparison": "pct_change"}
            history.alert(name=f"{metric} {number}", **about)
        history.run()
        settling.settle(history.now + SETTLED)
        with CaptureQueriesContext(connection) as queries:
            history.minute()
        found.append(len(queries))
    assert found[0] == found[1]


def test_a_message_leads_to_the_agent_and_its_failed_traces(history: AgentHistory) -> None:
    alert = history.alert(name="Bot fails")
    history.run(4, failed=3)
    history.minute()
    message = message_of(AlertEvent.objects.get())
    assert message.text == (
        "Share of failed traces in 5 minutes: 75%. Fires when at least 50% of the traces of 5 minutes failed."
    )
    facts = {fact.name: fact.value for fact in message.facts}
    assert (facts["Agent"], facts["Traces"], facts["Window"]) == ("support-bot", "4", "2026-11-20 11:56 to 12:01 UTC")
    assert "Signal" not in facts
    links = {link.text: link.url.partition("/p/")[2] for link in message.links}
    query = "from=2026-11-20T10%3A56&to=2026-11-20T12%3A01"
    assert links["The agent at this time"] == f"default/agents/{alert.agent_id}/?{query}"
    assert links["Failed traces of this time"] == f"default/agents/{alert.agent_id}/traces/?status=error&{query}"
    assert message.curve is not None
    assert message.curve.points[-1] == 0.75


def plain(metric: str, ran: list[Ran]) -> float | None:
    """The value of a window from all of its traces."""
    if metric in {"error_rate", "p95_latency"} and not ran:
        return None
    values: dict[str, Callable[[], float]] = {
        "runs": lambda: len(ran),
        "error_rate": lambda: sum(each.failed for each in ran) / len(ran),
        "p95_latency": lambda: sorted(each.seconds for each in ran)[math.ceil(0.95 * len(ran)) - 1],
        "cost": lambda: sum(each.cost for each in ran),
        "tokens": lambda: sum(each.tokens for each in ran),
    }
    return values[metric]()


RULES: list[dict[str, Any]] = [
    {"metric": "runs", "threshold": 12, "window": "10m"},
    {"metric": "runs", "threshold": 0, "operator": "lte", "window": "5m"},
    {"metric": "runs", "threshold": 80, "comparison": "pct_change", "window": "15m", "min_label_count": 3},
    {"metric": "error_rate", "threshold": 0.4, "window": "10m", "only_significant": True},
    {"metric": "p95_latency", "threshold": 12, "warning": 8, "window": "15m", "cooldown_minutes": 60},
    {"metric": "p95_latency", "threshold": 50, "comparison": "pct_change", "window": "30m", "only_significant": True},
    {"metric": "cost", "threshold": 2, "window": "10m"},
    {"metric": "tokens", "threshold": 6_000_000, "window": "5m"},
    {"metric": "runs", "threshold": 50, "window": "1h"},
    {"metric": "error_rate", "threshold": 0.3, "window": "1h", "min_label_count": 10},
    {"metric": "p95_latency", "threshold": 10, "window": "3h", "cooldown_minutes": 60},
    {"metric": "cost", "threshold": 10, "window": "1h", "comparison": "pct_change"},
]


@pytest.mark.slow
def test_it_counts_what_is_there_and_a_backtest_says_the_same(history: AgentHistory) -> None:
    # It begins with the first window.
    history.run(ago=timedelta(seconds=-1))
    alerts = [history.alert(name=f"Alert {number}", **about) for number, about in enumerate(RULES)]
    seen = live_through(history, 8 * 60 + 15)
    ran = history.ran()
    assert sum(assert_values(alert, seen, ran) for alert in alerts) > 2_500
    did = {alert.pk: told(alert) for alert in alerts}
    assert sum(map(len, did.values())) > 20
    for alert in alerts:
        tested = backtest.run(counts.of_alert(alert), alert.rule, 1, history.seen)
        assert tested.start == NOON
        assert did[alert.pk] == [(firing.start, firing.end) for firing in tested.firings], alert.metric


type Seen = dict[tuple[int, datetime], float | None]


def live_through(history: AgentHistory, minutes: int) -> Seen:
    """Some traffic with quiet and bad times. Returns the values that were stored, by alert and end of the window."""
    chance = random.Random(2)
    seen: Seen = {}
    for minute in range(minutes):
        if not 100 < minute < 125 and chance.random() < 0.6:
            arrive(history, chance, is_bad=minute % 110 > 90)
        history.minute()
        states = AlertState.objects.filter(problem="", evaluated_at=history.seen)
        seen |= {(state.alert_id, state.evaluated_until): state.value for state in states}
    return seen


def arrive(history: AgentHistory, chance: random.Random, *, is_bad: bool) -> None:
    for _ in range(chance.randrange(1, 4) * (2 if is_bad else 1)):
        failed = chance.random() < (0.7 if is_bad else 0.1)
        seconds = chance.lognormvariate(1, 1) * (3 if is_bad else 1)
        history.run(failed=int(failed), seconds=round(seconds, 2), tokens=chance.randrange(10**6))


def assert_values(alert: Alert, seen: Seen, ran: list[Ran]) -> int:
    """Compare the values of an alert with those of plain lists of traces. Returns how many there were."""
    ends = [end for pk, end in seen if pk == alert.pk and not alert.measure.compares]
    for end in ends:
        inside = [each for each in ran if end - alert.measure.window <= _time(alert, each) < end]
        assert seen[alert.pk, end] == pytest.approx(plain(alert.metric, inside), rel=0.051), (alert.metric, end)
    return len(ends)


def _time(alert: Alert, ran: Ran) -> datetime:
    return ran.began if alert.measure.is_hourly else ran.settled


def told(alert: Alert) -> list[tuple[datetime, datetime | None]]:
    """When the evaluation fired, and when it resolved."""
    firings: list[tuple[datetime, datetime | None]] = []
    for event in AlertEvent.objects.filter(alert=alert).order_by("window_end"):
        if event.kind == EventKind.FIRED:
            firings.append((event.window_end, None))
        elif event.kind == EventKind.RESOLVED and firings and firings[-1][1] is None:
            firings[-1] = (firings[-1][0], event.window_end)
    return firings


def test_a_backtest_of_a_short_window_goes_back_three_days(history: AgentHistory) -> None:
    alert = history.alert(metric="runs", operator="lte", threshold=0)
    minute = history.now - 5 * DAY
    AgentMinute.objects.create(project=history.project, agent=history.agent, minute=minute, trace_count=3)
    tested = backtest.run(counts.of_alert(alert), alert.rule, 30, history.now)
    assert tested.start == history.now - 3 * DAY + 5 * MINUTE
    assert len(tested.firings) == 1


def test_a_backtest_of_hours_goes_back_a_month(history: AgentHistory) -> None:
    alert = history.alert(metric="runs", threshold=3, window="3h")
    days = 20
    first = AgentHistory(history.project, history.now - days * DAY)
    first.run(3)
    later = AgentHistory(history.project, history.now - 9 * DAY, first=100)
    later.run(3)
    tested = backtest.run(counts.of_alert(alert), alert.rule, 30, history.now)
    assert [firing.start for firing in tested.firings] == [
        NOON - days * DAY,
        NOON - 9 * DAY,
    ]
    assert len(tested.points) <= backtest.POINTS
    assert backtest.suggest(counts.of_alert(alert), alert.rule, 30, history.now) == 0


def test_an_agent_without_traces_can_be_tested(project: Project) -> None:
    history = AgentHistory(project, NOON, agent="silent-bot")
    assert history.agent == make_agent(project, "silent-bot")
    for window in ("5m", "24h"):
        alert = history.alert(name=window, window=window)
        tested = backtest.run(counts.of_alert(alert), alert.rule, 7, history.now)
        assert (tested.firings, tested.unknown) == ([], 1)
