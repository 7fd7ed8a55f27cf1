"""Pages of traces."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRedirect

from catalyst import params, timerange
from catalyst.agents.models import Agent
from catalyst.core.access import ProjectRequest
from catalyst.htmx import render, wants_partial
from catalyst.pagination import Sort, SortedCursor, sorted_rows
from catalyst.timerange import TimeRange
from traces import label_sources
from traces.analytics.list_volumes import list_volumes
from traces.analytics.overview import overview
from traces.conventions.embedded_files import PICTURES
from traces.ingest import limits
from traces.label_sources import Pill, TracePills
from traces.list_params import TraceFilterForm, tidied
from traces.models import Resource, Session, Trace, sorting
from traces.models.span import hex_span_id
from traces.models.trace import TraceFilter, neighbors
from traces.records import SpanRecord
from traces.transcripts import conversations, presentation, waterfall
from traces.views import expired, facets, groups, id_search

PAGE = 30
ROWS = 32
MAX_ROWS = 500
MAX_FAILURES = 3
# The header cuts longer messages off.
MAX_TOLD_CHARACTERS = 300
# Labels in the header. The pane lists all of them.
MAX_PILLS = 20
PAGE_OF_TRACE = "traces/trace.html"
MAX_PICTURE_BYTES = 20_000_000
# The address of a picture has the digest of its data, so it can't change.
PICTURE_SECONDS = 3_600
# Parameters of a list that go along to its pages.
OF_LIST = {*TraceFilterForm.base_fields, "label", "range", "from", "to"}
PANES = ("io", "attributes", "events", "labels")


@require_safe
def trace_list(request: ProjectRequest) -> HttpResponse:
    """List traces. Redirect if the filter box has an id, or a condition."""
    now = timezone.now()
    time_range = timerange.parse(request.GET.dict(), now)
    filter_form = TraceFilterForm(request.project, request.GET)
    trace_filter = filter_form.trace_filter
    if facets.is_wanted(request):
        counts = facets.of_traces(request, time_range, trace_filter, now)
        return render(request, "traces/parts/trace_facets.html", {"trace_filter": trace_filter, **counts})
    if wants_partial(request):
        return _part_of_list(request, filter_form, time_range)
    if address := tidied_address(request):
        return redirect(address)
    found = id_search.search(request.project, trace_filter.text, time_range, now)
    if found.page:
        return redirect(found.page)
    context = _rows(request, filter_form, time_range)
    if not context["rows"] and not request.project.traces.exists():
        return render(request, "traces/first_trace.html")
    context["kept_since"] = expired.since(request, time_range, now)
    context["group"] = groups.shown(request.project, trace_filter, time_range)
    context |= _head(request, time_range, trace_filter, now) | {"filter_form": filter_form, "id_search": found}
    context["nearest"] = None if context["rows"] else nearest(request, trace_filter, now)
    return render(request, "traces/list.html", context)


def _part_of_list(request: ProjectRequest, filter_form: TraceFilterForm, time_range: TimeRange) -> HttpResponse:
    """More rows, the number of newer ones, or nothing while the project waits for its first trace."""
    trace_filter, shown = filter_form.trace_filter, params.cursor(request.GET.get("newer"))
    if shown and filter_form.sort_order.is_newest_first:
        by = trace_filter.time_field
        newer = request.project.traces.matching(trace_filter).within(time_range, by).count_newer(shown, by)
        return render(request, "components/newer.html", {"newest": shown, "newer": newer, "noun": "trace"})
    context = _rows(request, filter_form, time_range)
    if not context["rows"] and not request.project.traces.exists():
        return HttpResponse(status=204)
    if request.htmx.target == "first-trace":
        # Without the query: a range that came along from another project may exclude the first trace.
        return HttpResponseClientRedirect(request.path)
    return render(request, "traces/list.html", context, partial="trace-rows")


def _rows(request: ProjectRequest, filter_form: TraceFilterForm, time_range: TimeRange) -> dict[str, Any]:
    trace_filter = filter_form.trace_filter
    page = trace_page(request, trace_filter, filter_form.sort_order, time_range)
    return {"time_range": time_range, "trace_filter": trace_filter, **page}


def tidied_address(request: ProjectRequest) -> str | None:
    """The address of a list as `tidied` would have it. None if it is so already."""
    query = tidied(request.project, request.GET)
    if query is None:
        return None
    return f"{request.path}?{query.urlencode()}" if query else request.path


@require_safe
def trace_detail(request: ProjectRequest, trace_id: UUID) -> HttpResponse:
    trace = request.project.traces.for_detail().filter(trace_id=trace_id).first()
    spans = conversations.spans_of(trace) if trace else []
    if trace is None or not spans:
        return expired.page(request, "trace", _labels_left(request, trace_id), was_here=trace is not None)
    is_partial = wants_partial(request)
    chosen = _chosen(spans, request.GET.get("span"))
    context: dict[str, Any] = {"trace": trace, "span": chosen, "span_count": len(spans)}
    row, message = params.offset(request.GET.get("row")), params.offset(request.GET.get("message"))
    if is_partial and row:
        return render(request, PAGE_OF_TRACE, context | _tree(spans, row, chosen), partial="span-rows")
    now = timezone.now()
    context["around"] = timerange.with_moment(request.GET.dict(), trace.start_time, now).encoded_query
    first = label_sources.pills_for_trace(request.project, trace.trace_id)
    context["pills"] = label_sources.labelled(first.own)[:MAX_PILLS]
    context["session_pills"] = _session_pills(request, trace)
    context["navigation"] = label_sources.navigation(request.project, request.GET.dict(), now)
    if chosen:
        context |= _span(request, trace, chosen) | _span_labels(request, trace, chosen)
    else:
        context |= _turn(trace, spans, message) | _turn_labels(request, trace, first)
    if is_partial and message and not chosen:
        return render(request, "traces/parts/turn.html", context, partial="messages")
    if is_partial:
        return render(request, PAGE_OF_TRACE, context, partial="span-pane")
    context |= _place_in_list(request, trace, now) | _header(trace, spans) | _tree(spans, row, chosen)
    return render(request, PAGE_OF_TRACE, context)


@require_safe
@cache_control(private=True, max_age=PICTURE_SECONDS)
def attachment(request: ProjectRequest, trace_id: UUID, span_id: str, digest: str) -> HttpResponse:
    """Serve a picture that is in the text of a span. Other files are hostile, and are not served."""
    trace = request.project.traces.for_detail().filter(trace_id=trace_id).first()
    span = _chosen(conversations.spans_of(trace), span_id) if trace else None
    found = conversations.picture_of(conversations.payload_of(trace, span), digest) if trace and span else None
    if found is None or len(found[1]) > MAX_PICTURE_BYTES:
        raise Http404("No such picture")
    media_type, content = found
    headers = {
        "Content-Disposition": f'inline; filename="{digest}.{PICTURES[media_type]}"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    return HttpResponse(content, media_type, headers=headers)


def list_query(query: QueryDict, *, leave_out: Collection[str] = (), **extra: object) -> str:
    """The query of a list, for the pages that it leads to: `?range=7d&status=error`, or empty."""
    kept = {name: values for name, values in query.lists() if name in OF_LIST and name not in leave_out}
    kept |= {name: [str(value)] for name, value in extra.items() if value is not None}
    return f"?{urlencode(kept, doseq=True)}" if kept else ""


def _with_pills(
    request: ProjectRequest, traces: Sequence[Trace], trace_filter: TraceFilter
) -> list[tuple[Trace, Sequence[Pill]]]:
    """Traces with their labels, and with those of their sessions by which the list is filtered."""
    pills = label_sources.pills_for_traces(request.project, [trace.trace_id for trace in traces])
    keys = trace_filter.label_keys
    of_sessions = _sought_of_sessions(request, traces, keys) if keys else {}
    return [
        (
            trace,
            [*of_sessions.get(trace.session_id, ()), *label_sources.sought_first(pills.get(trace.trace_id, ()), keys)],
        )
        for trace in traces
    ]


def _sought_of_sessions(
    request: ProjectRequest, traces: Sequence[Trace], keys: Collection[str]
) -> dict[int | None, list[Pill]]:
    sessions = {trace.session.key: trace.session_id for trace in traces if trace.session}
    found = label_sources.pills_for_sessions(request.project, list(sessions)) if sessions else {}
    return {
        sessions[key]: [replace(pill, name=f"{pill.name} of the session") for pill in label_sources.sought(pills, keys)]
        for key, pills in found.items()
    }


def _place_in_list(request: ProjectRequest, trace: Trace, now: datetime) -> dict[str, Any]:
    """The list that led here, and the traces beside this one in it. Without one, the time around the trace."""
    query = list_query(request.GET)
    if "at" in request.GET:
        # A page that was opened from a list of labels leads along that one.
        return {}
    if not query:
        return {"list_query": f"?{timerange.around(trace.start_time, now).encoded_query}"}
    filter_form = TraceFilterForm(request.project, request.GET)
    trace_filter, sort = filter_form.trace_filter, filter_form.sort_order
    by = trace_filter.time_field
    traces = request.project.traces.matching(trace_filter).within(timerange.parse(request.GET.dict(), now), by)
    reach, _ = sorting.reach(traces, sort, by)
    value = sorting.value(sorting.TRACE_COLUMNS, sort, by)
    here = SortedCursor.of(sorted_rows(request.project.traces.filter(pk=trace.pk), sort, value, None).get())
    before, after = (
        sorted_rows(reach, way, value, here).values_list("trace_id", flat=True).first() for way in (sort.opposite, sort)
    )
    return {"list_query": query, "listed_before": before, "listed_after": after, "sort": sort}


@require_safe
def span_json(request: ProjectRequest, trace_id: UUID, span_id: str) -> HttpResponse:
    """Everything that is stored of a span."""
    trace = request.project.traces.for_detail().filter(trace_id=trace_id).first()
    span = _chosen(conversations.spans_of(trace), span_id) if trace else None
    if trace is None or span is None:
        raise Http404("No such span")
    payload = conversations.payload_of(trace, span)
    resource = Resource.objects.of(request.project, payload.resource_digest)
    content = presentation.raw(span, payload) | {"resource": resource.attributes if resource else None}
    text = orjson.dumps(content, default=str, option=orjson.OPT_INDENT_2)
    return HttpResponse(text, "application/json", headers={"X-Content-Type-Options": "nosniff"})


def _chosen(spans: Sequence[SpanRecord], hex_id: str | None) -> SpanRecord | None:
    return next((span for span in spans if hex_span_id(span.span_id) == hex_id), None)


def _labels_left(request: ProjectRequest, trace_id: UUID) -> list[Pill]:
    pills = label_sources.pills_for_trace(request.project, trace_id)
    return pills.own + [pill for of_span in pills.by_span.values() for pill in of_span]


def _tree(spans: list[SpanRecord], start: int, chosen: SpanRecord | None) -> dict[str, Any]:
    rows = waterfall.rows(spans)
    end = start + ROWS
    if chosen is not None:
        at = next(index for index, row in enumerate(rows) if row.span is chosen)
        end = max(end, at + 1) if at < MAX_ROWS else end
    return {"tree": rows[start:end], "ticks": waterfall.ticks(spans), "more_rows": end if len(rows) > end else None}


def _header(trace: Trace, spans: list[SpanRecord]) -> dict[str, Any]:
    before, after = neighbors(trace) if trace.session_id else (None, None)
    return {
        "failures": [(span, hex_span_id(span.span_id)) for span in _failures(spans)],
        "before": before,
        "after": after,
    }


def _failures(spans: list[SpanRecord]) -> list[SpanRecord]:
    """The failed spans that the header shows."""
    return presentation.failures(spans)[:MAX_FAILURES]


def _session_pills(request: ProjectRequest, trace: Trace) -> list[Pill]:
    if trace.session is None:
        return []
    pills = label_sources.pills_for_sessions(request.project, [trace.session.key])
    return label_sources.labelled(pills.get(trace.session.key, ()))[:MAX_PILLS]


def _turn_labels(request: ProjectRequest, trace: Trace, first: TracePills) -> dict[str, Any]:
    start = params.offset(request.GET.get("labels"))
    pills = label_sources.pills_for_trace(request.project, trace.trace_id, start) if start else first
    return {
        "labels_from": start,
        "labels": label_sources.labelled(pills.own),
        "span_labels": pills.by_span.items(),
        "more_labels": pills.more,
    }


def _span_labels(request: ProjectRequest, trace: Trace, span: SpanRecord) -> dict[str, Any]:
    start = params.offset(request.GET.get("labels"))
    pills = label_sources.pills_for_span(request.project, trace.trace_id, span.span_id, start)
    return {
        "labels_from": start,
        "span_labels": label_sources.labelled(pills.by_span.get(span.span_id, ())),
        "more_labels": pills.more,
    }


def _turn(trace: Trace, spans: list[SpanRecord], start: int) -> dict[str, Any]:
    conversation, read = conversations.of_trace(trace, spans, start)
    return {
        "told": [text for span in _failures(spans) if 0 < len(text := span.status_message) <= MAX_TOLD_CHARACTERS],
        "conversation": conversation,
        "continued": start,
        "unread": len(presentation.with_text(spans)) - read,
    }


def _span(request: ProjectRequest, trace: Trace, span: SpanRecord) -> dict[str, Any]:
    payload = conversations.payload_of(trace, span)
    pane = request.GET.get("pane", "")
    resource = Resource.objects.of(request.project, payload.resource_digest)
    return {
        "pane": pane if pane in PANES else PANES[0],
        "conversation": conversations.of_span(span, payload),
        "row": waterfall.rows([span])[0],
        "payload": payload,
        "attributes": presentation.attributes(payload.attributes, tokens=set(span.attribute_tokens)),
        "missing": limits.truncation_of(payload.attributes.get(limits.MARK)) + limits.dropped_of(payload.attributes),
        "resource": resource,
        "resource_attributes": presentation.attributes(resource.attributes) if resource else None,
        "events": presentation.events(span, payload),
        "links": presentation.links(payload, request.project.traces.stored),
    }


def trace_page(request: ProjectRequest, trace_filter: TraceFilter, sort: Sort, time_range: TimeRange) -> dict[str, Any]:
    after = params.sorted_cursor(request.GET.get("after"), sort)
    by = trace_filter.time_field
    reach, since = sorting.reach(request.project.traces.matching(trace_filter).within(time_range, by), sort, by)
    value = sorting.value(sorting.TRACE_COLUMNS, sort, by)
    traces = list(sorted_rows(reach.for_list(), sort, value, after)[: PAGE + 1])
    shown = traces[:PAGE]
    return {
        "rows": _with_pills(request, shown, trace_filter),
        "list_query": list_query(request.GET, agent=trace_filter.agent),
        **paging(shown, sort, since, is_first=after is None, is_last=len(traces) <= PAGE),
    }


def paging(
    shown: Sequence[Trace] | Sequence[Session], sort: Sort, since: datetime | None, *, is_first: bool, is_last: bool
) -> dict[str, Any]:
    """How a page of a list is sorted, and where the pages before and after it begin. `since`: of `sorting.reach`."""
    return {
        "sort": sort,
        "sorted_since": since,
        "max_sorted": sorting.MAX_SORTED,
        # Only in a list of the newest first, newer ones are above.
        "newest": SortedCursor.of(shown[0]) if shown and is_first and sort.is_newest_first else None,
        "more": None if is_last else SortedCursor.of(shown[-1]),
    }


def _head(request: ProjectRequest, time_range: TimeRange, trace_filter: TraceFilter, now: datetime) -> dict[str, Any]:
    volumes, since = list_volumes(request.project, time_range, trace_filter, now)
    head: dict[str, Any] = {
        "overview": overview(volumes, time_range, trace_filter, dict(request.GET.lists()), since),
        "agent": agent_of(request, trace_filter),
        "session": session_of(request, trace_filter),
    }
    if request.membership.can_edit:
        agent = head["agent"]
        head["starts"] = label_sources.starts(request.project, agent.identity if agent else "")
    # Without JavaScript a link asks for them.
    return head | facets.of_traces(request, time_range, trace_filter, now) if "facets" in request.GET else head


def agent_of(request: ProjectRequest, trace_filter: TraceFilter) -> Agent | None:
    """The agent whose rows alone are listed."""
    return request.project.agents.filter(pk=trace_filter.agent).first() if trace_filter.agent else None


def session_of(request: ProjectRequest, trace_filter: TraceFilter) -> Session | None:
    """The session whose traces alone are listed."""
    return request.project.sessions.filter(pk=trace_filter.session).first() if trace_filter.session else None


def nearest(request: ProjectRequest, trace_filter: TraceFilter, now: datetime) -> TimeRange | None:
    """The smallest range that has a matching trace."""
    by = trace_filter.time_field
    newest = request.project.traces.matching(trace_filter).newest(by=by).values_list(by, flat=True).first()
    return timerange.around(newest, now) if newest else None
