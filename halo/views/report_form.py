"""The form that asks for a report, what it would read, and its start."""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from catalyst import params, timerange
from catalyst.agents.models import Agent
from catalyst.core.access import ProjectRequest, editor_required
from catalyst.htmx import redirect, render, wants_partial
from halo import engine_environment, focus
from halo.forms.new_report import ReportForm
from halo.models import Run
from halo.runs import requests
from halo.runs.requests import QUESTIONS, SIGNALS_QUESTION, Definition
from traces.analytics import runs as agent_runs
from traces.list_params import TraceFilterForm
from traces.views import traces


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def report_create(request: ProjectRequest, pk: int) -> HttpResponse:
    """Ask for a report on the traces that the parameters of the address name, as a list of traces takes them.

    `again`: the report whose question, window and limits are repeated. `ask=2`, when posted, asks the second suggested
    question. `ask=signals` in the address begins with the question which signals to add.
    """
    agent = get_object_or_404(agent_runs.with_run_times(request.project), pk=pk)
    now = timezone.now()
    if request.method != "POST" or "ask" in request.POST:
        return _page(request, agent, now)
    context = form_context(request, agent, now, request.POST)
    form: ReportForm = context["form"]
    if run := _create(request, form, context):
        return redirect(request, run.get_absolute_url())
    return _page(request, agent, now, context | {"is_refused": True}, status=422)


def _create(request: ProjectRequest, form: ReportForm, context: dict[str, Any]) -> Run | None:
    definition = _definition(form, context)
    if definition is None:
        return None
    try:
        return requests.create(form.agent, definition, form.now, request.actor)
    except ValidationError as error:
        form.report(error)
        return None


@require_POST
@editor_required
def report_preview(request: ProjectRequest, pk: int) -> HttpResponse:
    """What a report would read, and about what it costs. Without JavaScript: with the form. Starts nothing."""
    agent = get_object_or_404(agent_runs.with_run_times(request.project), pk=pk)
    now = timezone.now()
    context = form_context(request, agent, now, request.POST)
    form: ReportForm = context["form"]
    if definition := _definition(form, context):
        try:
            context["preview"] = requests.preview(agent, definition)
        except ValidationError as error:
            form.report(error)
    if wants_partial(request):
        return render(request, "halo/parts/preview.html", context)
    return _page(request, agent, now, context)


def _definition(form: ReportForm, context: dict[str, Any]) -> Definition | None:
    """What a valid form asks for. Nothing is asked of other traces than the filter names."""
    if not form.is_valid():
        return None
    filter_form: TraceFilterForm = context["filter_form"]
    if filter_form.errors:
        form.add_error(None, "The filter can't be applied. Remove what is wrong with it.")
        return None
    return form.definition(context["focus"])


def form_context(request: ProjectRequest, agent: Agent, now: datetime, data: QueryDict | None = None) -> dict[str, Any]:
    """What templates/halo/parts/form.html needs."""
    if not request.membership.can_edit:
        return {}
    filter_form = TraceFilterForm(request.project, focus.params_of(request.GET))
    asked = filter_form.valid_values.get("agent")
    if asked not in {None, agent.pk}:
        filter_form.add_error("agent", "This is the page of one agent.")
    pk = params.parse_number(request.GET.get("again", ""))
    again = (
        None
        if pk is None
        else get_object_or_404(Run.objects.for_project(request.project).reports(), agent=agent, pk=pk)
    )
    time_range = timerange.parse(request.GET.dict(), now)
    form = ReportForm(agent, now, data, time_range=time_range, again=again)
    if request.GET.get("ask") == "signals":
        form.initial["prompt"] = SIGNALS_QUESTION
    return {
        "form": form,
        "filter_form": filter_form,
        "trace_filter": (trace_filter := filter_form.trace_filter),
        "session": traces.session_of(request, trace_filter),
        "focus": focus.text_of(request.GET),
        "engine_status": engine_environment.status(),
    }


def _page(
    request: ProjectRequest, agent: Agent, now: datetime, context: dict[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    shown = context or form_context(request, agent, now, _suggested(request.POST))
    about = {"agent": agent, "tab": "analysis", "time_range": timerange.parse(request.GET.dict(), now)}
    return render(request, "halo/new_report.html", about | shown, status=status)


def _suggested(posted: QueryDict) -> QueryDict | None:
    """The form as it was sent, with the question that was clicked."""
    if "ask" not in posted:
        return None
    number, data = params.parse_number(posted.get("ask", "")) or 0, posted.copy()
    if 0 < number <= len(QUESTIONS):
        data["prompt"] = QUESTIONS[number - 1]
    return data
