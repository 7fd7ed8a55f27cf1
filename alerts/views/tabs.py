"""Alerts of a signal and of an agent, as tabs of their pages."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from alerts.models import Alert
from alerts.views.alert_list import page_of
from catalyst import timerange
from catalyst.core.access import ProjectRequest
from catalyst.htmx import render
from traces.analytics import runs as agent_runs


@require_safe
def signal_alerts(request: ProjectRequest, pk: int) -> HttpResponse:
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    alerts = Alert.objects.for_project(request.project).unarchived().filter(signal=signal)
    context = {
        "signal": signal,
        "tab": "alerts",
        "time_range": timerange.parse(request.GET.dict(), timezone.now()),
        **page_of(request, alerts),
    }
    return render(request, "alerts/signal.html", context, partial="alert-rows")


@require_safe
def agent_alerts(request: ProjectRequest, pk: int) -> HttpResponse:
    agent = get_object_or_404(agent_runs.with_run_times(request.project), pk=pk)
    alerts = Alert.objects.for_project(request.project).unarchived().filter(agent=agent)
    context = {
        "agent": agent,
        "tab": "alerts",
        "time_range": timerange.parse(request.GET.dict(), timezone.now()),
        "shows_signal": True,
        **page_of(request, alerts),
    }
    return render(request, "alerts/agent.html", context, partial="alert-rows")
