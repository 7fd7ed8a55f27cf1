"""Which windows are evaluated, when, and what counts in them."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from alerts import evaluation
from alerts.models import Alert, AlertEvent, AlertState
from catalyst.core.models import Project
from catalyst.llms.amounts import Cap
from catalyst.timerange import DAY, HOUR, MINUTE
from signals import operations, tasks
from signals.models import Label, SignalRun
from signals.models.label_states import Status
from tests.alerts.history import History, events

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def history(project: Project) -> History:
    return History(project, NOON)


def state_of(alert: Alert) -> AlertState:
    return AlertState.objects.get(alert=alert)


def test_it_fires_and_resolves(history: History) -> None:
    alert = history.alert(window="5m", threshold=0.5)
    history.label(yes=1, no=9)
    history.minute()
    assert state_of(alert).value == 0.1
    history.label(yes=20)
    history.minute()
    assert events(alert) == ["fired 12:02"]
    event = AlertEvent.objects.get()
    assert (event.observed, event.labelled, event.requested, event.version_id) == (0.7, 30, 30, history.version.pk)
    assert (event.rule["threshold"], event.rule["window"]) == (0.5, "5m")
    history.minute(12)
    # The last yes leaves the window at 12:06, and the window is empty then.
    assert events(alert) == ["fired 12:02", "resolved 12:12"]
    assert state_of(alert).problem == "no_data"


def test_a_window_waits_until_its_labels_are_judged(history: History) -> None:
    alert = history.alert()
    history.settle(2)
    history.minute(3)
    assert state_of(alert).evaluated_until == NOON
    history.judge(["yes", "yes"])
    history.minute()
    assert state_of(alert).evaluated_until == NOON + 4 * MINUTE
    assert events(alert) == ["fired 12:01"]


def test_it_waits_for_a_quarter_of_an_hour_and_says_how_many_were_judged(history: History) -> None:
    alert = history.alert(min_label_count=3)
    history.settle(4)
    history.judge(["yes"] * 3)
    history.minute(15)
    assert events(alert) == []
    history.minute()
    event = AlertEvent.objects.get()
    assert (event.kind, event.window_end, event.labelled, event.requested) == ("fired", NOON + MINUTE, 3, 4)


def test_too_few_judged_in_time_is_a_delay_that_is_said_after_an_hour(history: History) -> None:
    alert = history.alert(min_label_count=3, window="48h")
    history.settle(4)
    history.judge(["yes"] * 2)
    history.minute(16)
    assert state_of(alert).problem == "delayed"
    assert events(alert) == []
    history.minute(61)
    assert events(alert) == ["delayed 13:01"]
    history.judge(["yes"] * 2)
    history.minute()
    assert events(alert)[-1].startswith("fired")


@pytest.mark.parametrize("status", [Status.FAILED, Status.SKIPPED])
def test_labels_that_failed_or_were_skipped_are_not_waited_for(history: History, status: Status) -> None:
    alert = history.alert()
    history.settle(2)
    history.judge(["yes"])
    history.judge([""], status=status)
    history.minute()
    assert events(alert) == ["fired 12:01"]
    assert AlertEvent.objects.get().requested == 1


def test_labels_over_the_budget_are_not_waited_for(history: History) -> None:
    alert = history.alert()
    history.settle(2)
    history.judge(["yes"])
    operations.cap_signal(history.signal, Cap(None, 0), history.now)
    history.minute()
    assert events(alert) == ["fired 12:01"]


def test_a_backfill_does_not_count(history: History) -> None:
    window = {"window_start": NOON, "window_end": NOON, "sample_rate": 100}
    run = SignalRun.objects.create(version=history.version, **window)
    alert = history.alert(metric="label_volume", threshold=1)
    history.settle(5, run=run)
    history.judge(["yes"] * 5)
    history.minute(2)
    assert events(alert) == []
    assert state_of(alert).labelled == 0


def test_labels_of_another_version_do_not_count(history: History) -> None:
    alert = history.alert(metric="label_volume", threshold=5)
    history.label(yes=4)
    history.minute()
    history.publish()
    history.label(yes=4)
    history.minute()
    assert events(alert) == []
    assert state_of(alert).value == 4


def test_a_change_is_unknown_until_both_windows_are_of_one_version(history: History) -> None:
    alert = history.alert(comparison="pct_change", threshold=100, metric="label_volume")
    history.publish()
    history.minute()
    history.label(yes=9)
    history.minute(8)
    assert state_of(alert).problem == "no_data"
    assert state_of(alert).reason == "Version 2 is newer than what this alert compares."
    history.minute()
    assert state_of(alert).problem == ""


def test_few_labels_after_an_activation_are_no_drop(history: History) -> None:
    operations.disable(history.signal, history.now)
    operations.activate(history.signal, history.now)
    alert = history.alert(metric="label_volume", operator="lte", threshold=0)
    history.minute(4)
    assert events(alert) == []
    history.minute()
    assert events(alert) == ["fired 12:05"]


def test_a_signal_that_is_not_active_has_no_data(history: History) -> None:
    alert = history.alert(metric="label_volume", operator="lte", threshold=0, notify_no_data=True)
    operations.disable(history.signal, history.now)
    history.minute(3)
    assert events(alert) == ["no_data 12:01"]
    assert state_of(alert).reason == "The signal is not active."


def test_an_edit_that_takes_the_value_away_makes_it_invalid(project: Project) -> None:
    history = History(project, NOON, labels=("fine", "failed"))
    alert = history.alert(metric="value_share", string_label="failed")
    history.minute()
    history.publish()
    history.minute(2)
    assert events(alert) == ["invalid 12:02"]
    assert "no longer has the label failed" in state_of(alert).reason


def test_a_share_of_one_label(project: Project) -> None:
    history = History(project, NOON, labels=("fine", "failed"))
    alert = history.alert(metric="value_share", string_label="failed", threshold=0.25)
    history.settle(4)
    history.judge(["failed", "fine", "fine", "fine"])
    history.minute()
    assert events(alert) == ["fired 12:01"]


def test_missed_minutes_are_caught_up_with_one_message(history: History) -> None:
    alert = history.alert(window="5m")
    history.label(yes=3)
    history.minute(30, evaluate=False)
    history.minute()
    assert events(alert) == ["fired 12:01", "resolved 12:11"]
    assert [bool(row.silenced) for row in AlertEvent.objects.order_by("window_end")] == [True, False]


def test_catching_up_gives_what_evaluating_each_minute_gave(project: Project) -> None:
    history = History(project, NOON)
    minutely = history.alert(name="Minutely", window="10m", cooldown_minutes=15)
    late = history.alert(name="Late", window="10m", cooldown_minutes=15, enabled=False)
    for yes, no in [(0, 2), (3, 0), (0, 0), (0, 9), (9, 0), (0, 0), (0, 20)] * 6:
        history.label(yes, no)
        history.minute(2)
    Alert.objects.filter(pk=late.pk).update(enabled=True)
    history.minute()
    assert len(events(minutely)) > 4
    assert events(late) == events(minutely)


def test_it_does_not_look_further_back_than_a_day(history: History) -> None:
    alert = history.alert(evaluated_until=NOON - 10 * DAY)
    history.minute()
    assert state_of(alert).evaluated_until == NOON + MINUTE
    assert state_of(alert).evaluated_at == history.seen


def test_disabled_and_archived_alerts_rest(history: History) -> None:
    disabled, archived = history.alert(enabled=False), history.alert(name="Old", archived_at=NOON)
    history.label(yes=3)
    history.minute()
    assert not evaluation.has_work(history.now)
    assert events(disabled) == events(archived) == []


def test_a_muted_alert_keeps_its_events(history: History) -> None:
    alert = history.alert(muted_until=NOON + HOUR)
    history.label(yes=3)
    history.minute()
    assert events(alert) == ["fired 12:01"]
    assert AlertEvent.objects.get().silenced == "The alert was muted until 2026-11-20 13:00 UTC."


def test_folded_sums_count_alike(history: History) -> None:
    alert = history.alert(window="15m")
    for _ in range(3):
        history.label(yes=1, no=1)
        history.minute()
        tasks.fold.call()
    assert state_of(alert).labelled == 6
    assert Label.objects.count() == 6


def test_the_number_of_queries_does_not_grow_with_alerts(
    history: History, django_assert_max_num_queries: object
) -> None:
    counts = []
    for number in range(2):
        for each in range(5):
            history.alert(name=f"Alert {number}.{each}", comparison="pct_change", metric="label_volume", threshold=9)
        history.label(yes=1)
        with CaptureQueriesContext(connection) as queries:
            history.minute()
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_it_keeps_the_values_of_the_last_day_at_half_hours(history: History) -> None:
    alert = history.alert(window="1h")
    history.label(yes=1, no=3)
    history.minute(60)
    assert state_of(alert).recent == [0.25, 0.25]
    history.minute(30)
    assert state_of(alert).recent == [0.25, 0.25, None]
    history.minute(25 * 60, evaluate=False)
    history.minute()
    assert len(state_of(alert).recent) == 48
