"""Pages of sessions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalyst import params, timerange
from catalyst.core.access import ProjectRequest
from catalyst.htmx import render, wants_partial
from catalyst.pagination import Sort, sorted_rows
from catalyst.timerange import TimeRange
from traces import filter_box, label_sources
from traces.label_sources import Pill
from traces.list_params import BOX, OF_TRACES, SessionFilterForm
from traces.models import sorting
from traces.models.trace import TraceFilter
from traces.transcripts import conversations
from traces.views import expired, facets, id_search
from traces.views.traces import agent_of, list_query, paging, tidied_address

PAGE = 30
MAX_TURNS = 50
HINT = "Go to a session ID, or add a filter, such as model = gpt-4o"


@require_safe
def session_list(request: ProjectRequest) -> HttpResponse:
    """List sessions. With an id in `key` or in the filter box, redirect to its session."""
    now = timezone.now()
    if key := request.GET.get("key", "").replace("\0", ""):
        return _session_with(request, key) or expired.page(request, "session", _labels_of(request, key))
    time_range = timerange.parse(request.GET.dict(), now)
    filter_form = SessionFilterForm(request.project, request.GET, HINT)
    trace_filter = filter_form.trace_filter
    if facets.is_wanted(request):
        counts = facets.of_sessions(request, time_range, trace_filter)
        return render(request, "traces/parts/session_facets.html", {"trace_filter": trace_filter, **counts})
    if not wants_partial(request) and (elsewhere := _elsewhere(request)):
        return elsewhere
    sort, shown = filter_form.sort_order, params.cursor(request.GET.get("newer"))
    if wants_partial(request) and shown and sort.is_newest_first:
        newer = request.project.sessions.with_traces().matching(trace_filter).within(time_range).count_newer(shown)
        return render(request, "components/newer.html", {"newest": shown, "newer": newer, "noun": "session"})
    context = {
        "time_range": time_range,
        "filter_form": filter_form,
        "trace_filter": trace_filter,
        "agent": agent_of(request, trace_filter),
        **session_page(request, trace_filter, sort, time_range, now),
    }
    context["kept_since"] = expired.since(request, time_range, now)
    if "facets" in request.GET:
        # Without JavaScript a link asks for them.
        context |= facets.of_sessions(request, time_range, trace_filter)
    return render(request, "traces/sessions.html", context, partial="session-rows")


def _session_with(request: ProjectRequest, key: str) -> HttpResponse | None:
    session = request.project.sessions.with_traces().filter(key=key).first()
    return redirect("traces:session-detail", request.project.slug, session.pk) if session else None


def _labels_of(request: ProjectRequest, key: str) -> Sequence[Pill]:
    return label_sources.pills_for_sessions(request.project, [key]).get(key, [])


def _elsewhere(request: ProjectRequest) -> HttpResponse | None:
    """Where the filter box leads: to a session by its id, or to the list under a condition."""
    text = request.GET.get(BOX, "").replace("\0", "").strip()
    key = filter_box.session_in(text) or text
    if key and (found := _session_with(request, key)):
        return found
    if address := tidied_address(request):
        return redirect(address)
    if key and _labels_of(request, key):
        return redirect(f"{request.path}?{urlencode({'key': key})}")
    begun = id_search.session_beginning(request.project, key) if key and filter_box.is_text(text) else None
    return redirect("traces:session-detail", request.project.slug, begun) if begun else None


def session_page(
    request: ProjectRequest, trace_filter: TraceFilter, sort: Sort, time_range: TimeRange, now: datetime
) -> dict[str, Any]:
    sessions = request.project.sessions.with_traces().matching(trace_filter)
    after = params.sorted_cursor(request.GET.get("after"), sort)
    reach, since = sorting.reach(sessions.within(time_range), sort, "end_time")
    value = sorting.value(sorting.SESSION_COLUMNS, sort, "end_time")
    listed = list(sorted_rows(reach.for_list(request.project.traces.all()), sort, value, after)[: PAGE + 1])
    shown = listed[:PAGE]
    pills = label_sources.pills_for_sessions(request.project, [session.key for session in shown])
    last_active = None if listed else sessions.newest().values_list("end_time", flat=True).first()
    return {
        "rows": [
            (session, label_sources.sought_first(pills.get(session.key, ()), trace_filter.label_keys))
            for session in shown
        ],
        "nearest": timerange.around(last_active, now) if last_active else None,
        "list_query": list_query(request.GET, agent=trace_filter.agent),
        **paging(shown, sort, since, is_first=after is None, is_last=len(listed) <= PAGE),
    }


@require_safe
def session_detail(request: ProjectRequest, pk: int) -> HttpResponse:
    session = get_object_or_404(request.project.sessions.with_traces().select_related("agent"), pk=pk)
    first = max(params.offset(request.GET.get("turn")), 1) - 1
    traces = list(request.project.traces.filter(session=session).in_order()[first : first + MAX_TURNS])
    turn_pills = label_sources.pills_for_traces(request.project, [trace.trace_id for trace in traces])
    now = timezone.now()
    context = {
        "session": session,
        "around": timerange.with_moment(request.GET.dict(), session.end_time, now).encoded_query,
        "list_query": list_query(request.GET, leave_out=OF_TRACES),
        "turns": [
            (turn, turn_pills.get(turn.trace.trace_id, [])) for turn in conversations.of_session(traces, first + 1)
        ],
        "longest_us": max((trace.duration_us for trace in traces), default=0),
        "navigation": label_sources.navigation(request.project, request.GET.dict(), now),
        "pills": label_sources.labelled(
            label_sources.pills_for_sessions(request.project, [session.key]).get(session.key, ())
        ),
        "earlier": max(first - MAX_TURNS, 0) + 1 if first else None,
        "later": first + MAX_TURNS + 1 if session.trace_count > first + MAX_TURNS else None,
    }
    return render(request, "traces/session.html", context)
