"""Pages of budgets and call limits, and of catching up with them."""

from collections.abc import Callable
from datetime import datetime

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from catalyst import timerange
from catalyst.core.access import ProjectRequest, editor_required, owner_required
from catalyst.htmx import redirect_back, render, with_query
from catalyst.llms.amounts import Account, Cap, SpentToday
from catalyst.llms.budgets import spent_today
from catalyst.params import parse_number
from signals import operations
from signals.forms.caps import CapForm
from signals.models import Signal
from signals.results.budgets import MAX_BUDGETS, own_budgets
from signals.runs import catch_up


@require_safe
def budget_show(request: ProjectRequest) -> HttpResponse:
    """Show the budget and the call limit of the project, in its settings."""
    now = timezone.now()
    today = spent_today(Account(request.project.pk), now)
    return _project_budget(request, today, CapForm(cap=today.cap), now)


def _project_budget(
    request: ProjectRequest, today: SpentToday, form: CapForm, now: datetime, status: int = 200
) -> HttpResponse:
    budgets = own_budgets(request.project, now, MAX_BUDGETS + 1)
    context = {
        "tab": "budget-show",
        "today": today,
        "cap_form": form,
        "budgets": budgets[:MAX_BUDGETS],
        "more": len(budgets) > MAX_BUDGETS,
    }
    return render(request, "signals/budget.html", context, partial="budget", status=status)


@require_POST
@owner_required
def project_cap(request: ProjectRequest) -> HttpResponse:
    form, now = CapForm(request.POST), timezone.now()
    if not _is_set(form, lambda cap: operations.cap_project(request.project, cap, now, request.actor)):
        return _project_budget(request, spent_today(Account(request.project.pk), now), form, now, status=422)
    return _saved(request, form, reverse("signals:budget-show", args=[request.project.slug]))


@require_POST
@editor_required
def signal_cap(request: ProjectRequest, pk: int) -> HttpResponse:
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    form, now = CapForm(request.POST), timezone.now()
    if _is_set(form, lambda cap: operations.cap_signal(signal, cap, now, request.actor)):
        return _saved(request, form, signal.get_absolute_url())
    context = {
        "signal": signal,
        "tab": "results",
        "time_range": timerange.parse(request.GET.dict(), now),
        "today": spent_today(Account(request.project.pk, pk), now),
        "cap_form": form,
    }
    return render(request, "signals/signal_budget.html", context, partial="budget", status=422)


def _is_set(form: CapForm, set_cap: Callable[[Cap], None]) -> bool:
    if not form.is_valid():
        return False
    try:
        set_cap(form.cap)
    except ValidationError as error:
        form.report(error)
        return False
    return True


def _saved(request: ProjectRequest, form: CapForm, page: str) -> HttpResponse:
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
