"""Signals of an agent: the tab of its page, and the cards of its overview."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalyst import timerange
from catalyst.core.access import ProjectRequest
from catalyst.htmx import render, wants_partial
from signals.models import Signal
from signals.results import rates, summaries
from traces.analytics import runs as agent_runs

# Signals side by side on the overview. If there are more, the last card lists the rest.
CARDS = 4


@require_safe
def agent_signals(request: ProjectRequest, pk: int) -> HttpResponse:
    agent = get_object_or_404(agent_runs.with_run_times(request.project), pk=pk)
    now = timezone.now()
    time_range = timerange.parse(request.GET.dict(), now)
    signals = list(request.project.signals.for_agent(agent).unarchived().for_list())
    active = [signal for signal in signals if signal.state == Signal.State.ACTIVE]
    signal_rates = rates.rates(active, time_range, now)
    shown_count = len(signal_rates) if len(signal_rates) <= CARDS else CARDS - 1
    context = {
        "agent": agent,
        "tab": "signals",
        "time_range": time_range,
        "rates": signal_rates[:shown_count],
        "more": signal_rates[shown_count:],
        "signal_count": len(signals),
    }
    if not wants_partial(request):
        context["summaries"] = summaries.listed(signals, time_range, now)
    return render(request, "signals/agent.html", context, partial="agent-signals")
