"""A real worker that is killed while it starts a report or takes note of one: nothing twice, nothing lost."""

import signal as signals_of_the_system
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import psycopg
import pytest
from django.utils import timezone

from alerts.models import Delivery
from catalyst.core.models import Project
from halo.models import Run, Schedule
from halo.schedules import firing
from tests.factories import make_agent, make_channel, make_finding
from tests.halo.schedules.definitions import DAY, end, make_schedule, with_traces
from tests.processes import database_url, eventually, running

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

WORK = "from halo import tasks; tasks.fire.call()"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE %s"


@pytest.fixture
def now() -> datetime:
    """Workers ask the real clock."""
    return timezone.now()


@pytest.fixture
def schedule(project: Project, now: datetime) -> Schedule:
    """It is due."""
    agent, channel = with_traces(make_agent(project), now), make_channel(project, now=now)
    return make_schedule(agent, now=now - 2 * DAY, channels=[channel.pk])


@contextmanager
def stopped_at(table: str, statement: str) -> Iterator[Callable[[], bool]]:
    """A worker can't write into a table. Yields whether one waits there with such a statement."""
    with psycopg.connect(database_url()) as held, psycopg.connect(database_url(), autocommit=True) as watching:
        held.execute(f"LOCK TABLE {table} IN SHARE MODE")

        def waits() -> bool:
            found = watching.execute(WAITING, [statement]).fetchone()
            return found is not None and found[0] > 0

        yield waits
        held.rollback()


def killed(table: str, statement: str) -> None:
    """Run a worker that is killed where it would write into a table."""
    with stopped_at(table, statement) as waits, running("shell", "-c", WORK) as process:
        eventually(waits)
        process.send_signal(signals_of_the_system.SIGKILL)
        assert process.wait(10) == -signals_of_the_system.SIGKILL


def test_one_that_dies_before_it_creates_the_report(schedule: Schedule, now: datetime) -> None:
    killed("halo_run", "%insert into%halo_run%")
    assert not Run.objects.exists()
    firing.work(now)
    assert Run.objects.get().schedule == schedule


def test_one_that_dies_between_the_report_and_the_plan(schedule: Schedule, now: datetime) -> None:
    killed("halo_schedule", '%update "halo_schedule"%')
    assert not Run.objects.exists()
    assert Schedule.objects.get().next_run_at == schedule.next_run_at
    firing.work(now)
    assert Run.objects.count() == 1
    planned = Schedule.objects.get().next_run_at
    assert planned is not None
    assert planned > now - timedelta(minutes=5)


def test_one_that_dies_between_the_message_and_the_note(schedule: Schedule, now: datetime) -> None:
    firing.work(now)
    run = Run.objects.get()
    make_finding(run)
    end(run, now)
    killed("halo_run", '%update "halo_run"%')
    assert not Delivery.objects.exists()
    for _ in range(2):
        firing.work(now)
    assert Delivery.objects.count() == 1
    assert Run.objects.get(pk=run.pk).news_count == 1
