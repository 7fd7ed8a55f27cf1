"""Signals, as pages: all of them, making and changing one, and what one found."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

from catalyst import timerange
from catalyst.core.access import ProjectRequest, editor_required, owner_required
from catalyst.htmx import STOP_POLLING, go_back, render, wants_partial
from catalyst.params import cursor
from catalyst.timerange import TimeRange
from signals import actions, charts, connection, forms, label_lists, matching, rates, results, spending, version_results
from signals.budgets import Cap
from signals.forms import CapForm, SignalForm
from signals.going import going
from signals.list_views import IDLE_SECONDS, OPEN_SECONDS
from signals.models import Signal, SignalVersion
from signals.querysets import LabelFilter
from signals.results import Summary
from signals.rollups import Cell, OverTime
from signals.sum_models import sums
from signals.templates import TEMPLATES
from signals.trial_forms import TrialForm
from traces.analytics import runs as agent_runs

PAGE = 30
CARDS = 4
"""Signals side by side on the overview of an agent; of more, the last place lists the rest."""


@require_safe
def agent_signals(request: ProjectRequest, pk: int) -> HttpResponse:
    """The signals of one agent: a tab of its page, and how often each active one's label is given, for its overview."""
    agent = get_object_or_404(agent_runs.seen(request.project), pk=pk)
    now = timezone.now()
    time_range = timerange.parse(request.GET.dict(), now)
    signals = list(request.project.signals.for_agent(agent).unarchived().for_list())
    active = [signal for signal in signals if signal.state == Signal.State.ACTIVE]
    found = rates.rates(active, time_range, now)
    alone = len(found) if len(found) <= CARDS else CARDS - 1
    context = {
        "agent": agent,
        "tab": "signals",
        "time_range": time_range,
        "rates": found[:alone],
        "more": found[alone:],
    }
    if not wants_partial(request):
        context["summaries"] = results.listed(signals, time_range, now)
    return render(request, "signals/agent.html", context, partial="agent-signals")


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def signal_create(request: ProjectRequest) -> HttpResponse:
    """A new signal, from a template or from scratch; `then` says whether it is to judge at once."""
    template = forms.template(request.GET.get("template"))
    if request.method != "POST":
        agent = request.project.agents.filter(identity=request.GET.get("agent", "").replace("\0", "")).first()
        return editor(request, SignalForm(request.project, template=template, agent=agent), template=template)
    form = SignalForm(request.project, request.POST, template=template)
    if not (signal := _create(request, form, template.key if template else "")):
        return editor(request, form, template=template)
    if request.POST.get("then") == "activate":
        actions.activate(signal, timezone.now(), request.user)
    messages.success(request, f"{signal.name} is {'active' if signal.activated_at else 'saved as a draft'}")
    return redirect(signal)


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def signal_edit(request: ProjectRequest, pk: int) -> HttpResponse:
    """Change what a signal asks: a new version of it. Its agent and scope stay."""
    known = request.project.signals.for_list()
    signal = get_object_or_404(known, pk=pk)
    form = SignalForm(request.project, request.POST if request.method == "POST" else None, signal=signal)
    if form.is_bound and _publish(request, form, signal):
        messages.success(request, f"{signal.name} is saved")
        return redirect(reverse("signals:signal-detail", args=[request.project.slug, pk], query=request.GET))
    return editor(request, form, signal=known.get(pk=pk) if form.is_bound else signal)


@require_POST
@editor_required
def judge_show(request: ProjectRequest) -> HttpResponse:
    """Who would judge what the editor holds now."""
    judge = connection.judge_of(SignalForm(request.project, request.POST).draft_version())
    return render(request, "signals/judge.html", {"judge": judge})


@require_safe
@editor_required
def lately_show(request: ProjectRequest) -> HttpResponse:
    """How many targets of each scope the chosen agent had lately."""
    agent = SignalForm(request.project, request.GET).chosen_agent
    return render(request, "signals/lately.html", {"lately": matching.lately(agent, timezone.now()) if agent else None})


@require_safe
def signal_detail(request: ProjectRequest, pk: int) -> HttpResponse:
    """What one signal found. Polled for its numbers and for its first rows while work is open, continued by `after`."""
    signal, now = get_object_or_404(request.project.signals.for_list(), pk=pk), timezone.now()
    time_range = timerange.parse(request.GET.dict(), now).in_bars(request.GET.get("bars", ""))
    wanted = forms.label_filter(request.GET.dict())
    of_version = LabelFilter(version=wanted.version, run=wanted.run)
    if request.htmx.target == "no-labels":
        return _refresh_if(signal.label_set.matching(of_version).exists())
    kept = sums(signal=signal).matching(of_version)
    versions, found = results.versions(signal), kept.cells(time_range)
    summary = results.summary(signal, versions, found)
    is_open = results.is_open(signal, summary.waiting)
    every = OPEN_SECONDS if is_open else IDLE_SECONDS if signal.is_live else 0
    context = {"signal": signal, "tab": "results", "time_range": time_range, "wanted": wanted, "summary": summary}
    whole, numbers = not wants_partial(request), request.htmx.target == "signal-numbers"
    context |= {"is_open": is_open, "every": every, "polled": not whole}
    if whole or numbers:
        counts = kept.over_time(time_range)[signal.pk]
        context |= _numbers(request, summary, counts, time_range) | _sampled(summary, found, versions, wanted)
    if whole or not numbers:
        context |= _rows(request, signal, wanted, time_range)
    if whole:
        context |= _surroundings(signal, wanted, now, is_empty=not (context["rows"] or context["more"]))
    status, partial = 200 if whole or every else STOP_POLLING, "signal-numbers" if numbers else "label-rows"
    return render(request, "signals/detail.html", context, partial=partial, status=status)


@require_POST
@editor_required
def signal_activate(request: ProjectRequest, pk: int) -> HttpResponse:
    """Judge what arrives from now on."""
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    try:
        actions.activate(signal, timezone.now(), request.user)
    except ValidationError as error:
        return _back(request, signal, " ".join(error.messages), messages.ERROR)
    return _back(request, signal, f"{signal.name} is active: it judges what arrives from now on")


@require_POST
@editor_required
def signal_disable(request: ProjectRequest, pk: int) -> HttpResponse:
    """Stop judging; labels stay."""
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    actions.disable(signal, request.user)
    return _back(request, signal, f"{signal.name} is disabled; its labels stay")


@require_POST
@editor_required
def signal_archive(request: ProjectRequest, pk: int) -> HttpResponse:
    """Stop it and take it off the list; labels stay."""
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    actions.archive(signal, timezone.now(), request.user)
    return _back(request, signal, f"{signal.name} is archived; its labels stay")


@require_POST
@editor_required
def signal_unarchive(request: ProjectRequest, pk: int) -> HttpResponse:
    """Put it back on the list."""
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    actions.unarchive(signal, request.user)
    return _back(request, signal, f"{signal.name} is back on the list")


@require_POST
@editor_required
def label_retry(request: ProjectRequest, pk: int) -> HttpResponse:
    """Judge again what failed under the current version."""
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    queued = actions.retry_failed(signal, timezone.now())
    said = f"{queued:,} failed label{'' if queued == 1 else 's'} will be judged again"
    return _back(request, signal, said if queued else "Nothing of the current version has failed")


@require_POST
@editor_required
def signal_cap(request: ProjectRequest, pk: int) -> HttpResponse:
    """Set what a signal may cost a day."""
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk)
    form, now = CapForm(request.POST), timezone.now()
    return _capped(
        request, form, lambda cap: actions.cap_signal(signal, cap, now, request.user), signal.get_absolute_url()
    )


@require_POST
@owner_required
def project_cap(request: ProjectRequest) -> HttpResponse:
    """Set what all signals of the project may cost a day."""
    form, now = CapForm(request.POST), timezone.now()
    page = reverse("signals:signal-list", args=[request.project.slug])
    return _capped(request, form, lambda cap: actions.cap_project(request.project, cap, now, request.user), page)


def _capped(request: ProjectRequest, form: CapForm, cap: Callable[[Cap], None], page: str) -> HttpResponse:
    """Set the cap if it can be, and say on the page what happened."""
    if not form.is_valid():
        said = "A cap is an amount of dollars, with at most four decimals, or a number of judge calls, above zero"
        messages.error(request, said)
        return go_back(request, page)
    try:
        cap(form.cap)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return go_back(request, page)
    messages.success(request, f"Judging stops at {form.cap.words}" if form.cap.words else "There is no cap")
    return go_back(request, page)


def _back(request: ProjectRequest, signal: Signal, said: str, level: int = messages.SUCCESS) -> HttpResponse:
    """Where the reader was, else to the signal's page; it says what happened."""
    messages.add_message(request, level, said)
    return go_back(request, signal.get_absolute_url())


def _create(request: ProjectRequest, form: SignalForm, template: str) -> Signal | None:
    """The signal that the form describes; None, with the reasons in the form, when it can't be."""
    if not form.is_valid():
        return None
    about = {name: form.cleaned_data[name] for name in ("agent", "name", "scope")}
    try:
        return actions.create_signal(**about, question=form.question, by=request.user, template=template)
    except ValidationError as error:
        form.report(error)
        return None


def _publish(request: ProjectRequest, form: SignalForm, signal: Signal) -> bool:
    """Change the signal as the form says, all or nothing; False, with the reasons in the form, when it can't be."""
    if not form.is_valid():
        return False
    try:
        with transaction.atomic():
            actions.publish_version(signal, form.question, request.user, based_on=form.cleaned_data["based_on"])
            named = form.cleaned_data["named"] or None
            actions.rename(signal, form.cleaned_data["name"], request.user, based_on=named)
            if request.POST.get("then") == "activate":
                actions.activate(signal, timezone.now(), request.user)
    except ValidationError as error:
        form.report(error)
        return False
    return True


def editor(request: ProjectRequest, form: SignalForm, *, status: int = 0, **about: Any) -> HttpResponse:
    """The editor with this form; `status` is 422 by default when there was something wrong with it."""
    context = {"form": form, "templates": TEMPLATES.values(), "judge": connection.judge_of(form.draft_version())}
    context["trial"] = TrialForm()
    if form.overtaken:
        context["conflict"] = version_results.conflict(form.overtaken, form.cleaned_data["based_on"])
    agent = form.chosen_agent
    context["lately"] = matching.lately(agent, timezone.now()) if agent else None
    return render(
        request, "signals/editor.html", {**context, **about}, status=status or (422 if form.is_bound else 200)
    )


def _refresh_if(changed: bool) -> HttpResponse:
    return HttpResponseClientRefresh() if changed else HttpResponse(status=204)


def _rows(request: ProjectRequest, signal: Signal, wanted: LabelFilter, time_range: TimeRange) -> dict[str, Any]:
    """A page of labels, each with the way to its target, and where the next page starts."""
    found = label_lists.page(signal, wanted, time_range, cursor(request.GET.get("after")), PAGE)
    shown = results.rows(request.project, signal.scope, found.labels)
    rows = [(row, label_lists.with_place(row, request.GET.dict())) for row in shown]
    return {"rows": rows, "more": found.more}


def _numbers(request: ProjectRequest, summary: Summary, counts: OverTime, time_range: TimeRange) -> dict[str, Any]:
    """The chart of the range, who judges, why nobody does, and how it goes."""
    version, now = summary.signal.current_version, timezone.now()
    shares = request.GET.get("show") == "share"
    return {
        "shares": shares,
        "figure": charts.over_time(summary.outcomes, counts, time_range, request.GET.dict(), shares=shares),
        "judge": connection.judge_of(version) if version else None,
        "trouble": connection.trouble(connection.judge_of(version)) if version else None,
        "stop": spending.stops([summary.signal], now).get(summary.signal.pk),
        "going": going(summary.signal, now),
    }


def _surroundings(signal: Signal, wanted: LabelFilter, now: datetime, *, is_empty: bool) -> dict[str, Any]:
    """Where to look when the range is empty, and what judging cost."""
    newest = signal.hours.matching(wanted).newest() if is_empty else None
    return {
        "nearest": timerange.around(newest, now) if newest else None,
        "today": spending.today(signal.project_id, signal.pk, now),
    }


def _sampled(
    summary: Summary, found: Iterable[Cell], versions: list[SignalVersion], wanted: LabelFilter
) -> dict[str, Any]:
    """What the labels were sampled from, and by which versions and runs."""
    runs, asked = results.runs(summary.signal), {cell.version for cell in found}
    shown = [version for version in versions if version.pk in asked]
    estimate = results.estimate(summary, shown, runs, wanted)
    return {"estimate": estimate, "shown_versions": shown, "known_versions": versions, "known_runs": runs}
