"""Pages of agents."""

from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalyst import params, timerange
from catalyst.core.access import ProjectRequest
from catalyst.htmx import render, wants_partial
from catalyst.timerange import TimeRange
from traces import label_sources, usage
from traces.analytics import agent_order, calls, charts, label_breakdown
from traces.analytics import runs as agent_runs
from traces.analytics.charts import Axis, Bars
from traces.analytics.runs import SeenAgent
from traces.analytics.stats import Stats, stats
from traces.list_params import AgentSortForm, BreakdownForm, CallSortForm, SessionFilterForm, TraceFilterForm
from traces.models.trace import TraceFilter
from traces.models.volumes import agent_is
from traces.views import groups, sessions, traces

PAGE = 200


@require_safe
def agent_list(request: ProjectRequest) -> HttpResponse:
    now = timezone.now()
    time_range, start = timerange.parse(request.GET.dict(), now), params.offset(request.GET.get("after"))
    form = AgentSortForm(request.GET)
    agents = list(agent_order.in_order(request.project, time_range, form.sort_order)[start : start + PAGE + 1])
    context = {
        "time_range": time_range,
        "filter_form": form,
        "sort": form.sort_order,
        "more": start + PAGE if len(agents) > PAGE else None,
        **_rows(request, agents[:PAGE], time_range, now),
    }
    if not agents:
        context["has_traces"] = request.project.traces.exists()
    return render(request, "traces/agents.html", context, partial="agent-rows")


@require_safe
def agent_detail(request: ProjectRequest, pk: int) -> HttpResponse:
    now = timezone.now()
    context = _tab_context(request, pk, "overview", now)
    time_range: TimeRange = context["time_range"]
    compared = agent_runs.against_before(request.project, context["agent"], time_range, now)
    context |= {"since": compared.since, "until": compared.until}
    if compared.bars:
        context["compared"] = compared.is_comparable
        total = usage.total(compared.bars.values())
        numbers = stats(total, usage.total(compared.earlier))
        context["failed_runs"] = total.usage.error_trace_count
        context |= _cards(request, pk, compared.bars, numbers, time_range)
        context["deploys"] = request.project.deploys.changes_of(pk, time_range)
        context["cards"] = charts.marked(context["cards"], context["deploys"])
        form = CallSortForm(request.GET)
        context |= {"filter_form": form, "models_sort": form.models_order, "tools_sort": form.tools_order}
        context["calls"] = calls.tables(request.project, pk, time_range, form.models_order, form.tools_order)
    else:
        context["nearest"] = traces.nearest(request, TraceFilter(request.project.pk, agent=pk), now)
    return render(request, "traces/agent_overview.html", context, partial="agent-numbers")


def _cards(request: ProjectRequest, pk: int, bars: Bars, numbers: Stats, time_range: TimeRange) -> dict[str, Any]:
    form = BreakdownForm(request.GET, label_sources.dimensions(request.project, pk))
    by = form.dimension
    if by is None:
        return {"form": form, "cards": charts.over_time(Axis(bars, time_range), numbers)}
    newest = label_breakdown.newest_bars(bars)
    labelled_range = replace(time_range, start=min(newest))
    bars_by_label = request.project.traces.filter(agent_is(pk)).runs_by(by.value, labelled_range)
    breakdown = label_breakdown.breakdown(by, bars_by_label, newest, numbers, time_range)
    since = labelled_range.start if len(newest) < len(bars) else None
    return {"form": form, "breakdown": breakdown, "broken_down_since": since, "cards": breakdown.cards}


@require_safe
def agent_sessions(request: ProjectRequest, pk: int) -> HttpResponse:
    now = timezone.now()
    form = SessionFilterForm(request.project, request.GET)
    context, trace_filter = _tab_context(request, pk, "sessions", now), _tab_filter(form, pk)
    context |= {
        "filter_form": form,
        "trace_filter": trace_filter,
        **sessions.session_page(request, trace_filter, form.sort_order, context["time_range"], now),
    }
    if wants_partial(request):
        return render(request, "traces/sessions.html", context, partial="session-rows")
    return render(request, "traces/agent_sessions.html", context)


@require_safe
def agent_traces(request: ProjectRequest, pk: int) -> HttpResponse:
    now = timezone.now()
    form = TraceFilterForm(request.project, request.GET)
    context, trace_filter = _tab_context(request, pk, "traces", now), _tab_filter(form, pk)
    context |= {
        "filter_form": form,
        "trace_filter": trace_filter,
        "session": traces.session_of(request, trace_filter),
        **traces.trace_page(request, trace_filter, form.sort_order, context["time_range"]),
    }
    if wants_partial(request):
        return render(request, "traces/list.html", context, partial="trace-rows")
    context["group"] = groups.shown(request.project, trace_filter, context["time_range"])
    context["nearest"] = None if context["rows"] else traces.nearest(request, trace_filter, now)
    return render(request, "traces/agent_traces.html", context)


def _tab_context(request: ProjectRequest, pk: int, tab: str, now: datetime) -> dict[str, Any]:
    agent = get_object_or_404(agent_runs.with_run_times(request.project), pk=pk)
    return {
        "agent": agent,
        "tab": tab,
        "time_range": timerange.parse(request.GET.dict(), now),
    }


def _tab_filter(form: TraceFilterForm, pk: int) -> TraceFilter:
    if form.trace_filter.agent not in (None, pk):
        form.add_error("agent", "This is the page of one agent.")
    return replace(form.trace_filter, agent=pk)


def _rows(request: ProjectRequest, agents: list[SeenAgent], time_range: TimeRange, now: datetime) -> dict[str, Any]:
    ids = [agent.pk for agent in agents]
    rows, latencies = agent_runs.sums(
        request.project, time_range, Q(agent__in=ids) | Q(agent=None), since=time_range.start, merge_latencies=True
    )
    runs = usage.by_agent(rows, latencies)
    counts: dict[int | None, dict[datetime, int]] = defaultdict(dict)
    for row in rows:
        counts[row.agent_id][row.start] = row.usage.trace_count
    pills = label_sources.pills_for_agents(request.project, ids, time_range)
    inactive = label_sources.inactive_counts(request.project, ids)
    return {
        "rows": [
            (
                agent,
                runs[agent.pk],
                charts.spark(counts[agent.pk], time_range, (agent.first_run, now)),
                pills.get(agent.pk, []),
                inactive[agent.pk],
            )
            for agent in agents
        ],
        "unnamed": runs[None].usage.trace_count,
    }
