"""The runs tab of a signal."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import trigger_client_event

from catalyst import timerange
from catalyst.core.access import ProjectRequest, editor_required
from catalyst.htmx import STOP_POLLING, redirect_back, render, wants_partial
from catalyst.params import is_id
from signals.forms.runs import RunForm
from signals.judging import budget_checks
from signals.models import Signal, SignalRun
from signals.runs import backfill, estimates

PAGE = 20


@require_safe
def run_list(request: ProjectRequest, pk: int) -> HttpResponse:
    """List runs, newest first, continued below the run `before`."""
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    return _page(request, signal, RunForm(initial=RunForm.recent(timezone.now())))


@require_http_methods(["GET", "HEAD"])
@editor_required
def run_preview(request: ProjectRequest, pk: int) -> HttpResponse:
    """Show counts and cost of a run. Starts nothing."""
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    return _page(request, signal, RunForm(request.GET), preview=True)


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def run_create(request: ProjectRequest, pk: int) -> HttpResponse:
    if request.method != "POST":
        return run_list(request, pk)
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    form = RunForm(request.POST)
    if not form.is_valid():
        return _page(request, signal, form)
    try:
        backfill.start(signal, **form.cleaned_data, now=timezone.now(), by=request.actor)
    except ValidationError as error:
        form.report(error)
        return _page(request, signal, form)
    messages.success(request, "The run has started; live traffic is judged before it")
    return redirect_back(request, reverse("signals:run-list", args=[request.project.slug, signal.pk]))


@require_POST
@editor_required
def run_cancel(request: ProjectRequest, pk: int, run: int) -> HttpResponse:
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    signal_run = get_object_or_404(SignalRun.objects.for_signal(signal), pk=run)
    backfill.cancel(signal_run, timezone.now(), request.actor)
    messages.success(request, "The run is cancelled; its labels stay")
    return redirect_back(request, reverse("signals:run-list", args=[request.project.slug, signal.pk]))


def _page(request: ProjectRequest, signal: Signal, form: RunForm, *, preview: bool = False) -> HttpResponse:
    now, partial = timezone.now(), "run-preview" if preview else "run-rows"
    context: dict[str, Any] = {"signal": signal, "form": form}
    if preview and form.is_valid() and signal.current_version is not None:
        counts = backfill.preview(signal.current_version, **form.cleaned_data)
        context["preview"] = counts
        context["estimate"] = estimates.estimate_calls(signal.current_version, counts.to_judge, counts.examples, now)
    if not preview or not wants_partial(request):
        context |= _page_context(request, signal, now)
    is_polled = context["is_polled"] = not preview and wants_partial(request)
    if is_polled and not context["is_open"]:
        response = render(request, "signals/runs.html", context, partial=partial, status=STOP_POLLING)
        return trigger_client_event(response, "run-ended")
    status = 422 if not preview and form.errors else 200
    return render(request, "signals/runs.html", context, partial=partial, status=status)


def _page_context(request: ProjectRequest, signal: Signal, now: datetime) -> dict[str, Any]:
    before = request.GET.get("before", "")
    runs = SignalRun.objects.for_signal(signal)
    if is_id(before):
        runs = runs.filter(pk__lt=int(before))
    page_runs = list(runs[: PAGE + 1])
    version = signal.current_version
    return {
        "tab": "runs",
        "time_range": timerange.parse(request.GET.dict(), now),
        "runs": backfill.progress(page_runs[:PAGE], now),
        "more": page_runs[PAGE - 1].pk if len(page_runs) > PAGE else None,
        "is_open": any(run.is_open for run in page_runs),
        "stop": budget_checks.caps_reached([version], now).get(version.pk) if version else None,
    }
