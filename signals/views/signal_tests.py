"""Tests of a signal, and previews of its prompt."""

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from catalyst import params
from catalyst.core.access import ProjectRequest, editor_required
from catalyst.htmx import STOP_POLLING, redirect, render, wants_partial
from signals import operations
from signals.forms.signal import SignalForm, template_named
from signals.forms.signal_test import SampleForm
from signals.judging import exchanges, judges
from signals.models import Signal, SignalTest, SignalVersion
from signals.results.rows import load_rows
from signals.runs import finding_tests, signal_tests
from signals.runs.signal_tests import PromptPreview, Sample
from signals.views import signal_editor
from signals.views.posted import post_only

NO_JUDGE = "No model is connected, so every target would fail. Connect a model, or test an unedited template."


@post_only("signals:signal-create")
@editor_required
def test_run(request: ProjectRequest) -> HttpResponse:
    """Test the editor's definition on recent targets, or on those of the test `again`."""
    signal, form = _posted(request)
    sample_form = SampleForm(request.POST, signal_editor.examples_in(request))
    version = _version(form, signal)
    if version is None or not sample_form.is_valid():
        return _page(request, form, signal, sample=sample_form, status=422)
    judge = judges.judge_of(version)
    if judge.kind == "none":
        # Each target would fail alike.
        form.add_error(None, judge.reason or NO_JUDGE)
        return _page(request, form, signal, sample=sample_form, judge=judge, status=422)
    now = timezone.now()
    sample = _sample(request, sample_form, version)
    test = signal_tests.start_test(version, sample, now, request.actor)
    if wants_partial(request):
        context = signal_editor.results_context(request, test) | {"is_new": True}
        return render(request, "signals/test.html", context, partial="test")
    return _page(request, form, signal, sample=sample_form, status=200, **signal_editor.results_context(request, test))


@require_safe
@editor_required
def test_detail(request: ProjectRequest, pk: int) -> HttpResponse:
    """Show a test's results so far, to who started it."""
    test = _own_test(request, pk)
    is_polled = wants_partial(request)
    status = STOP_POLLING if is_polled and not test.is_running else 200
    context = signal_editor.results_context(request, test, in_editor=is_polled)
    return render(request, "signals/test.html", context, partial="test", status=status)


@require_POST
@editor_required
def test_cancel(request: ProjectRequest, pk: int) -> HttpResponse:
    test = _own_test(request, pk)
    signal_tests.cancel_test(test, timezone.now())
    if wants_partial(request):
        return render(
            request, "signals/test.html", signal_editor.results_context(request, _own_test(request, pk)), partial="test"
        )
    return redirect(request, reverse("signals:trial-detail", args=[request.project.slug, pk]))


@require_safe
@editor_required
def test_exchange(request: ProjectRequest, pk: int, item: int) -> HttpResponse:
    test = _own_test(request, pk)
    test_item = get_object_or_404(test.items.select_related("test"), pk=item, exchange__isnull=False)
    exchange = exchanges.decompress(bytes(test_item.exchange or b""))
    context: dict[str, Any] = {
        "prompt": PromptPreview(exchange.messages, test_item.judge),
        "answer": exchange.answer,
        "was_sent": True,
    }
    context["rows"] = load_rows(request.project, test.scope, [test_item])
    return render(request, "signals/prompt.html", context, partial="prompt")


@post_only("signals:signal-create")
@editor_required
def prompt_show(request: ProjectRequest) -> HttpResponse:
    """Show the prompt for one target: `target`, or the newest that matches."""
    signal, form = _posted(request)
    version, now = _version(form, signal), timezone.now()
    context: dict[str, Any] = {"form": form}
    if version is not None:
        key = request.POST.get("target", "")
        max_age = timedelta(days=request.project.kept_days + 1)
        if key:
            sample = signal_tests.sample_by_key(version, [key], now)
        else:
            sample = signal_tests.sample_newest(version, 1, now - max_age, now)
        targets = sample.targets
        context["prompt"] = signal_tests.preview_prompt(version, targets[0], now) if targets else None
        labels = [target.label_of(version) for target in targets]
        context["rows"] = load_rows(request.project, version.signal.scope, labels)
    return render(request, "signals/prompt.html", context, partial="prompt", status=422 if version is None else 200)


def _posted(request: ProjectRequest) -> tuple[Signal | None, SignalForm]:
    pk = request.POST.get("signal", "")
    signal = get_object_or_404(request.project.signals.for_list(), pk=params.parse_number(pk) or 0) if pk else None
    return signal, SignalForm(request.project, request.POST, signal=signal)


def _version(form: SignalForm, signal: Signal | None) -> SignalVersion | None:
    form.ignore("name", "sample_rate")
    if form.errors:
        return None
    agent, scope = form.cleaned_data["agent"], form.cleaned_data["scope"]
    try:
        return operations.draft_version(form.definition, agent, scope, signal)
    except ValidationError as error:
        form.report(error)
        return None


def _sample(request: ProjectRequest, sample_form: SampleForm, version: SignalVersion) -> Sample:
    now, again = timezone.now(), request.POST.get("again", "")
    if again:
        return signal_tests.sample_again(version, _own_test(request, params.parse_number(again) or 0), now)
    if sample_form.is_of_finding and (examples := signal_editor.examples_in(request)):
        return finding_tests.sample(version, examples, sample_form.cleaned_data["test_count"], now)
    start = now - sample_form.length
    return signal_tests.sample_newest(
        version, sample_form.cleaned_data["test_count"], start, now + timedelta(minutes=1)
    )


def _own_test(request: ProjectRequest, pk: int) -> SignalTest:
    try:
        return signal_tests.find_test(request.project, pk, request.actor)
    except SignalTest.DoesNotExist as error:
        raise Http404("No such test") from error


def _page(
    request: ProjectRequest, form: SignalForm, signal: Signal | None, *, status: int, **extra: Any
) -> HttpResponse:
    extra |= {"signal": signal, "template": template_named(request.GET.get("template"))}
    if wants_partial(request):
        return render(request, "signals/test.html", {"form": form, **extra}, partial="wrong", status=status)
    return signal_editor.editor(request, form, status=status, **extra)
