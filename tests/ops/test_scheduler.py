"""The clock wakes each kind of work when it is due, once at a time."""

import os
import signal
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone

from catalyst import registry, task_backend
from catalyst.core.models import Project
from catalyst.llms.models import JudgeHealth
from catalyst.ops import scheduler, tasks
from catalyst.ops.models import PeriodicRun
from catalyst.registry import PeriodicTask
from signals.models import Label
from signals.runs import backfill
from tests.factories import LATER, make_agent, make_labels, make_signal, make_trace
from tests.processes import eventually, running
from traces.models import AgentHour, Span, Unsettled
from traces.span_store import span_store

pytestmark = pytest.mark.slow

SECOND = timedelta(seconds=1)


def every(interval: timedelta, name: str, task: str, order: int = 0) -> PeriodicTask:
    return PeriodicTask(name=name, order=order, interval=interval, task=task, label=name, description="", lack="")


NOTE = every(SECOND, "note", "tests.ops.sample_tasks.note_periodically")
FAIL = every(SECOND, "fail", "tests.ops.sample_tasks.fail")
WORK = (NOTE, FAIL)


@pytest.fixture
def registered(db: None, now: datetime) -> None:
    PeriodicRun.objects.register([kind.name for kind in WORK], now)


def wake(work: PeriodicTask, token: datetime) -> None:
    """What a worker does with the wake-up enqueued at `token`."""
    task_backend.run("catalyst.ops.tasks.wake", [work.name, work.task, token.isoformat()], {})


def test_it_knows_its_kinds() -> None:
    assert [(kind.name, kind.queue) for kind in registry.entries(PeriodicTask)] == [
        ("settle", "default"),
        ("runs", "default"),
        ("judge", "judge"),
        ("fold", "default"),
        ("outages", "default"),
        ("alerts", "default"),
        ("deliver", "default"),
        ("moves", "default"),
        ("schedules", "default"),
        ("reports", "long"),
        ("minute", "default"),
    ]


def test_it_enqueues_what_is_due_once(registered: None, now: datetime) -> None:
    assert scheduler.tick(now, WORK) == ["note", "fail"]
    assert scheduler.tick(now, WORK) == []
    assert scheduler.tick(now + 10 * SECOND, WORK) == []
    assert task_backend.count_unfinished("default") == 2


def test_it_enqueues_the_next_one_when_the_last_has_ended(registered: None, now: datetime) -> None:
    scheduler.tick(now, (NOTE,))
    wake(NOTE, now)
    assert Project.objects.count() == 1
    assert scheduler.tick(now + SECOND / 2, (NOTE,)) == []
    assert scheduler.tick(now + SECOND, (NOTE,)) == ["note"]


def test_it_wakes_nobody_for_nothing_until_that_is_overdue(registered: None, now: datetime) -> None:
    busy: list[datetime] = []
    kinds = (NOTE, replace(FAIL, has_work=lambda moment: moment in busy))
    assert scheduler.tick(now, kinds) == ["note", "fail"]
    PeriodicRun.objects.update(enqueued_at=None)
    assert scheduler.tick(now + 2 * SECOND, kinds) == ["note"]
    assert scheduler.tick(now + 11 * SECOND, kinds) == ["fail"]
    PeriodicRun.objects.update(enqueued_at=None)
    busy.append(now + 13 * SECOND)
    assert scheduler.tick(now + 13 * SECOND, kinds) == ["note", "fail"]


def test_it_sees_each_kind_of_work(project: Project, now: datetime) -> None:
    work = {kind.name: kind.has_work for kind in registry.entries(PeriodicTask)}
    later = now + 2 * LATER
    live = make_signal(make_agent(project), active_since=now)
    assert [work[name](later) for name in ("settle", "runs", "judge")] == [False, False, False]
    make_trace(project, 2, now=now)
    assert work["settle"](later)
    assert not work["settle"](now - SECOND)
    make_labels(live, project, 1, now=now)
    assert work["judge"](later)
    run = backfill.start(live, start=now - SECOND, end=now, sample_rate=100, now=now)
    assert work["runs"](later)
    while backfill.step(later):
        pass
    run.refresh_from_db()
    assert not run.is_open
    assert not work["runs"](later)


def test_it_replaces_one_that_got_lost(registered: None, now: datetime) -> None:
    scheduler.tick(now, (NOTE,))
    later = now + 20 * SECOND
    assert scheduler.tick(later, (NOTE,)) == ["note"]
    wake(NOTE, now)
    assert Project.objects.count() == 0
    wake(NOTE, later)
    wake(NOTE, later)
    assert Project.objects.count() == 1


def test_it_does_not_replace_one_whose_worker_is_at_it(registered: None, now: datetime) -> None:
    scheduler.tick(now, (NOTE,))
    assert PeriodicRun.objects.touch("note", now, now + 14 * SECOND)
    assert scheduler.tick(now + 28 * SECOND, (NOTE,)) == []
    assert scheduler.tick(now + 30 * SECOND, (NOTE,)) == ["note"]
    assert not PeriodicRun.objects.touch("note", now, now + 31 * SECOND)


def test_it_notes_the_end_of_one_that_was_replaced(registered: None, now: datetime) -> None:
    scheduler.tick(now, (NOTE,))
    later = now + 20 * SECOND
    scheduler.tick(later, (NOTE,))
    PeriodicRun.objects.finish("note", now, now + 21 * SECOND)
    row = PeriodicRun.objects.get(kind="note")
    assert (row.finished_at, row.enqueued_at) == (now + 21 * SECOND, later)


@pytest.mark.django_db(transaction=True)
def test_a_long_run_shows_that_it_goes_on(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample ends once it has seen that."""
    monkeypatch.setattr(tasks, "TOUCH_SECONDS", 0.01)
    long = every(SECOND, "long", "tests.ops.sample_tasks.run_until_touched")
    PeriodicRun.objects.register(["long"], now)
    scheduler.tick(now, (long,))
    wake(long, now)
    row = PeriodicRun.objects.get()
    assert (row.enqueued_at, row.seen_at, row.last_error) == (None, None, "")


def test_work_that_has_begun_counts_as_an_answer(registered: None, now: datetime) -> None:
    kinds = [kind.name for kind in WORK]
    scheduler.tick(now, WORK)
    PeriodicRun.objects.touch("note", now, now + SECOND)
    assert not PeriodicRun.objects.all_begun_since(kinds, now)
    PeriodicRun.objects.finish("fail", now, now + SECOND)
    assert PeriodicRun.objects.all_begun_since(kinds, now)
    assert not PeriodicRun.objects.all_begun_since(kinds, now + 2 * SECOND)


def test_it_notes_an_error_and_pauses(registered: None, now: datetime) -> None:
    scheduler.tick(now, (FAIL,))
    with pytest.raises(ValueError, match="no such luck"):
        wake(FAIL, now)
    row = PeriodicRun.objects.get(kind="fail")
    assert row.last_error == "ValueError: no such luck"
    assert row.due_at >= timezone.now() + 5 * SECOND


def test_it_keeps_what_is_registered(registered: None, now: datetime) -> None:
    scheduler.tick(now, (NOTE,))
    PeriodicRun.objects.register(["note", "more"], now)
    assert PeriodicRun.objects.get(kind="note").enqueued_at == now
    assert PeriodicRun.objects.count() == 3


def test_it_does_not_wait_for_the_time_that_the_machine_was_ahead_of(registered: None, now: datetime) -> None:
    ahead = now + timedelta(hours=5)
    scheduler.tick(ahead, WORK)
    assert PeriodicRun.objects.reset_after_clock_went_back(now) == timedelta(hours=5)
    assert scheduler.tick(now, WORK) == ["note", "fail"]
    assert not PeriodicRun.objects.reset_after_clock_went_back(now)


def test_it_takes_seconds_for_machines_that_differ(registered: None, now: datetime) -> None:
    scheduler.tick(now + 20 * SECOND, WORK)
    assert not PeriodicRun.objects.reset_after_clock_went_back(now)
    assert scheduler.tick(now, WORK) == []


@pytest.mark.django_db(transaction=True)
def test_it_deletes_expired_sessions_every_minute() -> None:
    expired = timezone.now() - timedelta(days=1)
    Session.objects.create(session_key="expired", session_data="", expire_date=expired)
    Session.objects.create(session_key="valid", session_data="", expire_date=timezone.now() + timedelta(days=1))
    tasks.minute.call()
    tasks.minute.call()
    assert [session.session_key for session in Session.objects.all()] == ["valid"]


@pytest.mark.django_db
def test_it_makes_the_partitions_of_the_coming_days_every_minute() -> None:
    now = timezone.now()
    tomorrow = (now + timedelta(days=1)).date()
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE traces_span_{tomorrow:%Y%m%d}")
    tasks.minute.call()
    last_day = span_store().health(now, 0).last_day
    assert last_day
    assert last_day > tomorrow


def test_it_brings_forward_what_waits_for_the_time_that_the_machine_was_ahead_of(project: Project) -> None:
    now = timezone.now()
    ahead = now + timedelta(days=2)
    (label,) = make_labels(make_signal(make_agent(project), active_since=now), project, 1, now=ahead)
    make_trace(project, 2, now=ahead)
    JudgeHealth.objects.create(url="", model="", paused_until=ahead)
    tasks.minute.call()
    later = timezone.now()
    assert Label.objects.claimable(later).get() == label
    assert not Unsettled.objects.filter(due_at__gt=later).exists()
    assert not JudgeHealth.objects.filter(paused_until__gt=later).exists()


def test_it_deletes_what_has_expired_every_minute(project: Project) -> None:
    long_ago = timezone.now() - timedelta(days=500)
    (label,) = make_labels(make_signal(make_agent(project), active_since=long_ago), project, 1, now=long_ago)
    tasks.minute.call()
    assert not Label.objects.filter(pk=label.pk).exists()
    assert not project.traces.exists()
    assert not AgentHour.objects.exists()
    assert not Span.objects.filter(project_id=project.pk).exists()


MINUTE = every(60 * SECOND, "minute", "catalyst.ops.tasks.minute")
DAY = timedelta(days=1)


def keep_house(now: datetime, last: datetime, project: Project) -> int:
    """How many traces of 40 days ago are left by a minute that follows one of `last`."""
    make_trace(project, 1, now=now - 40 * DAY)
    PeriodicRun.objects.register(["minute"], last)
    PeriodicRun.objects.update(finished_at=last)
    scheduler.tick(now, (MINUTE,))
    wake(MINUTE, now)
    return project.traces.count()


def test_it_deletes_nothing_in_the_first_hour_after_a_jump_of_the_clock(project: Project) -> None:
    now = timezone.now()
    assert keep_house(now, now - 2 * DAY, project) == 1
    later = now + 59 * 60 * SECOND
    assert not PeriodicRun.objects.is_steady("minute", later)
    assert PeriodicRun.objects.is_steady("minute", later + 60 * SECOND)


def test_it_deletes_after_a_night_without_it(project: Project) -> None:
    now = timezone.now()
    assert keep_house(now, now - DAY / 2, project) == 0


def test_a_clock_that_comes_back_is_steady_an_hour_later(registered: None, now: datetime) -> None:
    PeriodicRun.objects.filter(kind="note").update(finished_at=now)
    scheduler.tick(now + 40 * DAY, (NOTE,))
    PeriodicRun.objects.reset_after_clock_went_back(now)
    assert not PeriodicRun.objects.is_steady("note", now)
    assert PeriodicRun.objects.is_steady("note", now + 3600 * SECOND)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_it_goes_on_when_the_database_comes_back() -> None:
    ticks = 0

    def until() -> bool:
        nonlocal ticks
        ticks += 1
        if ticks == 2:
            with connection.cursor() as cursor, pytest.raises(Exception, match="terminating"):
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return ticks > 6

    scheduler.run(until, (NOTE,))
    assert PeriodicRun.objects.get().enqueued_at


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_it_wakes_real_workers_again_and_again() -> None:
    with ExitStack() as stack:
        for queue in settings.TASKS["default"]["QUEUES"]:
            stack.enter_context(running("worker", queue))
        process = stack.enter_context(running("clock"))
        kinds = [kind.name for kind in registry.entries(PeriodicTask)]
        eventually(lambda: PeriodicRun.objects.all_begun_since(kinds, timezone.now() - 60 * SECOND))
        second_time = timezone.now()
        eventually(lambda: PeriodicRun.objects.all_begun_since(["settle"], second_time))
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(10) == 0
