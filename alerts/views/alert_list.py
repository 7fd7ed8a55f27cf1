"""The list of alerts of a project, and what is done with several of them."""

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from alerts import operations
from alerts.forms.alerts import AlertFilterForm, MuteForm
from alerts.models import Alert
from alerts.models.alert import AlertQuerySet
from alerts.operations import BulkAction
from alerts.operations.records import rows
from catalyst import params
from catalyst.core.access import ProjectRequest, editor_required
from catalyst.htmx import redirect_back, render, wants_partial

PAGE = 50
MAX_SELECTED = 100
# Signals and agents to begin with on the empty page.
MAX_STARTS = 8
# Alerts are evaluated each minute.
REFRESH_SECONDS = 30


@require_safe
def alert_list(request: ProjectRequest) -> HttpResponse:
    """List alerts, firing ones first. Without alerts: what they are, and what to begin with."""
    filter_form, archived = AlertFilterForm(request.GET), "archived" in request.GET
    every = Alert.objects.for_project(request.project)
    found = (every.archived() if archived else every.unarchived()).named(filter_form.text)
    if filter_form.agent_id is not None:
        found = found.filter(agent=filter_form.agent_id)
    context = page_of(request, found.in_status(filter_form.status, timezone.now()))
    if not context["rows"] and not every.exists():
        signals = request.project.signals.unarchived().for_list()[:MAX_STARTS]
        agents = request.project.agents.order_by("name", "pk")[:MAX_STARTS]
        return render(request, "alerts/first_alert.html", {"signals": signals, "agents": agents})
    filter_form.offer_agents(every.agents())
    context |= {
        "archived": archived,
        "archived_count": 0 if archived else every.archived().count(),
        "firing_count": every.firing().count(),
        "filter_form": filter_form,
        "mute_form": MuteForm(),
        "shows_signal": True,
        "is_polled": wants_partial(request) and "after" not in request.GET,
    }
    return render(request, "alerts/list.html", context, partial="alert-rows")


def page_of(request: ProjectRequest, alerts: AlertQuerySet) -> dict[str, Any]:
    """A page of alerts, from behind the place `after` on. `more`: that of the next one."""
    now = timezone.now()
    listed = alerts.for_list(now)
    place = Alert.objects.for_project(request.project).place(request.GET.get("after", ""))
    found = rows((listed.after(*place) if place else listed)[: PAGE + 1], now)
    more = found[PAGE - 1].place if len(found) > PAGE else None
    return {"rows": found[:PAGE], "more": more, "now": now, "refresh_seconds": REFRESH_SECONDS}


@require_POST
@editor_required
def alert_bulk(request: ProjectRequest) -> HttpResponse:
    """Mute, enable, disable or archive the selected alerts. Archiving asks for confirmation."""
    action = request.POST.get("do", "")
    pks = [int(pk) for pk in request.POST.getlist("alert")[:MAX_SELECTED] if params.is_id(pk)]
    found = Alert.objects.for_project(request.project).unarchived().filter(pk__in=pks)
    alerts = list(found.for_list(timezone.now()))
    if alerts and action == BulkAction.ARCHIVE and "sure" not in request.POST:
        return render(request, "alerts/archive.html", {"rows": rows(alerts, timezone.now())})
    if alerts and action in BULK:
        _change_several(request, alerts, action)
    else:
        messages.error(request, "Select at least one alert")
    return redirect_back(request, reverse("alerts:alert-list", args=[request.project.slug]))


BULK: dict[str, str] = {
    BulkAction.MUTE: "muted. Events are kept.",
    BulkAction.UNMUTE: "unmuted",
    BulkAction.ENABLE: "enabled",
    BulkAction.DISABLE: "disabled. Events are kept.",
    BulkAction.ARCHIVE: "archived. Events are kept.",
}


def _change_several(request: ProjectRequest, alerts: Iterable[Alert], action: str) -> None:
    now = timezone.now()
    until = MuteForm(request.POST).until(now)
    changed, refused = operations.change_several(alerts, action, now, request.actor, until=until)
    for alert, reason in refused:
        messages.error(request, f"{alert.name}: {reason}")
    if changed:
        messages.success(request, f"{len(changed)} alert{'' if len(changed) == 1 else 's'} {BULK[action]}")
