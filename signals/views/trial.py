"""A signal tried before it is saved: one streamed answer with a row per target, and what a judge would be sent."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from catalyst import params
from catalyst.agents.models import Agent
from catalyst.core.access import ProjectRequest, editor_required
from catalyst.htmx import render, wants_partial
from signals import operations
from signals.forms.signal import SignalForm, template_named
from signals.forms.trial import TrialForm
from signals.models import Signal, SignalVersion
from signals.results.rows import load_rows
from signals.runs import trial
from signals.runs.trial import Tally, Trial
from signals.targets.target import Target
from signals.targets.traffic import Traffic
from signals.views import signal_editor

END = "<!--part-->"
"""Behind each part of a stream. What people and judges wrote is escaped, so it can't hold this."""
HERE = "<!--trial-->"
"""Where the parts belong in the page that a browser without scripts is shown."""
MAX_CONCURRENT_TESTS = 8
"""Tests of all people. Each holds a thread of the web process while it lasts."""
BUSY = "Other tests are under way. Try again in a moment."

_newest: dict[int, object] = {}
"""The test under way of each person. Who starts another one ends it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What the editor holds: a version that is not saved, and whose traffic it is to look at."""

    version: SignalVersion
    agent: Agent
    scope: str

    def traffic(self, length: timedelta, now: datetime) -> Traffic:
        """The targets of the last while that it looks at."""
        return Traffic(self.agent, self.scope, now - length, now + timedelta(minutes=1), self.version.traffic_filter)

    def same(self, keys: Iterable[str], now: datetime) -> list[Target]:
        """The targets with these keys, of this agent in this project, whether or not they pass the filter."""
        length = timedelta(days=self.agent.project.kept_days + 1)
        return Traffic(self.agent, self.scope, now - length, now + timedelta(minutes=1)).among(list(keys))


@require_POST
@editor_required
def trial_run(request: ProjectRequest) -> HttpResponse | StreamingHttpResponse:
    """Judge recent targets by what the editor holds, and save nothing. Streams; ends when nobody listens any more."""
    signal, form = _posted(request)
    wanted, draft = TrialForm(request.POST), _draft(form, signal)
    if draft is None or not wanted.is_valid():
        return _page(request, form, signal, wanted, status=422)
    if len(_newest) >= MAX_CONCURRENT_TESTS and request.user.pk not in _newest:
        return _page(request, form, signal, wanted, status=422, busy=BUSY)
    head, tail = "", ""
    if not wants_partial(request):
        page = _page(request, form, signal, wanted, status=200)
        head, _, tail = page.text.partition(HERE)
    response = StreamingHttpResponse(_parts(request, draft, wanted, head, tail))
    response["X-Accel-Buffering"] = "no"
    return response


@require_POST
@editor_required
def prompt_show(request: ProjectRequest) -> HttpResponse:
    """What a judge would be sent of one target, by default the newest that matches. Nothing is asked."""
    signal, form = _posted(request)
    draft, now = _draft(form, signal), timezone.now()
    context: dict[str, Any] = {"form": form}
    if draft is not None:
        key = request.POST.get("target", "")
        longest = timedelta(days=request.project.kept_days + 1)
        found = draft.same([key], now) if key else draft.traffic(longest, now).newest(1)
        context["shown"] = trial.shown(draft.version, found[0], now) if found else None
        context["rows"] = load_rows(request.project, draft.scope, [found[0].label_of(draft.version)]) if found else []
    return render(request, "signals/prompt.html", context, partial="prompt", status=200 if draft else 422)


def _posted(request: ProjectRequest) -> tuple[Signal | None, SignalForm]:
    pk = request.POST.get("signal", "")
    signal = get_object_or_404(request.project.signals.for_list(), pk=pk if params.is_id(pk) else 0) if pk else None
    return signal, SignalForm(request.project, request.POST, signal=signal)


def _draft(form: SignalForm, signal: Signal | None) -> Draft | None:
    """What a form holds that needs no name yet; None, with the reasons in the form, when it can't be judged."""
    form.errors.pop("name", None)
    if form.errors:
        return None
    agent, scope = form.cleaned_data["agent"], form.cleaned_data["scope"]
    try:
        return Draft(operations.draft_version(form.question, agent, scope, signal), agent, scope)
    except ValidationError as error:
        form.report(error)
        return None


def _page(
    request: ProjectRequest, form: SignalForm, signal: Signal | None, wanted: TrialForm, *, status: int, busy: str = ""
) -> HttpResponse:
    """The editor as it was left, with a place for the results; for scripts only what is wrong."""
    template = template_named(request.GET.get("template"))
    about: dict[str, Any] = {"signal": signal, "template": template, "trial": wanted, "busy": busy}
    about["tested"] = status == 200
    if wants_partial(request):
        return render(request, "signals/parts/trial.html", {"form": form, **about}, partial="wrong", status=status)
    return signal_editor.editor(request, form, status=status, **about)


def _parts(request: ProjectRequest, draft: Draft, wanted: TrialForm, head: str, tail: str) -> Iterator[str]:
    """The answer as it comes to be; within a page the sums come last, else after each row."""
    mine = _newest[request.user.pk] = object()
    try:
        yield head
        yield from _judged(request, draft, wanted, lambda: _newest.get(request.user.pk) is not mine, bool(head))
        yield tail
    finally:
        if _newest.get(request.user.pk) is mine:
            del _newest[request.user.pk]


def _judged(
    request: ProjectRequest, draft: Draft, wanted: TrialForm, until: Callable[[], bool], in_page: bool
) -> Iterator[str]:
    now, before = timezone.now(), wanted.before
    traffic = draft.traffic(wanted.length, now)
    asked = wanted.cleaned_data["trial_count"] if before is None else len(before)
    matches = traffic.newest(asked) if before is None else draft.same(before, now)
    tally = Tally(draft.version, len(matches), before or {})
    context: dict[str, Any] = {"draft": draft, "asked": asked, "found": len(matches), "again": before is not None}
    if before is None and len(matches) < asked:
        context["why"] = trial.shortfall(traffic, len(matches), request.project.kept_days)
    yield _part(request, "found", context)
    estimate = trial.per_day(draft.version, draft.agent, draft.scope, matches, now)
    yield _part(request, "estimate", {"estimate": estimate, "draft": draft})
    attempt = Trial(draft.version, matches, timezone.now, until)
    rows = {row.label.target_key: row for row in load_rows(request.project, draft.scope, attempt.labels)}
    with closing(attempt.results()) as found:
        for result in found:
            if result is None:
                yield ""
                continue
            was = tally.add(result)
            yield _part(request, "row", {"result": result, "row": rows[result.label.target_key], "was": was})
            if not in_page:
                yield _part(request, "sums", {"tally": tally})
    yield _part(request, "sums", {"tally": tally, "stopped": attempt.stopped})


def _part(request: ProjectRequest, partial: str, context: dict[str, Any]) -> str:
    slug, template = request.project.slug, template_named(request.GET.get("template"))
    urls = {
        "action": reverse("signals:trial-run", args=[slug]),
        "prompt_url": reverse("signals:prompt-show", args=[slug]),
    }
    urls["action"] += f"?template={template.key}" if template else ""
    return render_to_string(f"signals/parts/trial.html#{partial}", urls | context) + END
