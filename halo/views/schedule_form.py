"""The form of a schedule: create, edit, and when it would run."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from catalyst import timerange
from catalyst.core.access import ProjectRequest, editor_required
from catalyst.htmx import redirect, render, wants_partial
from halo import focus
from halo.forms.schedules import ScheduleForm
from halo.models import Schedule
from halo.schedules import writes
from halo.views.schedules import next_times, schedule_of
from traces.analytics import runs as agent_runs

# What a button of the form asks for instead of saving it.
SHOW_TIMES = "times"


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def schedule_create(request: ProjectRequest, pk: int) -> HttpResponse:
    """Create a schedule on the traces that the parameters of the address name."""
    agent, now = get_object_or_404(agent_runs.with_run_times(request.project), pk=pk), timezone.now()
    form = ScheduleForm(agent, request.POST if request.method == "POST" else None, focus=focus.text_of(request.GET))
    if form.is_bound and _is_sent(request) and (made := _create(request, form, now)):
        messages.success(request, f"{made} is scheduled")
        return redirect(request, made.get_absolute_url())
    return _page(request, form, now)


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def schedule_edit(request: ProjectRequest, pk: int) -> HttpResponse:
    schedule, now = schedule_of(request, pk), timezone.now()
    agent = get_object_or_404(agent_runs.with_run_times(request.project), pk=schedule.agent_id)
    form = ScheduleForm(agent, request.POST if request.method == "POST" else None, schedule=schedule)
    if form.is_bound and _is_sent(request) and _update(request, form, schedule, now):
        messages.success(request, f"{schedule} is saved")
        return redirect(request, schedule.get_absolute_url())
    return _page(request, form, now)


def _is_sent(request: ProjectRequest) -> bool:
    return request.POST.get("then") != SHOW_TIMES


def _create(request: ProjectRequest, form: ScheduleForm, now: datetime) -> Schedule | None:
    if not form.is_valid():
        return None
    try:
        return writes.create(form.agent, form.definition, now, request.actor)
    except ValidationError as error:
        form.report(error)
        return None


def _update(request: ProjectRequest, form: ScheduleForm, schedule: Schedule, now: datetime) -> bool:
    if not form.is_valid():
        return False
    try:
        writes.update(schedule, form.definition, now, request.actor)
    except ValidationError as error:
        form.report(error)
        return False
    return True


def _page(request: ProjectRequest, form: ScheduleForm, now: datetime) -> HttpResponse:
    is_refused = form.is_bound and _is_sent(request)
    recurrence = form.recurrence
    context: dict[str, Any] = {
        "form": form,
        "agent": form.agent,
        "schedule": form.schedule,
        "is_refused": is_refused,
        "times": next_times(recurrence, now) if recurrence else [],
        "when": recurrence.words if recurrence else "",
    }
    if form.is_bound and not is_refused and wants_partial(request):
        return render(request, "halo/parts/times.html", context)
    context |= {"tab": "analysis", "time_range": timerange.parse(request.GET.dict(), now)}
    return render(request, "halo/schedule_form.html", context, status=422 if is_refused else 200)
