"""The list of reports of a project."""

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from catalyst.core.access import ProjectRequest
from catalyst.htmx import render
from halo.forms.reports import ReportFilterForm
from halo.models import Run
from halo.views.rows import page_of

# Agents to begin with on the empty page.
MAX_STARTS = 8


@require_safe
def report_list(request: ProjectRequest) -> HttpResponse:
    """List reports, those under way first. Without reports: what they are, and what to begin with."""
    every = Run.objects.for_project(request.project).reports()
    filter_form = ReportFilterForm(request.GET)
    context = {"filter_form": filter_form, **page_of(request, filter_form.narrowed(every))}
    if not context["rows"] and not every.exists():
        agents = request.project.agents.order_by("name", "pk")[:MAX_STARTS]
        return render(request, "halo/first_report.html", {"agents": agents})
    filter_form.offer_agents(every.agents())
    return render(request, "halo/list.html", context, partial="report-rows")
