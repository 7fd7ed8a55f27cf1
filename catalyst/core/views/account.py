"""Pages of one's account: profile, password, sessions, invitations, new projects."""

from typing import Any

from django.contrib import auth, messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from catalyst import htmx, registry
from catalyst.core import operations, sign_ins
from catalyst.core.access import SignedInRequest
from catalyst.core.forms import ProfileForm, ProjectForm, SignUpForm, password_form
from catalyst.core.models import AuditEntry, Invitation
from catalyst.htmx import render
from catalyst.registry import AccountPage

MAX_ENTRIES = 20


@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: SignedInRequest) -> HttpResponse:
    if request.method != "POST":
        return _profile(request)
    form = ProfileForm(request.POST, instance=request.user)
    if not form.is_valid():
        request.user.refresh_from_db()
        return _profile(request, status=422, partial="about", form=form)
    operations.update_profile(request.user, **form.cleaned_data)
    messages.success(request, "Your profile is saved")
    return htmx.redirect(request, reverse("core:profile"))


@require_POST
@sensitive_post_parameters()
def password_change(request: SignedInRequest) -> HttpResponse:
    form = password_form(request.user, request.POST)
    if not form.is_valid():
        return _profile(request, status=422, partial="password", password_form=form)
    operations.set_password(request.user, password=form.cleaned_data["new_password1"])
    auth.update_session_auth_hash(request, request.user)
    sign_ins.sign_out_elsewhere(request.user, request.session.session_key)
    messages.success(request, "Your password is changed, and other browsers are signed out")
    return htmx.redirect(request, reverse("core:profile"))


@require_POST
def sign_out_elsewhere(request: SignedInRequest) -> HttpResponse:
    count = operations.sign_out_elsewhere(request.user, request.session.session_key)
    messages.success(request, f"{count} other session{'' if count == 1 else 's'} ended")
    return redirect("core:profile")


@require_http_methods(["GET", "HEAD", "POST"])
def project_create(request: SignedInRequest) -> HttpResponse:
    if not request.user.may_create_projects:
        raise PermissionDenied("Guests of other people's projects can't make any. Ask an owner or an operator.")
    form = ProjectForm(request.POST if request.method == "POST" else None)
    try:
        if form.is_valid():
            return redirect(operations.create_project(name=form.cleaned_data["name"], owner=request.user))
    except ValidationError as error:
        form.add_error(None, error)
    return render(request, "core/new_project.html", {"form": form}, status=422 if form.is_bound else 200)


@login_not_required
@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Join a project with the current account or a new one."""
    invited = operations.find_invitation(token, timezone.now())
    if invited is None:
        return render(request, "core/invitation_void.html", status=410)
    if request.user.is_authenticated and invited.project.memberships.filter(user=request.user).exists():
        return redirect(invited.project)
    form = SignUpForm(request.POST if request.method == "POST" else None)
    try:
        if request.method == "POST" and _join(request, invited, form):
            return redirect(invited.project)
    except ValidationError:
        return render(request, "core/invitation_void.html", status=410)
    context = {"invitation": invited, "form": form}
    return render(request, "core/invitation.html", context, status=422 if form.is_bound else 200)


def _join(request: HttpRequest, invited: Invitation, form: SignUpForm) -> bool:
    # Returns False, with errors in the form, if a new account can't be created.
    now = timezone.now()
    if request.user.is_authenticated:
        operations.accept_invitation(invited, user=request.user, now=now)
        return True
    if not form.is_valid():
        return False
    user = operations.sign_up(
        invited, username=form.cleaned_data["username"], password=form.cleaned_data["password1"], now=now
    )
    auth.login(request, user)
    return True


def _profile(request: SignedInRequest, status: int = 200, partial: str = "", **forms: Any) -> HttpResponse:
    context = {
        "form": ProfileForm(instance=request.user),
        "password_form": password_form(request.user),
        "sign_ins": request.user.sign_ins.for_list(timezone.now()),
        "entries": AuditEntry.objects.of_account(request.user).newest()[:MAX_ENTRIES],
        "account_pages": registry.entries(AccountPage),
    }
    return render(request, "core/profile.html", {**context, **forms}, partial=partial, status=status)
