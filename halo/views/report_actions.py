"""Buttons of a report: cancel, download."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_POST, require_safe

from catalyst.core.access import ProjectRequest, editor_required
from catalyst.htmx import redirect_back
from halo.choices import Origin
from halo.models import Run
from halo.models.run import RunQuerySet
from halo.runs import markdown, requests


def reports_of(request: ProjectRequest) -> RunQuerySet:
    """Reports of the project, each with what its page names."""
    return Run.objects.for_project(request.project).select_related("conversation", "agent", "project", "connection")


@require_POST
@editor_required
def report_cancel(request: ProjectRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(reports_of(request), pk=pk)
    what = "The question" if run.origin == Origin.FOLLOW_UP else "The report"
    if requests.cancel(run, timezone.now(), request.actor):
        messages.success(request, f"{what} is cancelled. What it wrote so far is kept.")
    else:
        messages.error(request, f"{what} has already ended")
    return redirect_back(request, run.get_absolute_url())


@require_safe
def report_markdown(request: ProjectRequest, pk: int) -> HttpResponse:
    """Download a report as Markdown. Its links are whole addresses, so that they lead back from anywhere."""
    run = get_object_or_404(reports_of(request), pk=pk)
    name = slugify(f"{run.conversation.title} {run.agent}")[:80] or f"report-{run.pk}"
    headers = {"Content-Disposition": f'attachment; filename="{name}.md"', "X-Content-Type-Options": "nosniff"}
    text = markdown.of(run, request.build_absolute_uri("/").rstrip("/"))
    return HttpResponse(text, "text/markdown; charset=utf-8", headers=headers)
