"""A backtest says what the evaluation did, and what a rule would have done."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from alerts import backtest, counts
from alerts.backtest import Backtest
from alerts.models import Alert, AlertEvent
from alerts.rules import EventKind
from catalyst.core.models import Project
from catalyst.timerange import DAY, HOUR, MINUTE
from signals import operations
from signals.models import SettledMinute, SignalVersion
from tests.alerts.history import History

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def history(project: Project) -> History:
    return History(project, NOON)


def watch_of(alert: Alert, history: History) -> counts.Watched:
    history.signal.refresh_from_db()
    versions = SignalVersion.objects.filter(signal=history.signal).published().order_by("number")
    return counts.watched(alert, history.signal, list(versions))


def backtest_of(alert: Alert, history: History, days: int = 1) -> Backtest:
    return backtest.run(watch_of(alert, history), alert.rule, days, history.seen)


def settled(history: History, minutes: int, **values: int) -> None:
    """So many minutes with these labels in each, without a label row for each of them."""
    rows = []
    for _ in range(minutes):
        about: dict[str, Any] = {"version_id": history.version.pk, "minute": history.now, "is_live": True}
        rows += [SettledMinute(**about, outcome="done", value=value, count=n) for value, n in values.items() if n]
        history.now += MINUTE
    SettledMinute.objects.bulk_create(rows)


RULES: list[dict[str, Any]] = [
    {"window": "5m", "threshold": 0.5},
    {"window": "15m", "threshold": 0.4, "warning": 0.3, "cooldown_minutes": 15, "min_label_count": 4},
    {"window": "10m", "threshold": 0.2, "operator": "lte", "only_significant": True},
    {"window": "10m", "threshold": 40, "comparison": "pct_change", "min_label_count": 3},
    {"window": "10m", "threshold": 100, "comparison": "pct_change", "metric": "label_volume"},
    {"window": "5m", "threshold": 1, "metric": "label_volume", "operator": "lte", "cooldown_minutes": 15},
    {"window": "30m", "threshold": 25, "metric": "label_volume", "warning": 15},
]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_it_says_what_the_evaluation_did(history: History, seed: int) -> None:
    chance = random.Random(seed)
    history.label(yes=1)
    start = history.now
    alerts = [history.alert(name=f"Alert {number}", **about) for number, about in enumerate(RULES)]
    for minute in range(300):
        is_quiet, is_spike = 100 < minute < 140, minute % 90 > 75
        if not is_quiet and chance.random() < 0.6:
            total = chance.randrange(1, 4)
            yes = sum(chance.random() < (0.9 if is_spike else 0.2) for _ in range(total))
            history.label(yes, total - yes)
        if minute in {60, 220}:
            history.publish(f"Question {minute}?")
        if minute == 180:
            operations.activate(history.signal, history.now)
        history.minute()
    did = {each.pk: told(each) for each in alerts}
    assert sum(map(len, did.values())) > 20
    for each in alerts:
        tested = backtest_of(each, history)
        assert tested.start == start
        assert did[each.pk] == [(firing.start, firing.end) for firing in tested.firings]


def told(alert: Alert) -> list[tuple[datetime, datetime | None]]:
    """When the evaluation fired, and when it resolved."""
    firings: list[tuple[datetime, datetime | None]] = []
    for event in AlertEvent.objects.filter(alert=alert).order_by("window_end"):
        if event.kind == EventKind.FIRED:
            firings.append((event.window_end, None))
        elif event.kind == EventKind.RESOLVED and firings and firings[-1][1] is None:
            firings[-1] = (firings[-1][0], event.window_end)
    return firings


def test_each_firing_has_its_peak_and_its_end(history: History) -> None:
    alert = history.alert(window="5m", threshold=0.5)
    settled(history, 30, yes=1, no=9)
    settled(history, 10, yes=8, no=2)
    settled(history, 60, yes=1, no=9)
    tested = backtest_of(alert, history)
    (firing,) = tested.firings
    assert firing.start == NOON + 33 * MINUTE
    assert firing.peak == 0.8
    assert firing.end == NOON + 48 * MINUTE
    assert tested.firings_per_day == pytest.approx(1 / (100 / 1440))


def test_a_firing_that_goes_on_has_no_end(history: History) -> None:
    settled(history, 30, yes=8, no=2)
    assert backtest_of(history.alert(), history).firings[-1].end is None


def test_it_says_what_minimum_cooldown_and_chance_held_back(history: History) -> None:
    for _ in range(4):
        settled(history, 5, yes=1)
        settled(history, 25, yes=0, no=1)
    held = {
        "minimum": backtest_of(history.alert(name="a", min_label_count=6), history).held_by_minimum,
        "cooldown": backtest_of(history.alert(name="b", cooldown_minutes=60), history).held_by_cooldown,
        "chance": backtest_of(history.alert(name="c", only_significant=True), history).held_by_chance,
    }
    assert held == {"minimum": 4, "cooldown": 2, "chance": 4}
    plain = backtest_of(history.alert(name="d"), history)
    assert (plain.held_by_minimum, plain.held_by_cooldown, plain.held_by_chance) == (0, 0, 0)


def test_its_points_are_few_and_keep_every_peak(history: History) -> None:
    settled(history, 1000, yes=1, no=9)
    settled(history, 5, yes=9, no=1)
    settled(history, 435, yes=1, no=9)
    tested = backtest_of(history.alert(), history)
    assert 200 < len(tested.points) <= backtest.POINTS
    assert max(point.value or 0 for point in tested.points) == 0.9


def test_it_begins_with_the_first_target(history: History) -> None:
    settled(history, 60, yes=1, no=9)
    alert = history.alert(metric="label_volume", operator="lte", threshold=0)
    tested = backtest_of(alert, history, days=30)
    assert tested.start == NOON
    assert tested.firings == []


def test_without_any_target_it_is_empty(history: History) -> None:
    tested = backtest_of(history.alert(), history, days=7)
    assert tested.firings == []
    assert tested.unknown == 1


def test_labels_that_wait_are_passed_over(history: History) -> None:
    settled(history, 30, yes=1, no=9)
    history.settle(100)
    history.now += MINUTE
    assert backtest_of(history.alert(metric="label_volume", operator="lte", threshold=3), history).firings == []


@pytest.mark.parametrize(("operator", "suggested"), [("gte", 0.6), ("lte", 0.1)])
def test_it_suggests_what_about_one_day_in_seven_reached(history: History, operator: str, suggested: float) -> None:
    for day in range(14):
        settled(history, 60, yes=6 if day in {3, 9} else 2, no=4 if day in {3, 9} else 8)
        settled(history, 60, yes=1, no=9)
        history.now += DAY - 2 * HOUR
    alert = history.alert(window="1h", operator=operator)
    assert backtest.suggest(watch_of(alert, history), alert.rule, 14, history.now) == pytest.approx(suggested)


def test_it_suggests_nothing_without_values(history: History) -> None:
    alert = history.alert()
    assert backtest.suggest(watch_of(alert, history), alert.rule, 7, history.now) is None


def test_a_signal_that_is_not_active_can_be_tested(history: History) -> None:
    settled(history, 30, yes=8, no=2)
    operations.disable(history.signal, history.now)
    assert len(backtest_of(history.alert(), history).firings) == 1
