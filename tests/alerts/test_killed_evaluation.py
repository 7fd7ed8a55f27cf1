"""Real workers that are killed while they evaluate, and two at once: each window is evaluated once."""

import signal as signals_of_the_system
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import psycopg
import pytest
from django.utils import timezone

from alerts import evaluation
from alerts.models import Alert, AlertEvent, AlertState
from catalyst.core.models import Project
from catalyst.timerange import MINUTE, floor
from tests.alerts.history import History, events
from tests.processes import database_url, eventually, running

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

WORK = "from alerts import tasks; tasks.evaluate.call()"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE %s"


@pytest.fixture
def now() -> datetime:
    """Workers ask the real clock."""
    return floor(timezone.now(), MINUTE) - timedelta(minutes=3)


@pytest.fixture
def alert(project: Project, now: datetime) -> Alert:
    history = History(project, now)
    alert = history.alert()
    history.label(yes=3)
    return alert


@contextmanager
def stopped_before_its_events() -> Iterator[Callable[[], bool]]:
    """A worker that has stored the states of alerts, and can't store their events. Yields whether it got there."""
    with psycopg.connect(database_url()) as held, psycopg.connect(database_url(), autocommit=True) as watching:
        held.execute("LOCK TABLE alerts_alertevent IN ACCESS EXCLUSIVE MODE")

        def waits() -> bool:
            found = watching.execute(WAITING, ["%insert into%alerts_alertevent%"]).fetchone()
            return found is not None and found[0] > 0

        yield waits
        held.rollback()


def test_a_killed_worker_leaves_its_windows_to_the_next(alert: Alert, now: datetime) -> None:
    with stopped_before_its_events() as waits, running("shell", "-c", WORK) as process:
        eventually(waits)
        process.send_signal(signals_of_the_system.SIGKILL)
        assert process.wait(10) == -signals_of_the_system.SIGKILL
    assert AlertState.objects.get().evaluated_until == now
    assert not AlertEvent.objects.exists()
    evaluation.evaluate(now + 3 * MINUTE)
    assert events(alert) == [f"fired {now + MINUTE:%H:%M}"]


def test_a_second_worker_passes_over_what_the_first_evaluates(alert: Alert, now: datetime) -> None:
    with stopped_before_its_events() as waits, running("shell", "-c", WORK) as process:
        eventually(waits)
        assert evaluation.evaluate(now + 2 * MINUTE) == 0
        assert process.poll() is None
    evaluation.evaluate(now + 3 * MINUTE)
    assert events(alert) == [f"fired {now + MINUTE:%H:%M}"]
