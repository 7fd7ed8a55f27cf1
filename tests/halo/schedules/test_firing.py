"""Schedules that are due start their reports: each time once, none lost."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from dateutil import tz
from django.db import connections as database_connections

from catalyst.agents.models import Agent
from catalyst.core.actor import SYSTEM
from catalyst.core.models import AuditEntry, Project
from catalyst.llms import connections
from catalyst.llms.models import ModelConnection
from halo.choices import Origin, RunStatus
from halo.models import Run, Schedule
from halo.models.schedule import MAX_AT_ONCE
from halo.runs import requests, worker
from halo.runs.requests import MAX_OPEN
from halo.schedules import firing, writes
from halo.schedules.plan import delay
from tests.factories import make_agent, make_connection
from tests.halo.calendar_oracle import expected
from tests.halo.schedules.definitions import DAY, HOUR, MINUTE, STARTED, end, fire, make_schedule, with_traces

pytestmark = pytest.mark.django_db

FAILURES = [RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.FAILED]


@pytest.fixture
def agent(project: Project, now: datetime) -> Agent:
    return with_traces(make_agent(project), now)


def nine(now: datetime, days: int = 1) -> datetime:
    """The 9 o'clock of so many days later."""
    return now.replace(hour=9, minute=0, second=0, microsecond=0) + days * DAY


def windows() -> list[str]:
    rows = Run.objects.order_by("pk").values_list("window_start", "window_end")
    return [f"{start:%m-%d %H:%M} to {end:%m-%d %H:%M}" for start, end in rows]


def stored(schedule: Schedule) -> Schedule:
    return Schedule.objects.get(pk=schedule.pk)


@pytest.fixture
def nightly(agent: Agent, now: datetime) -> Schedule:
    """Created at 10 o'clock, runs at 9."""
    return make_schedule(agent, now=nine(now, 0) + HOUR)


def test_it_starts_a_little_after_its_time(nightly: Schedule, now: datetime) -> None:
    due = nine(now) + delay(nightly)
    assert not firing.has_work(due - MINUTE)
    assert fire(due - MINUTE) == []
    assert firing.has_work(due)
    (run,) = fire(due)
    assert (run.window_start, run.window_end) == (nine(now, 0), nine(now))
    assert (run.origin, run.schedule, run.status) == (Origin.SCHEDULED, nightly, RunStatus.PENDING_EXPORT)
    assert (run.max_depth, run.notes, run.conversation.title) == (2, [], "Nightly")
    assert stored(nightly).next_run_at == nine(now, 2)
    assert fire(due + HOUR) == []
    assert not AuditEntry.objects.filter(action="started").exists()


def test_its_windows_leave_nothing_out(nightly: Schedule, now: datetime) -> None:
    for day in range(1, 5):
        (run,) = fire(nine(now, day) + STARTED)
        end(run, nine(now, day) + HOUR)
    rows = list(Run.objects.order_by("pk"))
    assert [after.window_start for after in rows[1:]] == [before.window_end for before in rows[:-1]]


def test_missed_nights_are_caught_up_once(nightly: Schedule, now: datetime) -> None:
    (run,) = fire(nine(now, 5) + 3 * HOUR)
    assert (run.window_start, run.window_end) == (nine(now, 0), nine(now, 5))
    assert run.notes == [firing.CAUGHT_UP]
    end(run, run.created_at)
    assert stored(nightly).next_run_at == nine(now, 6)
    assert fire(nine(now, 5) + 20 * HOUR) == []


def test_a_long_absence_is_caught_up_for_as_long_as_a_report_reads(nightly: Schedule, now: datetime) -> None:
    (run,) = fire(nine(now, 90) + HOUR)
    assert (run.window_start, run.window_end) == (nine(now, 60), nine(now, 90))
    assert run.notes == [firing.CAUGHT_UP, firing.CUT]


def test_it_waits_for_its_last_report(agent: Agent, now: datetime) -> None:
    begun = nine(now, 0)
    hourly = make_schedule(agent, now=begun + MINUTE, frequency="hourly", hours=[])
    (slow,) = fire(begun + HOUR + STARTED)
    assert [fire(begun + hours * HOUR + STARTED) for hours in (2, 3)] == [[], []]
    assert not firing.has_work(begun + 3 * HOUR + STARTED)
    end(slow, begun + 3 * HOUR)
    (caught_up,) = fire(begun + 3 * HOUR + STARTED)
    assert (caught_up.window_start, caught_up.window_end) == (slow.window_end, begun + 3 * HOUR)
    assert stored(hourly).next_run_at == begun + 4 * HOUR


def test_a_report_that_somebody_started_holds_it_up(nightly: Schedule, now: datetime) -> None:
    run = writes.run_now(nightly, now)
    assert fire(nine(now) + STARTED) == []
    end(run, now)
    assert len(fire(nine(now) + STARTED)) == 1


def test_many_take_turns_and_leave_room_for_people(agent: Agent, now: datetime) -> None:
    for _ in range(12):
        make_schedule(agent, now=nine(now, 0) + HOUR)
    started: list[Run] = []
    while batch := fire(nine(now) + STARTED):
        assert len(batch) <= MAX_AT_ONCE
        assert Run.objects.open().count() <= MAX_AT_ONCE < MAX_OPEN
        started += batch
        for run in batch:
            end(run, nine(now) + STARTED)
    assert len({run.schedule_id for run in started}) == len(started) == 12


def test_a_busy_project_holds_up_no_other_one(agent: Agent, other_project: Project, now: datetime) -> None:
    for _ in range(MAX_AT_ONCE):
        window = requests.Definition(window_start=now - DAY, window_end=now)
        requests.create(agent, window, now)
    waiting = make_schedule(agent, now=nine(now, 0) + HOUR)
    other = make_schedule(with_traces(make_agent(other_project), now), now=nine(now, 0) + HOUR)
    assert [run.schedule for run in fire(nine(now) + STARTED)] == [other]
    assert stored(waiting).next_run_at == nine(now)


def test_it_keeps_the_clock_of_its_zone(agent: Agent, now: datetime) -> None:
    """Berlin's clocks go forward on 28 March 2027."""
    begun = datetime(2027, 3, 26, 12, tzinfo=UTC)
    make_schedule(agent, now=begun, timezone="Europe/Berlin", hours=[9])
    for day in range(1, 4):
        for run in fire(begun + day * DAY):
            end(run, begun)
    zone = tz.gettz("Europe/Berlin")
    ends = [run.window_end.astimezone(zone) for run in Run.objects.order_by("pk")]
    assert [f"{each:%d %H:%M %z}" for each in ends] == ["27 09:00 +0100", "28 09:00 +0200", "29 09:00 +0200"]
    assert windows() == ["03-26 08:00 to 03-27 08:00", "03-27 08:00 to 03-28 07:00", "03-28 07:00 to 03-29 07:00"]


def test_one_that_is_disabled_or_archived_starts_nothing(agent: Agent, now: datetime) -> None:
    off, archived = (make_schedule(agent, now=now) for _ in range(2))
    writes.disable(off, now)
    writes.archive(archived, now)
    assert fire(now + 3 * DAY) == []


def test_it_pauses_when_its_agent_has_no_traces_any_more(nightly: Schedule, project: Project, now: datetime) -> None:
    project.traces.all().delete()
    assert fire(nine(now) + STARTED) == []
    paused = stored(nightly)
    assert (paused.state, paused.paused_reason, paused.next_run_at) == ("paused", "agent_not_found", None)
    assert "has no traces any more" in paused.paused_detail
    assert AuditEntry.objects.get(action="paused").detail == paused.paused_detail
    assert fire(nine(now, 2) + STARTED) == []


def test_it_pauses_when_its_report_can_not_start(agent: Agent, now: datetime) -> None:
    connection = make_connection(agent.project, now=now)
    schedule = make_schedule(agent, now=nine(now, 0) + HOUR, connection=connection.pk, engine="model")
    connections.delete(ModelConnection.objects.get(), stops_users=True, by=SYSTEM, now=now)
    assert fire(nine(now) + STARTED) == []
    paused = stored(schedule)
    assert (paused.state, paused.paused_reason) == ("paused", "refused")
    assert "no such model connection" in paused.paused_detail


def test_it_pauses_when_three_reports_in_a_row_fail(nightly: Schedule, now: datetime) -> None:
    for day, status in enumerate(FAILURES, 1):
        assert stored(nightly).state == "enabled"
        (run,) = fire(nine(now, day) + STARTED)
        end(run, nine(now, day) + HOUR, status, error="The model did not answer.")
    assert fire(nine(now, 4) + STARTED) == []
    paused = stored(nightly)
    assert (paused.state, paused.paused_reason, paused.failure_count) == ("paused", "failed", 3)
    assert paused.paused_detail == "3 reports in a row failed. The last one: The model did not answer."


@pytest.mark.parametrize(("status", "count"), [("completed", 0), ("no_traces", 0), ("cancelled", 2), ("failed", 3)])
def test_what_counts_as_a_failure(nightly: Schedule, now: datetime, status: str, count: int) -> None:
    Schedule.objects.update(failure_count=2)
    (run,) = fire(nine(now) + STARTED)
    end(run, nine(now) + HOUR, status)
    assert firing.has_work(nine(now) + HOUR)
    firing.work(nine(now) + HOUR)
    assert stored(nightly).failure_count == count
    assert not firing.has_work(nine(now) + HOUR)
    firing.work(nine(now) + HOUR)
    assert stored(nightly).failure_count == count


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_a_window_without_traces_asks_no_model_and_is_no_failure(project: Project, now: datetime) -> None:
    agent = with_traces(make_agent(project), now)
    make_connection(project, now=now)
    schedule = make_schedule(agent, now=nine(now, 0) + HOUR, engine="model")
    (run,) = fire(nine(now) + STARTED)
    worker.work(lambda: nine(now) + STARTED)
    firing.work(nine(now) + STARTED)
    assert (Run.objects.get(pk=run.pk).status, stored(schedule).failure_count) == (RunStatus.NO_TRACES, 0)


def test_one_that_can_not_be_read_holds_up_no_other(agent: Agent, now: datetime) -> None:
    broken, other = (make_schedule(agent, now=nine(now, 0) + HOUR) for _ in range(2))
    Schedule.objects.filter(pk=broken.pk).update(timezone="Gone/Zone", starts_at=nine(now))
    assert [run.schedule for run in fire(nine(now) + STARTED)] == [other]


@pytest.mark.slow
@pytest.mark.parametrize("first", [datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 10, 15, tzinfo=UTC)])
def test_seven_weeks_are_as_the_oracle_has_them(agent: Agent, first: datetime) -> None:
    """Over both changes of the clocks, in three zones, with nights in which Catalyst does not run."""
    zones = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
    schedules = [make_schedule(agent, now=first, timezone=zone, hours=[2], minutes=[30]) for zone in zones]
    last = first + 49 * DAY
    with_traces(agent, first)
    for night in range(1, 50):
        if night % 7 not in {3, 4}:
            for run in fire(first + night * DAY):
                end(run, run.created_at)
    for schedule in schedules:
        times = expected(schedule.recurrence, first - DAY, last)
        windows = Run.objects.filter(schedule=schedule).order_by("pk").values_list("window_start", "window_end")
        ends = [window_end for _, window_end in windows]
        # The windows are one behind the other, and each ends at a time.
        assert [window_start for window_start, _ in windows] == [times[0], *ends[:-1]]
        assert set(ends) < set(times)
        assert len(times) - 1 - len(ends) == len([night for night in range(1, 50) if night % 7 in {3, 4}])


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_two_clocks_at_once_start_each_report_once(project: Project, now: datetime) -> None:
    agent = with_traces(make_agent(project), now)
    for _ in range(MAX_AT_ONCE - 1):
        make_schedule(agent, now=nine(now, 0) + HOUR)

    def tick(_: int) -> None:
        firing.work(nine(now) + STARTED)
        database_connections.close_all()

    with ThreadPoolExecutor(4) as clocks:
        list(clocks.map(tick, range(8)))
    firing.work(nine(now) + STARTED)
    assert sorted(Run.objects.values_list("schedule_id", flat=True)) == sorted(
        Schedule.objects.values_list("pk", flat=True)
    )
