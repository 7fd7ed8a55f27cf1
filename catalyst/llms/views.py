"""Pages of model connections, for owners."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from catalyst.core.access import ProjectRequest, owner_required
from catalyst.htmx import own_page, render
from catalyst.llms import availability, connection_tests, connections
from catalyst.llms.forms import ConnectionForm
from catalyst.llms.models import ModelConnection
from catalyst.llms.operations import environment
from catalyst.llms.presets import PRESETS

TAB = "connection-list"


@require_safe
@owner_required
def connection_list(request: ProjectRequest) -> HttpResponse:
    rows = list(request.project.model_connections.for_list())
    users, outages = connections.users(rows), availability.outages()
    listed = [(row, users[row.pk], outages.get((row.pk, row.default_model))) for row in rows]
    context = {"tab": TAB, "environment": environment(), "connections": listed, "presets": PRESETS.items()}
    return render(request, "llms/connections.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@owner_required
def connection_create(request: ProjectRequest) -> HttpResponse:
    """`provider` names a preset. `then=test` also makes a real call. `next` is the page that led here."""
    preset = request.GET.get("provider", "")
    form = ConnectionForm(request.POST if request.method == "POST" else None, preset=preset)
    if form.is_bound and (connection := _create(request, form)):
        messages.success(request, f"{connection.name} is connected")
        return _saved(request, connection)
    return _form(request, form, hint=PRESETS[preset].hint if preset in PRESETS else "")


@require_http_methods(["GET", "HEAD", "POST"])
@owner_required
def connection_edit(request: ProjectRequest, pk: int) -> HttpResponse:
    connection = _found(request, pk)
    form = ConnectionForm(request.POST if request.method == "POST" else None, connection=connection)
    if form.is_bound and _edit(request, form, connection):
        return _saved(request, connection)
    return _form(request, form, connection=_found(request, pk))


@require_POST
@owner_required
def connection_test(request: ProjectRequest, pk: int) -> HttpResponse:
    """Make one real call."""
    connection = _found(request, pk)
    result = connection_tests.run(connection, "", timezone.now())
    if request.htmx:
        return render(request, "llms/parts/test_result.html", {"test": result, "connection": connection})
    return _form(request, ConnectionForm(connection=connection), connection=connection, test=result)


@require_POST
@owner_required
def connection_revoke(request: ProjectRequest, pk: int) -> HttpResponse:
    connection = _found(request, pk)
    connections.revoke(connection, by=request.actor, now=timezone.now())
    messages.success(request, f"The key of {connection.name} is revoked. Labels wait until there is a new one")
    return redirect(_url(request, connection))


@require_POST
@owner_required
def connection_delete(request: ProjectRequest, pk: int) -> HttpResponse:
    """`stops`: the names of what the page said would stop."""
    connection = _found(request, pk)
    knows_all = set(connections.names_of_users(connection)) <= set(request.POST.getlist("stops"))
    try:
        connections.delete(connection, stops_users=knows_all, by=request.actor, now=timezone.now())
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect(_url(request, connection))
    messages.success(request, f"{connection.name} is deleted")
    return redirect("llms:connection-list", request.project.slug)


def _create(request: ProjectRequest, form: ConnectionForm) -> ModelConnection | None:
    if not form.is_valid():
        return None
    try:
        return connections.create(request.project, form.settings, form.secrets, by=request.actor, now=timezone.now())
    except ValidationError as error:
        form.report(error)
        return None


def _edit(request: ProjectRequest, form: ConnectionForm, connection: ModelConnection) -> bool:
    if not form.is_valid():
        return False
    try:
        cleared = connections.edit(connection, form.settings, form.secrets, by=request.actor, now=timezone.now())
    except ValidationError as error:
        form.report(error)
        return False
    if cleared:
        text = f"{connection.name} is saved. Its key and headers were deleted, because the address goes elsewhere now"
        messages.warning(request, text)
    else:
        messages.success(request, f"{connection.name} is saved")
    return True


def _saved(request: ProjectRequest, connection: ModelConnection) -> HttpResponse:
    # The page makes the call, so that reloading it saves nothing twice.
    query = {"test": "1"} if request.POST.get("then") == "test" else {}
    if came_from := _came_from(request):
        query["next"] = came_from
    return redirect(f"{_url(request, connection)}?{urlencode(query)}" if query else _url(request, connection))


def _came_from(request: ProjectRequest) -> str:
    """The page that led here, which somebody left with a form half filled in."""
    return own_page(request, request.GET.get("next", ""))


def _form(
    request: ProjectRequest, form: ConnectionForm, *, connection: ModelConnection | None = None, **extra: Any
) -> HttpResponse:
    context = {
        "tab": TAB,
        "form": form,
        "connection": connection,
        "users": connections.users([connection])[connection.pk] if connection else [],
        "tests_at_once": request.GET.get("test") == "1",
        "came_from": _came_from(request),
        "presets": PRESETS.items(),
    }
    status = 422 if form.is_bound else 200
    return render(request, "llms/connection.html", {**context, **extra}, status=status)


def _found(request: ProjectRequest, pk: int) -> ModelConnection:
    return get_object_or_404(request.project.model_connections.undeleted(), pk=pk)


def _url(request: ProjectRequest, connection: ModelConnection) -> str:
    return reverse("llms:connection-edit", args=[request.project.slug, connection.pk])
