"""The editor of an alert: create, edit, and the backtest beside it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from alerts import operations
from alerts.choices import Comparison, Operator, Window
from alerts.forms.alerts import (
    MAX_LISTED,
    AlertForm,
    agents_to_choose,
    asked_subject,
    chosen_subject,
    first_subject,
    initial_for,
    signals_to_choose,
)
from alerts.models import Alert
from alerts.operations import Definition, Subject
from alerts.operations.records import rows
from alerts.views import backtest
from alerts.views.alert_actions import alert_of
from alerts.views.backtest import DAYS, DEFAULT_DAYS
from catalyst import timerange
from catalyst.core.access import ProjectRequest, editor_required
from catalyst.htmx import render, wants_partial
from catalyst.params import parse_number
from signals.views.posted import post_only

# The threshold where no history suggests one, as people type it.
START = "20"
# What leads to the editor and is not of the page that it returns to.
OF_THE_EDITOR = ("subject", "signal", "agent", "label", "chart", "show", "bars", "after")


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def alert_create(request: ProjectRequest) -> HttpResponse:
    """Create an alert on a `signal`, or on the numbers of an `agent`; by default on the first signal.

    `label`, `chart` and the range are those of the chart that led here. `then=choose` begins with another subject.
    """
    now = timezone.now()
    chosen = chosen_subject(request.project, asked_subject(request.POST.dict()) or asked_subject(request.GET.dict()))
    subject = chosen or first_subject(request.project)
    if request.method != "POST" or subject is None or request.POST.get("then") == "choose":
        initial = _initial(request, subject, now) if subject else {}
        return _editor(request, AlertForm(request.project, subject, initial=initial), now)
    form = AlertForm(request.project, subject, request.POST)
    if chosen is None:
        form.add_error(None, "There is no such signal or agent. Choose another one.")
    if not (alert := _create(request, form, subject, now)):
        return _editor(request, form, now, status=422)
    messages.success(request, f"{alert.name} is created. It looks at {alert.noun} from now on.")
    return redirect(_page_of(request, alert))


def _initial(request: ProjectRequest, subject: Subject, now: datetime) -> dict[str, Any]:
    """From what was on the screen that led here, with a threshold that fires about once a week."""
    has_range = bool(request.GET.keys() & {"range", "from"})
    time_range = timerange.parse(request.GET.dict(), now) if has_range else None
    initial = initial_for(subject, request.GET.get("label", ""), request.GET.get("chart", ""), time_range)
    return initial | {"threshold": backtest.suggested_threshold(_begun(initial), subject, now) or START}


def _begun(initial: Mapping[str, Any]) -> Definition:
    shown = {"operator": Operator.GTE, "window": Window.HOUR, "comparison": Comparison.ABSOLUTE, **initial}
    return Definition(name="New", threshold=0.0, **shown)


def _create(request: ProjectRequest, form: AlertForm, subject: Subject, now: datetime) -> Alert | None:
    if not form.is_valid():
        return None
    try:
        return operations.create_alert(subject, form.definition, now, request.actor)
    except ValidationError as error:
        form.report(error)
        return None


@require_http_methods(["GET", "HEAD", "POST"])
@editor_required
def alert_edit(request: ProjectRequest, pk: int) -> HttpResponse:
    alert, now = alert_of(request, pk), timezone.now()
    form = AlertForm(
        request.project, _subject_of(request, alert), request.POST if request.method == "POST" else None, alert=alert
    )
    if form.is_bound and form.is_valid() and _save(request, form, alert, now):
        return redirect(_page_of(request, alert))
    return _editor(request, form, now, status=422 if form.is_bound else 200)


def _subject_of(request: ProjectRequest, alert: Alert) -> Subject:
    if alert.signal_id is None:
        return alert.agent
    return get_object_or_404(request.project.signals.for_list(), pk=alert.signal_id)


def _save(request: ProjectRequest, form: AlertForm, alert: Alert, now: datetime) -> bool:
    begun = alert.updated_at
    try:
        operations.edit_alert(alert, form.definition, now, request.actor)
    except ValidationError as error:
        form.report(error)
        return False
    text = f"{alert.name} is saved"
    messages.success(request, text if begun == alert.updated_at else f"{text}. It looks at {alert.noun} from now on.")
    return True


@post_only("alerts:alert-list")
def backtest_show(request: ProjectRequest) -> HttpResponse:
    """What the rule that is typed would have done, and the rule in words. Without JavaScript: in the editor."""
    pk = parse_number(request.POST.get("alert", ""))
    alert = None if pk is None else alert_of(request, pk)
    if alert is None:
        subject = chosen_subject(request.project, asked_subject(request.POST.dict()))
    else:
        subject = _subject_of(request, alert)
    form, now = AlertForm(request.project, subject, request.POST, alert=alert), timezone.now()
    if request.membership.can_edit and not wants_partial(request):
        return _editor(request, form, now)
    return render(request, "alerts/parts/backtest.html", _tested(request, form, now))


def _tested(request: ProjectRequest, form: AlertForm, now: datetime) -> dict[str, Any]:
    days = parse_number(request.POST.get("days", "")) or DEFAULT_DAYS
    days = days if days in DAYS else DEFAULT_DAYS
    context: dict[str, Any] = {"typed": form, "days": days, "all_days": DAYS}
    if form.subject is None or not form.is_bound or not _is_testable(form):
        return context
    definition = form.definition
    return context | {
        "sentences": operations.draft(form.subject, definition).sentences,
        "definition": definition,
        "tested": backtest.run(definition, form.subject, days, now),
    }


def _is_testable(form: AlertForm) -> bool:
    """True unless something is wrong with the rule itself."""
    return not form.errors.keys() - {"name", "channels"}


def _editor(request: ProjectRequest, form: AlertForm, now: datetime, *, status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {"form": form}
    if form.alert is not None:
        # As it is stored: a form may have changed the one that it got.
        context |= {"row": (row := rows([alert_of(request, form.alert.pk)], now)[0]), "alert": row.alert}
    else:
        signals, agents = signals_to_choose(request.project), agents_to_choose(request.project)
        context |= {
            "signals": signals[:MAX_LISTED],
            "agents": agents[:MAX_LISTED],
            "is_cut": len(signals) > MAX_LISTED or len(agents) > MAX_LISTED,
            "max_listed": MAX_LISTED,
        }
    typed = form if form.is_bound or form.subject is None else _as_typed(request, form)
    context |= _tested(request, typed, now)
    return render(request, "alerts/editor.html", context, status=status)


def _as_typed(request: ProjectRequest, form: AlertForm) -> AlertForm:
    """The form as a browser would send it."""
    data = request.POST.copy()
    for bound in form:
        data.setlist(bound.name, _sent(bound.value()))
    return AlertForm(request.project, form.subject, data, alert=form.alert)


def _sent(value: object) -> list[str]:
    if value is None or value is False:
        return []
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    return ["on" if value is True else str(value)]


def _page_of(request: ProjectRequest, alert: Alert) -> str:
    query = request.GET.copy()
    for name in OF_THE_EDITOR:
        query.pop(name, None)
    return reverse("alerts:alert-detail", args=[request.project.slug, alert.pk], query=query)
