"""Why a trace, span or session has no label: a page, and a part of other pages."""

from collections import defaultdict
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalyst.core.access import ProjectRequest
from catalyst.htmx import render, with_query
from signals.definitions.choices import Scope
from signals.models import Signal
from signals.results.missing_labels import explain_missing
from signals.targets import eligibility
from signals.targets.eligibility import TargetEligibility
from traces.models import Trace

MAX_SIGNALS = 6  # shown at first, so that the conversation below stays in sight


@require_safe
def trace_missing_labels(request: ProjectRequest, pk: int) -> HttpResponse:
    """The query parameter `span` selects a span of the trace. Raises Http404 if it is unknown."""
    trace = get_object_or_404(request.project.traces.select_related("project", "session"), pk=pk)
    page, span = with_query(request, trace.get_absolute_url()), request.GET.get("span", "")
    if not span:
        return _answer(request, eligibility.of_trace(trace), page, trace=trace, others=_others(trace))
    found = eligibility.of_span(trace, span)
    if found is None:
        raise Http404("No such span")
    return _answer(request, found, f"{page}&pane=labels", trace=trace)


@require_safe
def session_missing_labels(request: ProjectRequest, pk: int) -> HttpResponse:
    session = get_object_or_404(request.project.sessions.with_traces(), pk=pk)
    page = with_query(request, reverse("traces:session-detail", args=[request.project.slug, session.pk]))
    return _answer(request, eligibility.of_session(session), page)


def _answer(request: ProjectRequest, subject: TargetEligibility, page: str, **about: Any) -> HttpResponse:
    scope, found = subject.match.scope, explain_missing(request.project, subject, timezone.now())
    signals = Signal.objects.for_project(request.project).unarchived()
    context = {
        "first": found[:MAX_SIGNALS],
        "rest": found[MAX_SIGNALS:],
        "scope": scope,
        "page": page,
        "nameless": subject.agent is None and signals.exists(),
        "unasked": not found and not signals.filter(agent=subject.agent, scope=scope).exists(),
    }
    return render(request, "signals/missing_labels.html", {**context, **about}, partial="missing-labels")


def _others(trace: Trace) -> dict[str, list[str]]:
    names: dict[str, list[str]] = defaultdict(list)
    of_agent = Signal.objects.unarchived().filter(agent=trace.agent_id).exclude(scope=Scope.TRACE)
    for scope, name in of_agent.order_by("name", "id").values_list("scope", "name"):
        names[scope].append(name)
    return dict(names)
