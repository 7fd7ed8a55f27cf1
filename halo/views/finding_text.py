"""A finding as text for other places."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from catalyst.core.access import ProjectRequest
from catalyst.htmx import render
from halo.models import Finding, Run
from halo.runs import markdown
from halo.views.report_actions import reports_of


@require_safe
def finding_text(request: ProjectRequest, pk: int, rank: int) -> HttpResponse:
    """A finding as title and text of an issue in a tracker, to copy."""
    run, finding = _finding(request, pk, rank)
    context = {
        "run": run,
        "agent": run.agent,
        "finding": finding,
        "issue_title": markdown.title_of(finding),
        "issue_text": markdown.issue_of(run, finding, _site(request)),
    }
    return render(request, "halo/finding_text.html", context)


@require_safe
def finding_markdown(request: ProjectRequest, pk: int, rank: int) -> HttpResponse:
    """Download a finding as Markdown."""
    run, finding = _finding(request, pk, rank)
    name = slugify(finding.title)[:80] or f"finding-{finding.pk}"
    headers = {"Content-Disposition": f'attachment; filename="{name}.md"', "X-Content-Type-Options": "nosniff"}
    text = markdown.of_finding(run, finding, _site(request))
    return HttpResponse(text, "text/markdown; charset=utf-8", headers=headers)


def _finding(request: ProjectRequest, pk: int, rank: int) -> tuple[Run, Finding]:
    run = get_object_or_404(reports_of(request), pk=pk)
    related = run.findings.select_related("agent", "project").prefetch_related("citations")
    return run, get_object_or_404(related, rank=rank)


def _site(request: ProjectRequest) -> str:
    return request.build_absolute_uri("/").rstrip("/")
