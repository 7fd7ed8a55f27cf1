"""The versions of a signal, as pages."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalyst import timerange
from catalyst.core.access import ProjectRequest
from catalyst.htmx import render
from signals import forms, version_results


@require_safe
def version_list(request: ProjectRequest, pk: int) -> HttpResponse:
    """What a signal asks and asked, and what each version gave. Continued below the version `before`."""
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    time_range = timerange.parse(request.GET.dict(), timezone.now())
    rows, more = version_results.page(signal, time_range, forms.version_number(request.GET.get("before")))
    context = {"signal": signal, "tab": "versions", "time_range": time_range, "rows": rows, "more": more}
    return render(request, "signals/versions.html", context)
