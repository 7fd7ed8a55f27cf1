"""The coverage tab of a signal."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalyst import timerange
from catalyst.core.access import ProjectRequest
from catalyst.htmx import render
from signals.results import coverage


@require_safe
def coverage_show(request: ProjectRequest, pk: int) -> HttpResponse:
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    now = timezone.now()
    time_range = timerange.parse(request.GET.dict(), now)
    days = coverage.whole_days(time_range)
    context = {"signal": signal, "tab": "coverage", "time_range": time_range, "days": days}
    context["days_text"] = coverage.text_of_days(days)
    context["coverage"] = coverage.by_day(signal, days, now)
    context["max_days"] = coverage.MAX_DAYS
    context["most_read"] = coverage.READ_FOR_REASONS
    return render(request, "signals/days.html", context)
