"""Creating, changing and stopping schedules."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from catalyst.agents.models import Agent
from catalyst.core.actor import Actor
from catalyst.core.models import AuditEntry, Project, User
from catalyst.registry import AgentRows, entries
from halo.choices import Origin, PausedReason, RunStatus
from halo.models import Schedule
from halo.schedules import writes
from halo.schedules.plan import FIRST_START, LAST_START, delay
from halo.schedules.writes import MAX_SCHEDULES, Definition
from tests.factories import make_agent, make_channel, make_connection
from tests.halo.schedules.definitions import DAY, HOUR, definition, end, make_schedule

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


def stored(schedule: Schedule) -> Schedule:
    return Schedule.objects.get(pk=schedule.pk)


def audited() -> list[str]:
    return list(AuditEntry.objects.filter(kind="schedule").order_by("pk").values_list("action", flat=True))


def test_it_plans_its_next_report(agent: Agent, alice: User, now: datetime) -> None:
    schedule = writes.create(agent, definition(hours=[9, 9], title="  Every  night "), now, Actor(alice))
    assert (schedule.title, schedule.hours, schedule.created_by_name) == ("Every night", [9], "alice")
    planned = stored(schedule)
    assert planned.next_run_at is not None
    assert planned.starts_at is not None
    assert (planned.next_run_at.hour, planned.next_run_at.minute) == (9, 0)
    assert now < planned.next_run_at <= now + DAY
    assert FIRST_START <= planned.starts_at - planned.next_run_at < LAST_START
    assert audited() == ["created"]


@pytest.mark.parametrize(
    ("about", "hours"),
    [
        ({"frequency": "hourly", "hours": []}, 1),
        ({}, 24),
        ({"frequency": "weekly", "days_of_week": [1]}, 168),
        ({"frequency": "monthly", "days_of_month": [1]}, 720),
        ({"lookback_hours": 6}, 6),
    ],
)
def test_its_lookback_is_that_of_its_cadence(agent: Agent, now: datetime, about: dict[str, Any], hours: int) -> None:
    assert make_schedule(agent, now=now, **about).lookback_hours == hours


def test_a_hundred_at_midnight_do_not_start_at_once(agent: Agent, now: datetime) -> None:
    delays = {delay(Schedule(pk=pk)) for pk in range(100)}
    assert len(delays) > 60
    assert all(FIRST_START <= each < LAST_START for each in delays)
    assert delay(Schedule(pk=7)) == delay(Schedule(pk=7))


@pytest.mark.parametrize(
    ("about", "field", "text"),
    [
        ({"title": " "}, "title", "Enter a title"),
        ({"title": "x" * 121}, "title", "at most 120"),
        ({"hours": [25]}, "hours", "from 0 to 23"),
        ({"timezone": "Mars"}, "timezone", "Europe/Berlin"),
        ({"lookback_hours": 0}, "lookback_hours", "from 1 to 720"),
        ({"lookback_hours": 721}, "lookback_hours", "from 1 to 720"),
        ({"max_turns": 2}, "max_turns", "from 3 to 100"),
        ({"budget_usd": Decimal(0)}, "budget_usd", "from 0.01"),
        ({"focus": "attribute=a"}, "focus", "has no value"),
        ({"engine": "model"}, "engine", "No model is connected"),
        ({"connection": 999_999}, "connection", "no such model connection"),
        ({"channels": [999_999]}, "channels", "no such channel"),
        ({"channels": list(range(1, 30))}, "channels", "at most 20"),
    ],
)
def test_it_refuses(agent: Agent, now: datetime, about: dict[str, Any], field: str, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make_schedule(agent, now=now, **about)
    assert list(caught.value.message_dict) == [field]
    assert text in " ".join(caught.value.message_dict[field])
    assert not Schedule.objects.exists()


def test_a_channel_of_another_project_is_unknown(agent: Agent, other_project: Project, now: datetime) -> None:
    channel = make_channel(other_project, now=now)
    with pytest.raises(ValidationError, match="no such channel"):
        make_schedule(agent, now=now, channels=[channel.pk])


def test_a_project_has_so_many(agent: Agent, now: datetime) -> None:
    first = make_schedule(agent, now=now)
    columns = {field.attname: getattr(first, field.attname) for field in Schedule._meta.concrete_fields}
    del columns["id"]
    Schedule.objects.bulk_create(Schedule(**columns) for _ in range(MAX_SCHEDULES - 1))
    with pytest.raises(ValidationError, match="at most 100 schedules"):
        make_schedule(agent, now=now)
    writes.archive(first, now)
    make_schedule(agent, now=now)
    with pytest.raises(ValidationError, match="at most 100 schedules"):
        writes.unarchive(first, now)


def test_a_change_of_its_times_counts_from_now_on(agent: Agent, now: datetime) -> None:
    schedule = make_schedule(agent, now=now)
    planned = stored(schedule).next_run_at
    writes.update(schedule, definition(prompt="Why?"), now + HOUR)
    assert (stored(schedule).next_run_at, stored(schedule).prompt) == (planned, "Why?")
    writes.update(schedule, definition(prompt="Why?", hours=[10]), now + HOUR)
    found = stored(schedule).next_run_at
    assert found is not None
    assert found.hour == 10
    writes.update(schedule, definition(prompt="Why?", hours=[10]), now + 2 * HOUR)
    assert audited() == ["created", "changed", "changed"]


def test_a_definition_reads_back(agent: Agent, now: datetime) -> None:
    connection = make_connection(agent.project, now=now)
    asked = definition(
        frequency="monthly",
        days_of_week=[],
        days_of_month=[1, 31],
        minutes=[0, 30],
        timezone="Asia/Tokyo",
        lookback_hours=5,
        prompt="Why?",
        focus="status=error",
        engine="model",
        connection=connection.pk,
        model=connection.default_model,
        max_turns=7,
        budget_usd=Decimal("1.5"),
        channels=[make_channel(agent.project, now=now).pk],
    )
    found = Definition.of(stored(writes.create(agent, asked, now)))
    assert found == asked


def test_it_stops_and_begins_again_without_catching_up(agent: Agent, now: datetime) -> None:
    schedule = make_schedule(agent, now=now)
    writes.disable(schedule, now)
    assert (schedule.state, stored(schedule).next_run_at, stored(schedule).starts_at) == ("disabled", None, None)
    writes.enable(schedule, now + 3 * DAY)
    found = stored(schedule).next_run_at
    assert found is not None
    assert found > now + 3 * DAY
    writes.archive(schedule, now)
    assert (schedule.state, stored(schedule).next_run_at) == ("archived", None)
    with pytest.raises(ValidationError, match="Unarchive it first"):
        writes.enable(schedule, now)
    with pytest.raises(ValidationError, match="Unarchive it first"):
        writes.run_now(schedule, now)
    writes.unarchive(schedule, now)
    assert (schedule.state, stored(schedule).next_run_at is None) == ("enabled", False)
    assert audited() == ["created", "disabled", "enabled", "archived", "unarchived"]


def test_enabling_ends_a_pause(agent: Agent, now: datetime) -> None:
    schedule = make_schedule(agent, now=now)
    writes.pause(schedule, PausedReason.FAILED, "It failed.")
    Schedule.objects.update(failure_count=3)
    assert stored(schedule).state == "paused"
    writes.enable(schedule, now)
    found = stored(schedule)
    assert (found.state, found.paused_reason, found.paused_detail, found.failure_count) == ("enabled", "", "", 0)


def test_it_runs_now_on_its_lookback(agent: Agent, alice: User, now: datetime) -> None:
    schedule = make_schedule(agent, now=now, lookback_hours=6, prompt="Why?", max_turns=7, enabled=False)
    run = writes.run_now(schedule, now, Actor(alice))
    assert (run.window_start, run.window_end) == (now - 6 * HOUR, now)
    assert (run.origin, run.schedule, run.prompt, run.max_turns) == (Origin.MANUAL_SCHEDULE, schedule, "Why?", 7)
    assert (run.conversation.title, run.created_by_name) == ("Nightly", "alice")
    with pytest.raises(ValidationError, match="still under way"):
        writes.run_now(schedule, now)
    end(run, now, RunStatus.FAILED)
    again = writes.run_now(schedule, now, window=(now - 2 * DAY, now - DAY))
    assert (again.window_start, again.window_end) == (now - 2 * DAY, now - DAY)


def test_it_moves_along_with_its_agent(agent: Agent, project: Project, now: datetime) -> None:
    schedule, into = make_schedule(agent, now=now), make_agent(project, "other")
    for entry in entries(AgentRows):
        entry.move(agent, into)
    assert stored(schedule).agent == into
