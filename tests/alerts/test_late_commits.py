"""Targets that settle in the last second of a window, in a transaction that commits after its end."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from alerts import counts, evaluation, readings
from alerts.backtest import run
from alerts.models import Alert
from catalyst.core.models import Project
from catalyst.timerange import MINUTE
from signals.models import SettledMinute
from tests.alerts.history import History, events

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Late(threading.Thread):
    """Settles three targets at once, and commits when it is told to."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self.history = history
        self.has_settled, self.may_commit = threading.Event(), threading.Event()

    def run(self) -> None:
        with transaction.atomic():
            self.history.settle(3)
            self.has_settled.set()
            self.may_commit.wait()
        connection.close()


def test_they_are_counted_in_the_window_in_which_they_settled(project: Project) -> None:
    history = History(project, NOON)
    alert = history.alert(window="5m", metric="label_volume", threshold=3)
    history.now = NOON + MINUTE - SECOND
    late = Late(history)
    late.start()
    assert late.has_settled.wait(20)
    assert not SettledMinute.objects.exists(), "it has not committed"
    end = NOON + MINUTE
    for second in range(0, readings.COMMITTED_AFTER // SECOND, 5):
        evaluation.evaluate(end + second * SECOND)
    assert Alert.objects.get().state.evaluated_until == NOON
    late.may_commit.set()
    late.join()
    history.judge(["yes"] * 3)
    seen = end + readings.COMMITTED_AFTER
    evaluation.evaluate(seen)
    assert events(alert) == ["fired 12:01"]
    tested = run(counts.of_alert(Alert.objects.get()), alert.rule, 1, seen)
    assert [firing.start for firing in tested.firings] == [end]
