"""The tab "Analysis" of an agent: its reports, the newest one in short, and the form of another one."""

from typing import Any

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalyst import timerange
from catalyst.core.access import ProjectRequest
from catalyst.htmx import render, wants_partial
from halo.choices import RunStatus
from halo.models import Issue, Run
from halo.models.run import RunQuerySet
from halo.views import issues
from halo.views.report_form import form_context
from halo.views.rows import Row, page_of
from traces.analytics import runs as agent_runs

# Findings of the newest report.
MAX_FINDINGS = 5
HISTORY = 10
OPEN_ISSUES = 10


@require_safe
def agent_analysis(request: ProjectRequest, pk: int) -> HttpResponse:
    agent = get_object_or_404(agent_runs.with_run_times(request.project), pk=pk)
    runs = Run.objects.for_project(request.project).reports().filter(agent=agent)
    context: dict[str, Any] = {"agent": agent, **page_of(request, runs, HISTORY)}
    if not wants_partial(request):
        now = timezone.now()
        context |= {
            "tab": "analysis",
            "time_range": timerange.parse(request.GET.dict(), now),
            **_newest(runs),
            **_issues(request, agent.pk),
            **form_context(request, agent, now),
        }
    return render(request, "halo/agent.html", context, partial="history-rows")


def _newest(runs: RunQuerySet) -> dict[str, Any]:
    """The newest report that says something."""
    has_words = Q(status=RunStatus.COMPLETED) | ~Q(lede="")
    found = runs.ended().filter(has_words).for_list().newest().first()
    if found is None:
        return {}
    findings = found.findings.order_by("rank").only("rank", "title", "severity", "trace_count", "run_id")
    return {"newest": Row(found), "newest_findings": list(findings[:MAX_FINDINGS])}


def _issues(request: ProjectRequest, agent: int) -> dict[str, Any]:
    """The worst of the open issues, and how many there are in each state."""
    every = Issue.objects.for_project(request.project).of_agent(agent)
    shown = every.open().for_list().worst_first()[:OPEN_ISSUES]
    return {"issue_rows": issues.rows_of(list(shown)), "issue_counts": issues.counts_of(every)}
