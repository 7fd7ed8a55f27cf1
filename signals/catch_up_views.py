"""Having judged today what a cap keeps waiting: its price, then the deed."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from catalyst.core.access import ProjectRequest, editor_required, owner_required
from catalyst.htmx import go_back, render, with_query
from signals import catching_up
from signals.forms import is_id
from signals.models import Signal


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def signal_catch_up(request: ProjectRequest, pk: int) -> HttpResponse:
    """Labels that wait behind the cap of a signal."""
    return _catch_up(request, get_object_or_404(request.project.signals.for_list(), pk=pk))


@require_http_methods(["GET", "HEAD", "POST"])
@owner_required
def project_catch_up(request: ProjectRequest) -> HttpResponse:
    """Labels that wait behind the cap of the project."""
    return _catch_up(request, None)


def _catch_up(request: ProjectRequest, signal: Signal | None) -> HttpResponse:
    now = timezone.now()
    url = signal.get_absolute_url() if signal else reverse("signals:signal-list", args=[request.project.slug])
    if request.method != "POST":
        offer = catching_up.offer(request.project, signal, now)
        context = {
            "signal": signal,
            "offer": offer,
            "back": with_query(request, url),
            "action": request.get_full_path(),
        }
        return render(request, "signals/catch_up.html", context, partial="catch-up")
    sent = request.POST.get("labels", "")
    try:
        count = catching_up.catch_up(request.project, signal, int(sent) if is_id(sent) else 0, now, request.user)
        messages.success(request, f"{count:,} label{'' if count == 1 else 's'} will be judged now; the cap stays")
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return go_back(request, url)
