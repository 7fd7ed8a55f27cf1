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

from catalyst import params, timerange
from catalyst.core.access import ProjectRequest, editor_required
from catalyst.htmx import STOP_POLLING, redirect, redirect_back, render, wants_partial
from catalyst.params import is_id
from signals.forms.runs import RunForm
from signals.judging import budget_checks, health, judges
from signals.models import Signal, SignalRun
from signals.runs import backfill, estimates

PAGE = 20


@require_safe
def run_list(request: ProjectRequest, pk: int) -> HttpResponse:
    """List runs, newest first, continued below the run `before`."""
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    return _page(request, signal, RunForm(initial=_begin(request, timezone.now())))


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def run_preview(request: ProjectRequest, pk: int) -> HttpResponse:
    """Show counts and cost of a backfill. Starts nothing.

    Browsers without JavaScript send POST, because the form has a token that must not appear in an address.
    """
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    return _page(request, signal, RunForm(request.POST or request.GET), preview=True)


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
        run = backfill.start(signal, **form.cleaned_data, now=timezone.now(), by=request.actor)
    except ValidationError as error:
        form.report(error)
        return _page(request, signal, form)
    messages.success(request, "Backfill started. Live traffic has priority.")
    if request.POST.get("then") == "results":
        return redirect(request, signal.get_absolute_url())
    # The form keeps its window.
    window = {"from": timerange.iso(run.window_start), "to": timerange.iso(run.window_end), "rate": run.sample_rate}
    return redirect(request, reverse("signals:run-list", args=[request.project.slug, signal.pk], query=window))


def _begin(request: ProjectRequest, now: datetime) -> dict[str, Any]:
    """The window of the page's range if it names one, else the last 7 days."""
    if not request.GET.keys() & {"range", "from"}:
        return RunForm.recent(now)
    time_range = timerange.parse(request.GET.dict(), now)
    end = min(time_range.end, timerange.ceil(now, timerange.MINUTE))
    rate = params.parse_number(request.GET.get("rate", ""))
    return {"start": time_range.start, "end": end, "sample_rate": 100 if rate is None else rate}


@require_POST
@editor_required
def run_cancel(request: ProjectRequest, pk: int, run: int) -> HttpResponse:
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    signal_run = get_object_or_404(SignalRun.objects.for_signal(signal), pk=run)
    backfill.cancel(signal_run, timezone.now(), request.actor)
    messages.success(request, "Backfill cancelled. Existing labels stay.")
    return redirect_back(request, reverse("signals:run-list", args=[request.project.slug, signal.pk]))


def _page(request: ProjectRequest, signal: Signal, form: RunForm, *, preview: bool = False) -> HttpResponse:
    now, partial = timezone.now(), "run-preview" if preview else "run-rows"
    context: dict[str, Any] = {"signal": signal, "form": form}
    if preview and form.is_valid() and signal.current_version is not None:
        counts = backfill.preview(signal.current_version, **form.cleaned_data)
        context["preview"] = counts
        context["judge"] = judges.judge_of(signal.current_version)
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
        "judge": (judge := judges.judge_of(version) if version else None),
        "trouble": health.outage_of(judge) if judge else None,
        "stop": budget_checks.caps_reached([version], now).get(version.pk) if version else None,
    }
