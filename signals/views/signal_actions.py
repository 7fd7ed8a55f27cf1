"""Buttons of a signal: activate, disable, archive, unarchive, retry."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_POST

from catalyst.core.access import ProjectRequest, editor_required
from catalyst.htmx import redirect_back, render
from signals import operations
from signals.judging.judges import judge_of
from signals.models import Signal

LABELS_FAIL = "No model is connected that judges it, so its labels fail."


def is_unjudged(signal: Signal) -> bool:
    """Return whether a signal is active without a judge."""
    version = signal.current_version
    return signal.is_live and version is not None and judge_of(version).kind == "none"


@require_POST
@editor_required
def signal_activate(request: ProjectRequest, pk: int) -> HttpResponse:
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    try:
        operations.activate(signal, timezone.now(), request.actor)
    except ValidationError as error:
        return _back(request, signal, " ".join(error.messages), messages.ERROR)
    if is_unjudged(signal):
        return _back(request, signal, f"{signal.name} is active. {LABELS_FAIL}", messages.WARNING)
    return _back(request, signal, f"{signal.name} is active and judges new traffic")


@require_POST
@editor_required
def signal_disable(request: ProjectRequest, pk: int) -> HttpResponse:
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    operations.disable(signal, timezone.now(), request.actor)
    return _back(request, signal, f"{signal.name} is disabled. Existing labels stay.")


@require_POST
@editor_required
def signal_archive(request: ProjectRequest, pk: int) -> HttpResponse:
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    # With JavaScript a dialog has asked.
    if not request.htmx and "sure" not in request.POST:
        return render(request, "signals/archive.html", {"signals": [signal], "back": signal.get_absolute_url()})
    operations.archive(signal, timezone.now(), request.actor)
    return _back(request, signal, f"{signal.name} is archived. Existing labels stay.")


@require_POST
@editor_required
def signal_unarchive(request: ProjectRequest, pk: int) -> HttpResponse:
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    operations.unarchive(signal, request.actor)
    return _back(
        request,
        signal,
        f"{signal.name} is unarchived as {signal.get_state_display()}. Activate it to judge new traffic.",
    )


@require_POST
@editor_required
def label_retry(request: ProjectRequest, pk: int) -> HttpResponse:
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    try:
        queued = operations.retry_failed(signal, timezone.now(), request.actor)
    except ValidationError as error:
        return _back(request, signal, " ".join(error.messages), messages.ERROR)
    text = f"{queued:,} failed label{'' if queued == 1 else 's'} will be judged again"
    return _back(request, signal, text if queued else "No failed labels in the current version")


def _back(request: ProjectRequest, signal: Signal, text: str, level: int = messages.SUCCESS) -> HttpResponse:
    messages.add_message(request, level, text)
    return redirect_back(request, signal.get_absolute_url())
