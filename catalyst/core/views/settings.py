"""Pages of project settings."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, resolve_url
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from catalyst.core import operations
from catalyst.core.access import ProjectRequest, editor_required, owner_required
from catalyst.core.forms import ApiKeyForm, KeyLimitForm, KeyOriginsForm, ProjectForm, RetentionForm, RoleForm
from catalyst.core.models import Membership
from catalyst.env import env
from catalyst.htmx import render, wants_partial

AUDIT_PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
def project_settings(request: ProjectRequest) -> HttpResponse:
    return _rename(request) if request.method == "POST" else _general(request)


@owner_required
def _rename(request: ProjectRequest) -> HttpResponse:
    form = ProjectForm(request.POST)
    try:
        if form.is_valid():
            operations.rename_project(request.project, name=form.cleaned_data["name"], by=request.actor)
    except ValidationError as error:
        form.add_error(None, error)
    if form.errors:
        return _general(request, name=form, status=422)
    return _redirect_with_message(request, "core:settings", f"The project is called {request.project.name}")


@require_POST
@owner_required
def retention(request: ProjectRequest) -> HttpResponse:
    form = RetentionForm(request.POST)
    if not form.is_valid():
        return _general(request, retention=form, status=422)
    days = form.cleaned_data["days"]
    if days and days < request.project.kept_days and request.POST.get("sure") != str(days):
        return _general(request, retention=form, deletes_after=days)
    operations.set_retention(request.project, days=days, by=request.actor)
    return _redirect_with_message(request, "core:settings", f"Traces are kept for {request.project.kept_days} days")


@require_http_methods(["GET", "HEAD", "POST"])
def member_list(request: ProjectRequest) -> HttpResponse:
    return _invite(request) if request.method == "POST" else _members(request, RoleForm())


@owner_required
def _invite(request: ProjectRequest) -> HttpResponse:
    # The token is not stored, so only this response shows the link.
    form = RoleForm(request.POST)
    if not form.is_valid():
        return _members(request, form, status=422)
    invitation, token = operations.invite(
        request.project, role=form.cleaned_data["role"], by=request.actor, now=timezone.now()
    )
    link = request.build_absolute_uri(reverse("core:invitation", args=[token]))
    return _members(request, RoleForm(), invitation=invitation, link=link)


@require_POST
@owner_required
def member_role(request: ProjectRequest, pk: int) -> HttpResponse:
    membership = get_object_or_404(request.project.memberships.for_list(), pk=pk)
    role = request.POST.get("role", "")
    try:
        operations.change_role(membership, role=role, by=request.actor)
    except ValidationError as error:
        return _redirect_with_message(request, "core:member-list", " ".join(error.messages), messages.ERROR)
    return _redirect_with_message(
        request, "core:member-list", f"{membership.user} is {Membership.Role(role).label.lower()} now"
    )


@require_POST
@owner_required
def member_remove(request: ProjectRequest, pk: int) -> HttpResponse:
    membership = get_object_or_404(request.project.memberships.for_list(), pk=pk)
    try:
        operations.remove_member(membership, by=request.actor)
    except ValidationError as error:
        return _redirect_with_message(request, "core:member-list", " ".join(error.messages), messages.ERROR)
    if membership.user == request.user:
        return HttpResponseClientRedirect(resolve_url("core:home")) if request.htmx else redirect("core:home")
    return _redirect_with_message(request, "core:member-list", f"{membership.user} is no longer a member")


@require_POST
@owner_required
def invitation_revoke(request: ProjectRequest, pk: int) -> HttpResponse:
    invitation = get_object_or_404(request.project.invitations, pk=pk)
    operations.revoke_invitation(invitation, by=request.actor, now=timezone.now())
    return _redirect_with_message(request, "core:member-list", "The invitation is revoked")


@require_http_methods(["GET", "HEAD", "POST"])
def key_list(request: ProjectRequest) -> HttpResponse:
    return _create_key(request) if request.method == "POST" else _keys(request, ApiKeyForm(auto_id="key_%s"))


@editor_required
def _create_key(request: ProjectRequest) -> HttpResponse:
    # Only the hash is stored, so only this response shows the key.
    if "first" in request.POST:
        row, key, replaced = operations.create_first_key(request.project, by=request.actor)
        return _keys(request, ApiKeyForm(auto_id="key_%s"), key, saved_as=row.name, replaced=replaced)
    form = ApiKeyForm(request.POST, auto_id="key_%s")
    if not form.is_valid():
        return _keys(request, form, status=422)
    days = form.cleaned_data.pop("days")
    expires_at = timezone.now() + timedelta(days=days) if days else None
    _, key = operations.create_key(request.project, **form.cleaned_data, expires_at=expires_at, by=request.actor)
    return _keys(request, ApiKeyForm(auto_id="key_%s"), key)


@require_POST
@editor_required
def key_revoke(request: ProjectRequest, pk: int) -> HttpResponse:
    key = get_object_or_404(request.project.api_keys, pk=pk)
    operations.revoke_key(key, by=request.actor, now=timezone.now())
    if wants_partial(request):
        return _keys(request, ApiKeyForm(auto_id="key_%s"))
    return _redirect_with_message(request, "core:key-list", f"Key {key.name} is revoked")


@require_POST
@editor_required
def key_limit(request: ProjectRequest, pk: int) -> HttpResponse:
    key = get_object_or_404(request.project.api_keys, pk=pk)
    form = KeyLimitForm(request.POST)
    if not form.is_valid():
        return _redirect_with_message(
            request, "core:key-list", "A limit is a whole number from 1 to 1,000,000", messages.ERROR
        )
    limits = form.cleaned_data
    operations.limit_key(
        key, requests=limits["requests_per_second"], spans=limits["spans_per_second"], by=request.actor
    )
    return _redirect_with_message(request, "core:key-list", f"The limit of key {key.name} is set")


@require_POST
@editor_required
def key_origins(request: ProjectRequest, pk: int) -> HttpResponse:
    key = get_object_or_404(request.project.api_keys, pk=pk)
    form = KeyOriginsForm(request.POST)
    if not form.is_valid():
        return _redirect_with_message(
            request, "core:key-list", " ".join(map(str, form.errors["origins"])), messages.ERROR
        )
    try:
        operations.set_key_origins(key, origins=form.cleaned_data["origins"], by=request.actor)
    except ValidationError as error:
        return _redirect_with_message(request, "core:key-list", " ".join(error.messages), messages.ERROR)
    return _redirect_with_message(request, "core:key-list", f"The origins of key {key.name} are set")


@require_safe
@owner_required
def audit_list(request: ProjectRequest) -> HttpResponse:
    entries = list(request.project.audit_entries.newest(_before(request))[: AUDIT_PAGE + 1])
    more = entries[AUDIT_PAGE - 1].pk if len(entries) > AUDIT_PAGE else None
    return render(request, "core/audit.html", {"tab": "audit-list", "entries": entries[:AUDIT_PAGE], "more": more})


def _general(
    request: ProjectRequest,
    name: ProjectForm | None = None,
    retention: RetentionForm | None = None,
    status: int = 200,
    deletes_after: int | None = None,
) -> HttpResponse:
    # An invalid form is passed in to show its errors. `deletes_after`: days to confirm, because they are fewer.
    context = {
        "tab": "settings",
        "form": name or ProjectForm(initial={"name": request.project.name}),
        "retention": retention or RetentionForm(initial={"days": request.project.retention_days}),
        "max_days": settings.RETENTION_DAYS,
        "labels_days": env.keep_labels_days,
        "charts_days": max(env.keep_rollups_days, settings.RETENTION_DAYS),
        "deletes_after": deletes_after,
    }
    return render(request, "core/general.html", context, partial="keeping" if retention else "rename", status=status)


def _members(request: ProjectRequest, form: RoleForm, status: int = 200, **extra: Any) -> HttpResponse:
    context = {
        "tab": "member-list",
        "form": form,
        "members": [(membership, _role_form(membership)) for membership in request.project.memberships.for_list()],
        "invitations": request.project.invitations.open(timezone.now()).for_list(),
    }
    return render(request, "core/members.html", {**context, **extra}, partial="invitations", status=status)


def _role_form(membership: Membership) -> RoleForm:
    form = RoleForm(initial={"role": membership.role}, auto_id=False)
    form.fields["role"].widget.attrs["aria-label"] = f"Role of {membership.user}"
    return form


def _keys(
    request: ProjectRequest, form: ApiKeyForm, new_key: str = "", status: int = 200, **extra: Any
) -> HttpResponse:
    context = {
        "tab": "key-list",
        "form": form,
        "keys": request.project.api_keys.for_list(),
        "new_key": new_key,
        "now": timezone.now(),
        "instance": {"requests": settings.KEY_REQUESTS_PER_SECOND, "spans": settings.KEY_SPANS_PER_SECOND},
    }
    return render(request, "core/keys.html", {**context, **extra}, partial="api-keys", status=status)


def _redirect_with_message(
    request: ProjectRequest, page: str, text: str, level: int = messages.SUCCESS
) -> HttpResponse:
    messages.add_message(request, level, text)
    url = reverse(page, args=[request.project.slug])
    return HttpResponseClientRedirect(url) if wants_partial(request) else redirect(url)


def _before(request: HttpRequest) -> int | None:
    text = request.GET.get("before", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
