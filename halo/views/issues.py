"""Issues: their list, the page of one, and its buttons."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from catalyst import formats, timerange
from catalyst.core.access import ProjectRequest, editor_required
from catalyst.figures import sparkline
from catalyst.htmx import redirect, render
from catalyst.params import cursor
from halo.choices import OPEN_STATES, IssueState, Severity
from halo.forms.issues import ACTIONS, ActionForm, IssueFilterForm, forms_of
from halo.issues import sightings
from halo.issues.sightings import MAX_FINDINGS, Seen
from halo.models import Finding, Issue
from halo.models.issue import IssueQuerySet

PAGE = 30
PILLS = {Severity.CRITICAL: "critical", Severity.HIGH: "error", Severity.MEDIUM: "warn", Severity.LOW: ""}
TONES = {IssueState.OPEN: "failed", IssueState.ACKNOWLEDGED: "running", IssueState.FIXED: "ok"}


@dataclass(frozen=True, slots=True)
class IssueRow:
    """An issue as a list shows it."""

    seen: Seen

    @property
    def issue(self) -> Issue:
        return self.seen.issue

    @property
    def pill(self) -> str:
        return PILLS[Severity(self.issue.severity)]

    @property
    def tone(self) -> str:
        return tone(self.issue)

    @property
    def spark(self) -> list[str]:
        """The share of traces by report, from 0."""
        shares = self.seen.shares
        return sparkline(shares, top=max(shares)) if len(shares) > 1 and max(shares) else []

    @property
    def trend(self) -> str:
        """The same in words. Empty if no report counted."""
        shares = [formats.percent(share, 1) for share in self.seen.shares]
        if not shares:
            return ""
        return shares[-1] if len(shares) == 1 else f"{shares[0]} of the traces at first, {shares[-1]} now"

    @property
    def now(self) -> str:
        """The share in the newest report. Empty if no report counted."""
        return formats.percent(self.seen.shares[-1], 1) if self.seen.shares else ""


def tone(issue: Issue) -> str:
    """The color of its state."""
    return TONES.get(IssueState(issue.state), "")


def page_of(request: ProjectRequest, issues: IssueQuerySet, limit: int = PAGE) -> dict[str, Any]:
    """A page of issues, from behind the one `after`. `more`: where the next one begins."""
    found = list(issues.for_list().last_seen_first(cursor(request.GET.get("after")))[: limit + 1])
    return {"issue_rows": rows_of(found[:limit]), "more": found[limit - 1].cursor if len(found) > limit else None}


def rows_of(issues: Sequence[Issue]) -> list[IssueRow]:
    return [IssueRow(seen) for seen in sightings.of(issues)]


def counts_of(issues: IssueQuerySet) -> dict[str, int]:
    """How many issues are open or acknowledged, and how many are in each of the other states."""
    counts = dict(issues.order_by().values_list("state").annotate(count=Count("pk")))
    closed = {state.value: counts.get(state, 0) for state in IssueState if state not in OPEN_STATES}
    return {"open": sum(counts.get(state, 0) for state in OPEN_STATES)} | closed


@require_safe
def issue_list(request: ProjectRequest) -> HttpResponse:
    """List issues, the last seen first."""
    every = Issue.objects.for_project(request.project).standing()
    filter_form = IssueFilterForm(request.GET)
    context = {"filter_form": filter_form, **page_of(request, filter_form.narrowed(every))}
    if not context["issue_rows"]:
        context["is_first"] = not every.exists()
    filter_form.offer_agents(every.agents())
    return render(request, "halo/issues.html", context, partial="issue-rows")


@require_safe
def issue(request: ProjectRequest, pk: int) -> HttpResponse:
    """Show an issue with what reports said of it. One that was merged leads to the other."""
    found = issue_of(request, pk)
    if found.merged_into_id is not None:
        return redirect(request, issue_of(request, found.merged_into_id).get_absolute_url())
    return _page(request, found, timezone.now())


@require_POST
@editor_required
def issue_act(request: ProjectRequest, pk: int, verb: str) -> HttpResponse:
    """Do what a button says."""
    now = timezone.now()
    form = ACTIONS[verb](issue_of(request, pk), now, request.POST)
    if not form.apply(request.actor):
        return _page(request, issue_of(request, pk), now, form)
    messages.success(request, form.done())
    return redirect(request, form.issue.get_absolute_url())


def issue_of(request: ProjectRequest, pk: int) -> Issue:
    return get_object_or_404(Issue.objects.for_project(request.project).for_list(), pk=pk)


def _page(request: ProjectRequest, found: Issue, now: datetime, sent: ActionForm | None = None) -> HttpResponse:
    (seen,) = sightings.of([found])
    context = {
        "issue": found,
        "agent": found.agent,
        "row": IssueRow(seen),
        "sightings": [_Sighting(finding, _traces_of(found, finding)) for finding in seen.findings],
        "is_cut": len(seen.findings) == MAX_FINDINGS,
        "max_findings": MAX_FINDINGS,
        "sent": sent,
    }
    if request.membership.can_edit:
        context["forms"] = forms_of(found, now, sent)
    return render(request, "halo/issue.html", context, status=422 if sent else 200)


def _traces_of(found: Issue, finding: Finding) -> str:
    """The list of the traces that a finding touches. Empty if they were not counted, or have expired."""
    if finding.trace_count is None or not finding.run.lists_traces:
        return ""
    window = timerange.between(finding.run.window_start, finding.run.window_end).encoded_query
    return f"{reverse('traces:trace-list', args=[found.project.slug])}?finding={finding.pk}&{window}"


@dataclass(frozen=True, slots=True)
class _Sighting:
    """What a report said of an issue."""

    finding: Finding
    traces_href: str

    @property
    def pill(self) -> str:
        return PILLS[Severity(self.finding.severity)]

    @property
    def share(self) -> str:
        finding = self.finding
        return "" if finding.trace_count is None else formats.percent(finding.trace_count, finding.trace_total)
