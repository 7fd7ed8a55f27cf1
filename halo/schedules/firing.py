"""From a schedule that is due to its report, and from the end of a report back to its schedule.

Each step is one transaction that locks the schedule, so that two clocks start nothing twice, and a worker that dies
leaves its step to the next one.

Times that were missed, because Catalyst did not run or the report before was still under way, are caught up once: by
one report that ends at the newest of them and begins where that of the first one would have begun.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction

from halo.choices import Origin, PausedReason, RunStatus
from halo.models import Run, Schedule
from halo.models.run import MAX_WINDOW_DAYS
from halo.runs import requests
from halo.schedules import telling, writes
from halo.schedules.plan import delay

logger = logging.getLogger(__name__)

# As many reports in a row that fail pause their schedule.
MAX_FAILURES = 3
FAILED = {RunStatus.COMPLETED: False, RunStatus.NO_TRACES: False, RunStatus.FAILED: True, RunStatus.TIMED_OUT: True}
CAUGHT_UP = "Earlier times of the schedule were missed, so this report begins where the first of them would have."
CUT = f"It reads at most {MAX_WINDOW_DAYS} days, so older traces that were missed are left out."


def has_work(now: datetime) -> bool:
    return Run.objects.to_note().exists() or Schedule.objects.due(now).exists()


def work(now: datetime, until: Callable[[], bool] = lambda: False) -> None:
    """Take note of reports that ended, then start those that are due."""
    for step in (_note_one, _fire_one):
        seen: set[int] = set()
        while not until() and _done(step, now, seen):
            pass


def _done(step: Callable[[datetime, set[int]], bool], now: datetime, seen: set[int]) -> bool:
    try:
        return step(now, seen)
    except Exception:  # one that fails must not hold up the others behind it
        logger.exception("A step of a schedule failed")
        return True


@transaction.atomic
def _fire_one(now: datetime, seen: set[int]) -> bool:
    """Start one report. False if no schedule is due but those `seen`, which have to wait."""
    due = Schedule.objects.due(now).exclude(pk__in=seen).select_related("project", "agent", "connection")
    schedule = due.select_for_update(skip_locked=True, of=("self",), no_key=True).first()
    if schedule is None:
        return False
    seen.add(schedule.pk)
    _fire(schedule, now)
    return True


def _fire(schedule: Schedule, now: datetime) -> None:
    """Start the report of a locked schedule, unless it has to wait or to be paused."""
    # Somebody may have started it after the due ones were read.
    if Run.objects.open().filter(schedule=schedule).exists():
        return
    if not schedule.project.traces.filter(agent=schedule.agent_id).exists():
        _pause_without_agent(schedule, now)
        return
    first = schedule.next_run_at or now
    end = schedule.recurrence.newest(first, now - delay(schedule))
    start = writes.window_start(schedule, end, first)
    try:
        notes = list(_notes(schedule, start, end))
        writes.start(schedule, (start, end), now, origin=Origin.SCHEDULED, notes=notes)
    except ValidationError as error:
        if getattr(error, "code", "") != requests.FULL:
            _pause(schedule, PausedReason.REFUSED, " ".join(error.messages), now)
        return
    writes.move_on(schedule, end)


def _notes(schedule: Schedule, start: datetime, end: datetime) -> Iterator[str]:
    if end == schedule.next_run_at:
        return
    yield CAUGHT_UP
    if start > schedule.recurrence.start(schedule.next_run_at or end, schedule.lookback_hours):
        yield CUT


def _pause_without_agent(schedule: Schedule, now: datetime) -> None:
    days = schedule.project.kept_days
    text = f"{schedule.agent} has no traces any more: none came for {days} day{'' if days == 1 else 's'}."
    _pause(schedule, PausedReason.AGENT_NOT_FOUND, text, now)


def _pause(schedule: Schedule, reason: PausedReason, detail: str, now: datetime) -> None:
    writes.pause(schedule, reason, detail)
    telling.tell_pause(schedule, now)


@transaction.atomic
def _note_one(now: datetime, seen: set[int]) -> bool:
    """Count a failure, pause a schedule that fails again and again, tell what is new. False if no report ended."""
    ended = Run.objects.to_note().exclude(pk__in=seen).select_related("project", "agent", "conversation")
    run = ended.select_for_update(skip_locked=True, of=("self",), no_key=True).first()
    if run is None:
        return False
    seen.add(run.pk)
    assert run.schedule_id is not None
    schedule = Schedule.objects.select_for_update(no_key=True).get(pk=run.schedule_id)
    writes.note(schedule, failed=FAILED.get(RunStatus(run.status)))
    if schedule.enabled and schedule.failure_count >= MAX_FAILURES:
        text = (
            f"{schedule.failure_count} reports in a row failed. The last one: {run.error or run.get_status_display()}"
        )
        _pause(schedule, PausedReason.FAILED, text, now)
    news = telling.told(run, now)
    Run.objects.filter(pk=run.pk).update(noted_at=now, news_count=news)
    return True
