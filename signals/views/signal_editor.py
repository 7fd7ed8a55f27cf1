"""The editor of a signal: create, edit, conflicts."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from catalyst import params, timerange
from catalyst.core.access import ProjectRequest, editor_required
from catalyst.htmx import render, with_query
from signals import operations
from signals.definitions import diff
from signals.definitions.diff import Diff
from signals.definitions.templates import TEMPLATES, Template
from signals.forms import draft
from signals.forms.draft import draft_in
from signals.forms.signal import SignalForm, agents_named, template_named
from signals.forms.signal_test import SampleForm
from signals.judging import judges
from signals.models import Signal, SignalTest, SignalVersion
from signals.operations import Edit, VersionConflict
from signals.results.rows import load_rows
from signals.runs import finding_tests, signal_tests
from signals.targets.volume import recent_volume
from signals.views.posted import post_only
from signals.views.signal_actions import LABELS_FAIL, is_unjudged
from traces import trace_groups
from traces.trace_groups import Examples

# The choice of no template.
BLANK = {"key": "", "name": "a blank form"}
NEXT = "A backfill of the finding's window tells how often it happens. Then create an alert from the results."


@dataclass(frozen=True, slots=True)
class Conflict:
    """An edit of a version that was superseded meanwhile: their changes, and ours compared with theirs."""

    newer: SignalVersion
    theirs: Diff
    mine: Diff


def conflict(overtaken: VersionConflict, based_on: int) -> Conflict:
    newer = overtaken.current
    base = newer.signal.versions.filter(number=based_on).first() or newer
    current = newer.definition
    return Conflict(newer, diff.diff(base.definition, current), diff.diff(current, overtaken.definition))


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def signal_create(request: ProjectRequest) -> HttpResponse:
    """Create a signal from a template, a blank form, or a draft in the address (`signals.forms.draft`).

    `finding`: a finding that the signal is to measure. `then=activate` also activates it. `start` begins with another
    template, and asks before it replaces typed text; `replace` does not ask.
    """
    template = template_named(request.GET.get("template"))
    if request.method == "POST" and request.POST.keys() & {"start", "replace"}:
        return _start(request, template)
    if request.method != "POST":
        agent = request.project.agents.filter(identity=request.GET.get("agent", "").replace("\0", "")).first()
        described = draft_in(request.GET)
        form = SignalForm(request.project, template=template, agent=agent, draft=described.initial)
        return editor(request, form, template=template, draft_problems=described.problems)
    form = SignalForm(request.project, request.POST, template=template)
    if not (signal := _create(request, form, template.key if template else "")):
        return editor(request, form, template=template)
    examples = _measured(request, signal)
    text = f"{signal.name} is {'active' if signal.activated_at else 'saved as a draft'}"
    if examples is None:
        _tell(request, signal, text)
        return redirect(signal)
    _tell(request, signal, f"{text}, and measures the finding. {NEXT}")
    window = timerange.between(examples.start, examples.end)
    runs = reverse("signals:run-list", args=[request.project.slug, signal.pk])
    return redirect(f"{runs}?{window.encoded_query}")


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def signal_edit(request: ProjectRequest, pk: int) -> HttpResponse:
    signals = request.project.signals.for_list()
    signal = get_object_or_404(signals, pk=pk)
    form = SignalForm(request.project, request.POST if request.method == "POST" else None, signal=signal)
    if form.is_bound and (text := _publish(request, form, signal)):
        _tell(request, signals.get(pk=pk), text)
        return redirect(reverse("signals:signal-detail", args=[request.project.slug, pk], query=request.GET))
    return editor(request, form, signal=signals.get(pk=pk) if form.is_bound else signal)


@post_only("signals:signal-create")
@editor_required
def judge_show(request: ProjectRequest) -> HttpResponse:
    version = SignalForm(request.project, request.POST).draft_version()
    judge = judges.judge_of(version)
    context: dict[str, Any] = {"judge": judge, "test": _shown_test(request)}
    context["is_stale"] = context["test"] is not None and not signal_tests.asks_alike(context["test"], version)
    # A button that is replaced while it is clicked loses the click.
    context["is_test_changed"] = (judge.kind == "none") is ("can_test" in request.POST)
    return render(request, "signals/judge.html", context)


@require_safe
@editor_required
def agent_choices(request: ProjectRequest) -> HttpResponse:
    """The agents whose name contains `agent_text`."""
    text = request.GET.get("agent_text", "").replace("\0", "").strip()
    return render(request, "signals/parts/agent_choices.html", {"agents": agents_named(request.project, text)})


@require_safe
@editor_required
def lately_show(request: ProjectRequest) -> HttpResponse:
    agent = SignalForm(request.project, request.GET).chosen_agent
    return render(
        request,
        "signals/parts/recent_volume.html",
        {"recent_volume": recent_volume(agent, timezone.now()) if agent else None},
    )


def _start(request: ProjectRequest, template: Template | None) -> HttpResponse:
    form = SignalForm(request.project, request.POST, template=template)
    chosen = template_named(request.POST.get("replace", request.POST.get("start")))
    if "replace" not in request.POST and form.has_typed_text(template):
        return editor(request, form, status=200, template=template, replaced_by=chosen or BLANK)
    query = request.GET.copy()
    for name in ("template", *draft.NAMES):
        query.pop(name, None)
    if chosen:
        query["template"] = chosen.key
    if agent := form.chosen_agent:
        query["agent"] = agent.identity
    return redirect(reverse("signals:signal-create", args=[request.project.slug], query=query))


def _create(request: ProjectRequest, form: SignalForm, template: str) -> Signal | None:
    if not form.is_valid():
        return None
    fields = {name: form.cleaned_data[name] for name in ("agent", "name", "scope")}
    now = timezone.now()
    try:
        with transaction.atomic():
            signal = operations.create_signal(**fields, definition=form.definition, by=request.actor, template=template)
            if quiet_minutes := form.cleaned_data["quiet_minutes"]:
                operations.set_quiet_minutes(signal, quiet_minutes, now, request.actor)
            if request.POST.get("then") == "activate":
                operations.activate(signal, now, request.actor)
            if examples := _measured(request, signal):
                trace_groups.measure(request.project, examples.key, signal.pk, now)
    except ValidationError as error:
        form.report(error)
        return None
    return signal


def _publish(request: ProjectRequest, form: SignalForm, signal: Signal) -> str:
    """Return what the edit did, or an empty text if it failed."""
    if not form.is_valid():
        return ""
    sent = form.cleaned_data
    now = timezone.now()
    activate_at = now if request.POST.get("then") == "activate" else None
    edit = Edit(
        form.definition, sent["name"], sent["based_on"], sent["named"] or None, activate_at, form.changed_quiet_minutes
    )
    before = _stored(signal)
    try:
        operations.edit_signal(signal, edit, now, request.actor)
    except ValidationError as error:
        form.report(error)
        return ""
    after = _stored(signal)
    if after == before:
        return "Nothing changed"
    return f"{signal.name} is saved as v{after[0]}" if after[0] != before[0] else f"{signal.name} is saved"


def _tell(request: ProjectRequest, signal: Signal, text: str) -> None:
    if is_unjudged(signal):
        messages.warning(request, f"{text}. {LABELS_FAIL}")
    else:
        messages.success(request, text)


def _stored(signal: Signal) -> tuple[Any, ...]:
    fields = ("current_version__number", "name", "quiet_minutes", "state")
    stored: tuple[Any, ...] = Signal.objects.values_list(*fields).get(pk=signal.pk)
    return stored


def editor(request: ProjectRequest, form: SignalForm, *, status: int = 0, **extra: Any) -> HttpResponse:
    """Render the editor. `status` defaults to 422 for a submitted form, else 200."""
    context = {"form": form, "templates": TEMPLATES.values(), "judge": judges.judge_of(form.draft_version())}
    examples = context["examples"] = examples_in(request)
    context["sample"] = SampleForm(request.POST if "test_count" in request.POST else None, examples)
    if "test" not in extra and (test := _test_of(request, extra.get("signal"))):
        context |= results_context(request, test)
        context["is_stale"] = not signal_tests.asks_alike(test, form.draft_version())
    if form.overtaken:
        context["conflict"] = conflict(form.overtaken, form.cleaned_data["based_on"])
    agent = form.chosen_agent
    context["recent_volume"] = recent_volume(agent, timezone.now()) if agent else None
    return render(
        request, "signals/editor.html", {**context, **extra}, status=status or (422 if form.is_bound else 200)
    )


def _test_of(request: ProjectRequest, signal: Signal | None) -> SignalTest | None:
    """The test whose results the editor showed, or the newest of a stored signal."""
    if shown := _shown_test(request):
        return shown
    return signal_tests.latest_test(signal, request.actor) if signal is not None else None


def _shown_test(request: ProjectRequest) -> SignalTest | None:
    if shown := params.parse_number(request.POST.get("test", "")):
        with suppress(SignalTest.DoesNotExist):
            return signal_tests.find_test(request.project, shown, request.actor)
    return None


def examples_in(request: ProjectRequest) -> Examples | None:
    """Of the finding that the address names, for a signal that is to measure it."""
    return finding_tests.examples_of(request.project, params.parse_number(request.GET.get("finding")))


def _measured(request: ProjectRequest, signal: Signal) -> Examples | None:
    """None also if the signal was made for another agent than that of the finding."""
    examples = examples_in(request)
    return examples if examples and examples.agent == signal.agent_id else None


def results_context(request: ProjectRequest, test: SignalTest, *, in_editor: bool = True) -> dict[str, Any]:
    results = signal_tests.results_of(test)
    return {
        "test": test,
        "tested_version": signal_tests.tested_version(test),
        "results": results,
        "proof": finding_tests.proof_of(request.project, results),
        "rows": load_rows(request.project, test.scope, results.with_outcome),
        "in_editor": in_editor,
        "query": with_query(request, ""),
    }
