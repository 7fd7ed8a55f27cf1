"""Schedules of an agent, and one of them with its reports."""

from datetime import datetime
from itertools import islice
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalyst import notifications, timerange
from catalyst.core.access import ProjectRequest
from catalyst.htmx import render
from catalyst.timerange import HOUR
from halo.models import Run, Schedule
from halo.recurrence import Recurrence
from halo.schedules.writes import MAX_SCHEDULES
from halo.views.rows import Row, length_text, page_of
from traces.analytics import runs as agent_runs

TONES = {"enabled": "ok", "paused": "failed"}
TIMES = 3


@require_safe
def schedule_list(request: ProjectRequest, pk: int) -> HttpResponse:
    """The newest first. There are never more than it shows, but of archived ones."""
    agent = get_object_or_404(agent_runs.with_run_times(request.project), pk=pk)
    every, archived = Schedule.objects.for_project(request.project).filter(agent=agent), "archived" in request.GET
    found = list((every.archived() if archived else every.unarchived()).for_list()[:MAX_SCHEDULES])
    ids = [each.last_run for each in found if each.last_run is not None]
    newest = {run.pk: Row(run) for run in Run.objects.filter(pk__in=ids).for_list()}
    context = {
        "agent": agent,
        "tab": "analysis",
        "time_range": timerange.parse(request.GET.dict(), timezone.now()),
        "rows": [(each, TONES.get(each.state, ""), newest.get(each.last_run or 0)) for each in found],
        "archived": archived,
        "archived_count": every.archived().count(),
        "is_cut": len(found) == MAX_SCHEDULES,
    }
    return render(request, "halo/schedules.html", context)


@require_safe
def schedule(request: ProjectRequest, pk: int) -> HttpResponse:
    """A schedule with its reports."""
    found = schedule_of(request, pk)
    names = [name for channel, name in notifications.channels(request.project.pk) if channel in found.channels]
    context: dict[str, Any] = {
        "schedule": found,
        "agent": found.agent,
        "tone": TONES.get(found.state, ""),
        "window": length_text(found.lookback_hours * HOUR),
        "times": next_times(found.recurrence, timezone.now()) if found.next_run_at else [],
        "channels": names,
        "gone_channels": len(found.channels) - len(names),
        **page_of(request, Run.objects.for_project(request.project).filter(schedule=found)),
    }
    return render(request, "halo/schedule.html", context, partial="schedule-reports")


def schedule_of(request: ProjectRequest, pk: int) -> Schedule:
    return get_object_or_404(Schedule.objects.for_project(request.project).for_list(), pk=pk)


def next_times(recurrence: Recurrence, now: datetime) -> list[tuple[datetime, str]]:
    """The next times, each with what a clock in the zone of the schedule shows: `Mon 30 Nov 09:00 CET`."""
    times = islice(recurrence.times(now), TIMES)
    return [(moment, f"{moment.astimezone(recurrence.zone):%a %-d %b %H:%M %Z}") for moment in times]
