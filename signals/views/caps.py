"""Pages of daily limits, and of catching up with them."""

from collections.abc import Callable

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from catalyst.core.access import ProjectRequest, editor_required, owner_required
from catalyst.htmx import redirect_back, render, with_query
from catalyst.llms.amounts import Cap
from catalyst.params import parse_number
from signals import operations
from signals.forms.caps import CapForm
from signals.models import Signal
from signals.runs import catch_up


@require_POST
@editor_required
def signal_cap(request: ProjectRequest, pk: int) -> HttpResponse:
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    form, now = CapForm(request.POST), timezone.now()
    return _capped(
        request, form, lambda cap: operations.cap_signal(signal, cap, now, request.actor), signal.get_absolute_url()
    )


@require_POST
@owner_required
def project_cap(request: ProjectRequest) -> HttpResponse:
    form, now = CapForm(request.POST), timezone.now()
    page = reverse("signals:signal-list", args=[request.project.slug])
    return _capped(request, form, lambda cap: operations.cap_project(request.project, cap, now, request.actor), page)


def _capped(request: ProjectRequest, form: CapForm, set_cap: Callable[[Cap], None], page: str) -> HttpResponse:
    if not form.is_valid():
        text = "Enter a number above 0, in USD with up to 4 decimals"
        messages.error(request, text)
        return redirect_back(request, page)
    try:
        set_cap(form.cap)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect_back(request, page)
    messages.success(request, f"Daily limit: {form.cap.text}" if form.cap.text else "Limit removed")
    return redirect_back(request, page)


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def signal_catch_up(request: ProjectRequest, pk: int) -> HttpResponse:
    return _catch_up(request, get_object_or_404(request.project.signals.for_list(), pk=pk))


@require_http_methods(["GET", "HEAD", "POST"])
@owner_required
def project_catch_up(request: ProjectRequest) -> HttpResponse:
    return _catch_up(request, None)


def _catch_up(request: ProjectRequest, signal: Signal | None) -> HttpResponse:
    now = timezone.now()
    url = signal.get_absolute_url() if signal else reverse("signals:signal-list", args=[request.project.slug])
    if request.method != "POST":
        offer = catch_up.offer(request.project, signal, now)
        context = {
            "signal": signal,
            "offer": offer,
            "back": with_query(request, url),
            "action": request.get_full_path(),
        }
        return render(request, "signals/catch_up.html", context, partial="catch-up")
    labels = request.POST.get("labels", "")
    try:
        count = catch_up.catch_up(request.project, signal, parse_number(labels) or 0, now, request.actor)
        messages.success(request, f"{count:,} label{'' if count == 1 else 's'} will be judged now. The limit stays.")
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect_back(request, url)
