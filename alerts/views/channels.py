"""Pages of channels, for owners."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from alerts import channel_settings, delivery, recipients
from alerts.channel_settings import Edited
from alerts.channels.kind import Kind, SendError
from alerts.channels.kinds import KINDS
from alerts.channels.mail import NO_SERVER, Mail
from alerts.forms.channels import ChannelForm
from alerts.models import Channel, Recipient, shows_excerpts
from catalyst import database, params
from catalyst.core.access import ProjectRequest, owner_required
from catalyst.htmx import render
from catalyst.pagination import newest_by_id

TAB = "channel-list"
RECENT = 5
PAGE = 50


@require_safe
@owner_required
def channel_list(request: ProjectRequest) -> HttpResponse:
    rows = list(request.project.channels.for_list().prefetch_related("recipients"))
    users = channel_settings.users(rows)
    listed = [
        {
            "channel": row,
            "kind": channel_settings.kind_of(row),
            "users": users[row.pk],
            "recipients": len(row.recipients.all()),
            "active": sum(each.is_active for each in row.recipients.all()),
        }
        for row in rows
    ]
    context = {"tab": TAB, "channels": listed, "kinds": KINDS.values(), "excerpts": shows_excerpts(request.project.pk)}
    return render(request, "alerts/channels.html", context)


@require_POST
@owner_required
def channel_excerpts(request: ProjectRequest) -> HttpResponse:
    """`shown`: whether messages quote labels."""
    shown = request.POST.get("shown") == "1"
    channel_settings.show_excerpts(request.project, shown=shown, by=request.actor)
    messages.success(request, "Messages quote labels" if shown else "Messages quote no labels")
    return redirect("alerts:channel-list", request.project.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@owner_required
def channel_create(request: ProjectRequest) -> HttpResponse:
    """`kind` names the kind. `then=test` also sends a test message."""
    kind = KINDS.get(request.GET.get("kind", ""), KINDS["slack"])
    form = ChannelForm(request.POST if request.method == "POST" else None, kind=kind)
    if form.is_bound and (channel := _create(request, form)):
        messages.success(request, f"{channel.name} is saved")
        return _saved(request, channel)
    return _form(request, form, kind=kind)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@owner_required
def channel_edit(request: ProjectRequest, pk: int) -> HttpResponse:
    channel = _found(request, pk)
    kind = channel_settings.kind_of(channel)
    form = ChannelForm(request.POST if request.method == "POST" else None, kind=kind, channel=channel)
    if form.is_bound and (edited := _edit(request, form, channel)):
        if edited.cleared:
            names = " and ".join(edited.cleared)
            text = f"{channel.name} is saved. {names}: deleted, because the address goes elsewhere now"
            messages.warning(request, text)
        else:
            messages.success(request, f"{channel.name} is saved")
        return _saved(request, channel)
    return _form(request, form, kind=kind, channel=_found(request, pk))


@require_POST
@owner_required
def channel_test(request: ProjectRequest, pk: int) -> HttpResponse:
    """Send a real message."""
    channel = _found(request, pk)
    result = delivery.test(channel, timezone.now())
    if request.htmx:
        return render(request, "alerts/parts/channel_test.html", {"test": result})
    kind = channel_settings.kind_of(channel)
    return _form(request, ChannelForm(kind=kind, channel=channel), kind=kind, channel=channel, test=result)


@require_POST
@owner_required
def channel_enable(request: ProjectRequest, pk: int) -> HttpResponse:
    channel = _found(request, pk)
    try:
        channel_settings.enable(channel, by=request.actor, now=timezone.now())
        messages.success(request, f"{channel.name} is enabled. Messages that were dropped meanwhile are not sent")
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect(_url(request, channel))


@require_POST
@owner_required
def channel_disable(request: ProjectRequest, pk: int) -> HttpResponse:
    channel = _found(request, pk)
    channel_settings.disable(channel, by=request.actor, now=timezone.now())
    messages.success(request, f"{channel.name} is disabled. Nothing is sent")
    return redirect(_url(request, channel))


@require_POST
@owner_required
def channel_delete(request: ProjectRequest, pk: int) -> HttpResponse:
    """`stops`: the names of what the page said sends to it."""
    channel = _found(request, pk)
    knows_all = set(channel_settings.names_of_users(channel)) <= set(request.POST.getlist("stops"))
    try:
        channel_settings.delete(channel, stops_users=knows_all, by=request.actor, now=timezone.now())
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect(_url(request, channel))
    messages.success(request, f"{channel.name} is deleted")
    return redirect("alerts:channel-list", request.project.slug)


@require_POST
@owner_required
def recipient_ask(request: ProjectRequest, pk: int, recipient: int) -> HttpResponse:
    """Mail another link."""
    channel = _found(request, pk)
    row = get_object_or_404(Recipient.objects.select_related("channel"), channel=channel, pk=recipient)
    try:
        recipients.ask_again(row, by=request.actor, now=timezone.now())
        messages.success(request, f"A link to {row.address} is on its way")
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect(_url(request, channel))


@require_POST
@sensitive_post_parameters()
@owner_required
def channel_choices(request: ProjectRequest) -> HttpResponse:
    """Offer the places of a service for what was typed so far. `channel_id`: one with stored secrets."""
    pk = params.parse_number(request.POST.get("channel_id", ""))
    channel = request.project.channels.undeleted().filter(pk=pk).first() if pk else None
    kind = channel_settings.kind_of(channel) if channel else KINDS.get(request.GET.get("kind", ""))
    if kind is None or not kind.choice_field:
        raise Http404("No such kind")
    form = ChannelForm(request.POST, kind=kind, channel=channel)
    form.full_clean()
    choices, error = _choices(form, kind, channel)
    context = {"choices": choices, "choices_error": error}
    status = 422 if error else 200
    if request.htmx:
        chosen = {"chosen": request.POST.get(kind.choice_field, ""), "field": form[kind.choice_field]}
        # htmx shows answers that succeed.
        return render(request, "alerts/parts/channel_choice.html", context | chosen)
    return _form(request, form, kind=kind, channel=channel, status=status, **context)


@require_safe
@owner_required
def delivery_list(request: ProjectRequest, pk: int) -> HttpResponse:
    channel = _found(request, pk)
    after = params.parse_number(request.GET.get("after", ""))
    rows = newest_by_id(channel.deliveries.all(), after, PAGE)
    more = rows[PAGE - 1].pk if len(rows) > PAGE else None
    context = {"tab": TAB, "channel": channel, "deliveries": rows[:PAGE], "more": more}
    return render(request, "alerts/deliveries.html", context)


def _create(request: ProjectRequest, form: ChannelForm) -> Channel | None:
    if not form.is_valid():
        return None
    now = timezone.now()
    try:
        return channel_settings.create(request.project, form.kind.key, form.given, by=request.actor, now=now)[0]
    except ValidationError as error:
        form.report(error)
        return None


def _edit(request: ProjectRequest, form: ChannelForm, channel: Channel) -> Edited | None:
    if not form.is_valid():
        return None
    try:
        return channel_settings.edit(channel, form.given, by=request.actor, now=timezone.now())
    except ValidationError as error:
        form.report(error)
        return None


def _choices(form: ChannelForm, kind: Kind, channel: Channel | None) -> tuple[Any, str]:
    typed, secrets = form.merged()
    stored = form.stored
    # A stored secret goes where it went, whatever address was typed.
    if channel and kind.goes_to(channel.settings, stored) == kind.goes_to(typed, {**stored, **secrets}):
        secrets = {**stored, **secrets}
    missing = [field.label.lower() for field in kind.fields if field.is_secret and not secrets.get(field.name)]
    if missing:
        return (), f"Enter the {missing[0]} first."
    database.release()
    try:
        return kind.choices(typed, secrets), ""
    except SendError as error:
        return (), str(error)


def _saved(request: ProjectRequest, channel: Channel) -> HttpResponse:
    # The page sends the message, so that reloading it saves nothing twice.
    query = "?test=1" if request.POST.get("then") == "test" else ""
    return redirect(f"{_url(request, channel)}{query}")


def _form(
    request: ProjectRequest,
    form: ChannelForm,
    *,
    kind: Kind,
    channel: Channel | None = None,
    status: int = 0,
    **extra: Any,
) -> HttpResponse:
    now = timezone.now()
    context: Mapping[str, Any] = {
        "tab": TAB,
        "form": form,
        "kind": kind,
        "kinds": KINDS.values(),
        "channel": channel,
        "save_path": _url(request, channel) if channel else _create_path(request, kind),
        "users": channel_settings.users([channel])[channel.pk] if channel else [],
        "recipients": [(each, each.state(now)) for each in channel.recipients.for_list()] if channel else [],
        "deliveries": channel.deliveries.order_by("-pk")[:RECENT] if channel else [],
        "no_server": NO_SERVER if kind.key == Mail.key and not settings.SENDS_MAIL else "",
        "tests_at_once": request.GET.get("test") == "1",
    }
    status = status or (422 if form.is_bound else 200)
    return render(request, "alerts/channel.html", {**context, **extra}, status=status)


def _found(request: ProjectRequest, pk: int) -> Channel:
    return get_object_or_404(request.project.channels.undeleted().select_related("project"), pk=pk)


def _url(request: ProjectRequest, channel: Channel) -> str:
    return reverse("alerts:channel-edit", args=[request.project.slug, channel.pk])


def _create_path(request: ProjectRequest, kind: Kind) -> str:
    return f"{reverse('alerts:channel-create', args=[request.project.slug])}?{urlencode({'kind': kind.key})}"
