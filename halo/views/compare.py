"""The page that compares two reports."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from catalyst import params
from catalyst.core.access import ProjectRequest
from catalyst.htmx import render
from halo import comparison
from halo.comparison import MAX_OFFERED
from halo.views.report_actions import reports_of


@require_safe
def report_compare(request: ProjectRequest, pk: int) -> HttpResponse:
    """Compare a report with an earlier one of its agent: `other`, else the one before it."""
    run = get_object_or_404(reports_of(request), pk=pk)
    earlier = comparison.earlier(run)
    chosen = params.parse_number(request.GET.get("other", ""))
    older = get_object_or_404(earlier, pk=chosen) if request.GET.get("other") else comparison.previous(run)
    context: dict[str, Any] = {
        "run": run,
        "agent": run.agent,
        "older": older,
        "offered": earlier[:MAX_OFFERED],
        "comparison": comparison.compare(older, run) if older else None,
    }
    return render(request, "halo/compare.html", context)
