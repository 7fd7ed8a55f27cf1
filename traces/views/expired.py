"""Pages of expired traces and sessions."""

from collections.abc import Sequence
from datetime import datetime

from django.http import Http404, HttpResponse

from catalyst import timerange
from catalyst.core.access import ProjectRequest
from catalyst.htmx import render
from catalyst.timerange import TimeRange
from traces.label_sources import Pill


def page(request: ProjectRequest, noun: str, labels: Sequence[Pill], *, was_here: bool = False) -> HttpResponse:
    """Respond 404 with the remaining labels. Raises Http404 if nothing shows that the target ever existed."""
    if not labels and not was_here:
        raise Http404
    return render(request, "traces/expired.html", {"noun": noun, "labels": labels}, status=404)


def since(request: ProjectRequest, time_range: TimeRange, now: datetime) -> datetime | None:
    """The start of the retention if the range begins before it."""
    retention_start = timerange.kept_since(now, request.project.kept_days)
    return retention_start if time_range.start < retention_start else None
