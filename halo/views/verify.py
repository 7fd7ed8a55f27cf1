"""The page that shows whether a fix worked."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalyst import timerange
from catalyst.core.access import ProjectRequest
from catalyst.htmx import render
from catalyst.timerange import MINUTE
from halo import verification
from halo.choices import Verdict
from halo.forms.verification import VerificationForm
from halo.models import Issue, Run
from halo.report.rendering import address_in
from halo.verification import Checked, Verification
from halo.views.report_actions import reports_of
from traces.models.deploys import MAX_SHOWN

PILLS = {
    Verdict.RESOLVED: "ok",
    Verdict.DECREASED: "info",
    Verdict.UNCHANGED: "warn",
    Verdict.INCREASED: "error",
    Verdict.UNKNOWN: "outline",
}

type Check = Callable[[datetime, datetime, datetime | None], Verification]


@dataclass(frozen=True, slots=True)
class Shown:
    """A checked finding with its links."""

    checked: Checked
    pill: str
    before_href: str
    after_href: str
    examples: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class DeployMark:
    """A version to choose, with the parameter of the first minute that is all its own."""

    version: str
    started_at: datetime

    @property
    def since(self) -> str:
        return timerange.iso(timerange.ceil(self.started_at, MINUTE))


@require_safe
def verify(request: ProjectRequest, pk: int) -> HttpResponse:
    """Whether what a report found is fixed since a time. Without one, the page asks for it."""
    run = get_object_or_404(reports_of(request), pk=pk)

    def check(since: datetime, now: datetime, until: datetime | None) -> Verification:
        return verification.of_run(run, since, now, until)

    return _page(request, run, check, None)


@require_safe
def verify_issue(request: ProjectRequest, pk: int) -> HttpResponse:
    """The same of an issue, by its newest finding."""
    issue = get_object_or_404(Issue.objects.filter(project=request.project), pk=pk)
    run = get_object_or_404(reports_of(request).order_by("-pk").filter(findings__issue=issue)[:1])

    def check(since: datetime, now: datetime, until: datetime | None) -> Verification:
        return verification.of_issue(issue, since, now, until)

    return _page(request, run, check, issue)


def _page(request: ProjectRequest, run: Run, check: Check, issue: Issue | None) -> HttpResponse:
    now = timezone.now()
    form = VerificationForm(request.GET if "since" in request.GET else None, initial=_initial(issue), label_suffix="")
    context: dict[str, Any] = {
        "form": form,
        "run": run,
        "agent": run.agent,
        "issue": issue,
        "deploys": _deploys(request, run, now),
    }
    if form.is_bound and form.is_valid():
        try:
            found = check(form.cleaned_data["since"], now, form.cleaned_data["until"])
            context |= {"found": found, "shown": [_shown(run, each) for each in found.checked]}
        except ValidationError as error:
            form.report(error)
    return render(request, "halo/verify.html", context, status=422 if form.errors else 200)


def _initial(issue: Issue | None) -> dict[str, Any]:
    return {"since": issue.fixed_at} if issue and issue.fixed_at else {}


def _deploys(request: ProjectRequest, run: Run, now: datetime) -> list[DeployMark]:
    """Versions of the agent that began after the report's window did, the newest first."""
    of_agent = request.project.deploys.filter(agent=run.agent_id, started_at__gt=run.window_start, started_at__lt=now)
    newest = of_agent.order_by("-started_at", "-pk")[:MAX_SHOWN]
    return [DeployMark(deploy.version, deploy.started_at) for deploy in newest]


def _shown(run: Run, checked: Checked) -> Shown:
    at_traces = reverse("traces:trace-list", args=[run.project.slug])
    before, after = (f"{at_traces}?{share.query}" if share and share.query else "" for share in _sides(checked))
    address = address_in(run.project)
    examples = [(each.hex[:8], address(each, None)) for each in checked.examples]
    return Shown(checked, PILLS[checked.verdict], before, after, examples)


def _sides(checked: Checked) -> tuple[verification.Share | None, verification.Share | None]:
    return checked.before, checked.after
