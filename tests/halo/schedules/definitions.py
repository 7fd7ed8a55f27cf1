"""Schedules of the tests."""

from datetime import datetime, timedelta
from typing import Any

from catalyst.agents.models import Agent
from halo.choices import RunStatus
from halo.models import Run, Schedule
from halo.schedules import firing, writes
from halo.schedules.writes import Definition
from tests.factories import make_trace

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
# Behind the latest start of a report after its time.
STARTED = 5 * MINUTE


def definition(**about: Any) -> Definition:
    """Every day at 9 in UTC."""
    return Definition(**{"title": "Nightly", "frequency": "daily", "hours": [9], **about})


def make_schedule(agent: Agent, *, now: datetime, enabled: bool = True, **about: Any) -> Schedule:
    return writes.create(agent, definition(**about), now, enabled=enabled)


def with_traces(agent: Agent, now: datetime) -> Agent:
    """The agent with a trace of long ago: it exists, and no window of the tests has one."""
    make_trace(agent.project, 1, now=now - 20 * DAY)
    return agent


def fire(moment: datetime) -> list[Run]:
    """What a clock does. Returns the reports that it started."""
    known = set(Run.objects.values_list("pk", flat=True))
    firing.work(moment)
    return list(Run.objects.exclude(pk__in=known).order_by("pk"))


def end(run: Run, at: datetime, status: str = RunStatus.COMPLETED, **columns: Any) -> Run:
    """End a report as a worker does."""
    Run.objects.filter(pk=run.pk).update(status=status, ended_at=at, **columns)
    run.refresh_from_db()
    return run
