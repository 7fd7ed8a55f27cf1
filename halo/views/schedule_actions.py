"""Buttons of a schedule: enable, disable, archive, unarchive, run now."""

from collections.abc import Callable
from datetime import datetime

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from catalyst.core.access import ProjectRequest, editor_required
from catalyst.core.actor import Actor
from catalyst.htmx import redirect, redirect_back
from halo.models import Schedule
from halo.schedules import writes
from halo.views.schedules import schedule_of


@require_POST
@editor_required
def schedule_enable(request: ProjectRequest, pk: int) -> HttpResponse:
    return _do(request, pk, writes.enable, "is enabled")


@require_POST
@editor_required
def schedule_disable(request: ProjectRequest, pk: int) -> HttpResponse:
    return _do(request, pk, writes.disable, "is disabled. A report that is under way goes on.")


@require_POST
@editor_required
def schedule_archive(request: ProjectRequest, pk: int) -> HttpResponse:
    return _do(request, pk, writes.archive, "is archived. Its reports are kept.")


@require_POST
@editor_required
def schedule_unarchive(request: ProjectRequest, pk: int) -> HttpResponse:
    return _do(request, pk, writes.unarchive, "is unarchived")


@require_POST
@editor_required
def schedule_run(request: ProjectRequest, pk: int) -> HttpResponse:
    """Start its report now. Leads to it."""
    schedule = schedule_of(request, pk)
    try:
        run = writes.run_now(schedule, timezone.now(), request.actor)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect_back(request, schedule.get_absolute_url())
    return redirect(request, run.get_absolute_url())


def _do(
    request: ProjectRequest, pk: int, write: Callable[[Schedule, datetime, Actor], object], done: str
) -> HttpResponse:
    schedule = schedule_of(request, pk)
    try:
        write(schedule, timezone.now(), request.actor)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, f"{schedule} {done}")
    return redirect_back(request, schedule.get_absolute_url())
