"""Traces and sessions, as pages."""

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalyst import timerange
from catalyst.core.access import ProjectRequest
from catalyst.htmx import render


@require_safe
def trace_list(request: ProjectRequest) -> HttpResponse:
    """The traces of a project, newest first."""
    return render(request, "traces/list.html", {"time_range": timerange.parse(request.GET.dict(), timezone.now())})
