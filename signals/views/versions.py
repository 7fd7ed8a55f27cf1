"""The versions tab of a signal: list, comparison, restore. And duplicates of a signal."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from catalyst import params, timerange
from catalyst.core.access import ProjectRequest, editor_required
from catalyst.htmx import redirect_back, render, wants_partial
from catalyst.params import cursor
from signals import operations
from signals.definitions import diff
from signals.filters import ComparisonForm
from signals.forms.signal import DuplicateForm
from signals.results import comparison
from signals.results.comparison import Pair
from signals.results.versions import page

# Versions to choose from.
MAX_NUMBERS = 200


@require_safe
def version_list(request: ProjectRequest, pk: int) -> HttpResponse:
    """List versions with their results, continued below the version `before`."""
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    time_range = timerange.parse(request.GET.dict(), timezone.now())
    rows, more = page(signal, time_range, params.version_number(request.GET.get("before")))
    context = {"signal": signal, "tab": "versions", "time_range": time_range, "rows": rows, "more": more}
    return render(request, "signals/versions.html", context)


@require_safe
def version_compare(request: ProjectRequest, pk: int) -> HttpResponse:
    """Compare versions `a` and `b`. `was` and `became` filter the targets whose label changed."""
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    time_range = timerange.parse(request.GET.dict(), timezone.now())
    numbers = list(signal.versions.published().order_by("-number").values_list("number", flat=True)[:MAX_NUMBERS])
    form = ComparisonForm(request.GET, numbers, signal.current_version.number if signal.current_version else 0)
    context = {"signal": signal, "tab": "versions", "time_range": time_range, "numbers": numbers, "form": form}
    by_number = {version.number: version for version in signal.versions.filter(number__in=form.versions)}
    a, b = (by_number.get(number) for number in form.versions)
    if a and b and a != b:
        context |= _compared(request, comparison.pair(signal, a, b, time_range), form.move)
    return render(request, "signals/compare.html", context | {"a": a, "b": b}, partial="flip-rows")


@require_POST
@editor_required
def version_restore(request: ProjectRequest, pk: int, number: int) -> HttpResponse:
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    earlier = get_object_or_404(signal.versions, number=number)
    based_on = params.version_number(request.POST.get("based_on"))
    try:
        version = operations.restore_version(signal, earlier.number, request.actor, based_on=based_on)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, f"v{earlier.number} is restored as v{version.number}")
    return redirect_back(request, reverse("signals:version-list", args=[request.project.slug, signal.pk]))


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def signal_duplicate(request: ProjectRequest, pk: int) -> HttpResponse:
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    form = DuplicateForm(signal, request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            copy = operations.duplicate(signal, **form.cleaned_data, by=request.actor)
        except ValidationError as error:
            form.report(error)
        else:
            messages.success(request, f"{copy.name} is saved as a draft")
            return redirect(copy)
    context = {"signal": signal, "form": form}
    return render(request, "signals/duplicate.html", context, status=422 if form.is_bound else 200)


def _compared(request: ProjectRequest, pair: Pair, move: tuple[str, str] | None) -> dict[str, Any]:
    flips, more = comparison.flips(pair, move, cursor(request.GET.get("after")))
    context: dict[str, Any] = {"flips": flips, "more": more, "move": move}
    if wants_partial(request):
        return context
    agreement = comparison.agreement(pair)
    return context | {
        "pair": pair,
        "agreement": agreement,
        "diff": diff.diff(pair.a.definition, pair.b.definition),
        "of_all": comparison.shares(pair, *pair.counts),
        "of_shared": comparison.shares(pair, *comparison.marginals(agreement.moves)),
    }
