"""Buttons of an alert: enable, disable, mute, unmute, archive, unarchive."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_POST

from alerts import operations
from alerts.forms.alerts import MuteForm
from alerts.models import Alert
from alerts.operations.records import rows
from catalyst import formats
from catalyst.core.access import ProjectRequest, editor_required
from catalyst.htmx import redirect_back, render


def alert_of(request: ProjectRequest, pk: int) -> Alert:
    return get_object_or_404(Alert.objects.for_project(request.project).for_list(timezone.now()), pk=pk)


@require_POST
@editor_required
def alert_enable(request: ProjectRequest, pk: int) -> HttpResponse:
    alert = alert_of(request, pk)
    try:
        operations.enable(alert, timezone.now(), request.actor)
    except ValidationError as error:
        return _back(request, alert, " ".join(error.messages), messages.ERROR)
    return _back(request, alert, f"{alert.name} is enabled. It looks at {alert.noun} from now on.")


@require_POST
@editor_required
def alert_disable(request: ProjectRequest, pk: int) -> HttpResponse:
    alert = alert_of(request, pk)
    operations.disable(alert, timezone.now(), request.actor)
    return _back(request, alert, f"{alert.name} is disabled. Events are kept.")


@require_POST
@editor_required
def alert_mute(request: ProjectRequest, pk: int) -> HttpResponse:
    alert, now = alert_of(request, pk), timezone.now()
    operations.mute(alert, MuteForm(request.POST).until(now), now, request.actor)
    return _back(request, alert, f"{alert.name} is muted until {formats.at(alert.muted_until or now, now)}")


@require_POST
@editor_required
def alert_unmute(request: ProjectRequest, pk: int) -> HttpResponse:
    alert = alert_of(request, pk)
    operations.unmute(alert, timezone.now(), request.actor)
    return _back(request, alert, f"{alert.name} is unmuted")


@require_POST
@editor_required
def alert_archive(request: ProjectRequest, pk: int) -> HttpResponse:
    alert = alert_of(request, pk)
    # With JavaScript a dialog has asked.
    if not request.htmx and "sure" not in request.POST:
        context = {"rows": rows([alert], timezone.now()), "back": alert.get_absolute_url()}
        return render(request, "alerts/archive.html", context)
    operations.archive(alert, timezone.now(), request.actor)
    return _back(request, alert, f"{alert.name} is archived. Events are kept.")


@require_POST
@editor_required
def alert_unarchive(request: ProjectRequest, pk: int) -> HttpResponse:
    alert = alert_of(request, pk)
    try:
        operations.unarchive(alert, timezone.now(), request.actor)
    except ValidationError as error:
        return _back(request, alert, " ".join(error.messages), messages.ERROR)
    return _back(request, alert, f"{alert.name} is unarchived")


def _back(request: ProjectRequest, alert: Alert, text: str, level: int = messages.SUCCESS) -> HttpResponse:
    messages.add_message(request, level, text)
    return redirect_back(request, alert.get_absolute_url())
