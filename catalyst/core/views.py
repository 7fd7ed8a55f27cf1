"""Signing in and out, the way to the first page, and a project's settings."""

from django.conf import settings
from django.contrib import auth, messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, resolve_url
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from catalyst.core import login_links
from catalyst.core.access import ProjectRequest, editor_required
from catalyst.core.forms import ApiKeyForm, LoginForm
from catalyst.core.models import Project
from catalyst.htmx import render, wants_partial


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    """Sign in with a password. A fragment asked for after the session ended sends the whole page here."""
    if wants_partial(request):
        return HttpResponseClientRedirect(resolve_url("core:login"))
    target = _next(request)
    if request.user.is_authenticated:
        return redirect(target)
    form = LoginForm(request, data=request.POST or None)
    if form.is_bound and form.is_valid():
        auth.login(request, form.get_user())
        return redirect(target)
    return render(request, "core/login.html", {"form": form, "next": target}, status=422 if form.is_bound else 200)


@login_not_required
@never_cache
@require_safe
def login_link(request: HttpRequest, token: str) -> HttpResponse:
    """Sign in by a link that works once. Someone who is signed in already is let through either way."""
    user = login_links.redeem(token, timezone.now())
    if user is not None:
        auth.login(request, user)
    if request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    return render(request, "core/login_link_used.html", status=410)


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """Sign out."""
    auth.logout(request)
    return redirect(settings.LOGOUT_REDIRECT_URL)


@require_safe
def home(request: ProjectRequest) -> HttpResponse:
    """The traces of one's first project; a page that says what to do when there is none."""
    project = Project.objects.for_user(request.user).first()
    return redirect(project) if project else render(request, "core/no_projects.html")


@require_safe
def project_settings(request: ProjectRequest) -> HttpResponse:
    """The project's API keys."""
    return _keys(request, ApiKeyForm(auto_id="key_%s"))


@require_POST
@editor_required
def key_create(request: ProjectRequest) -> HttpResponse:
    """Make a key and show it, this once: the answer to this request is the only place where it can be read."""
    form = ApiKeyForm(request.POST, auto_id="key_%s")
    if not form.is_valid():
        return _keys(request, form, status=422)
    _, key = request.project.api_keys.model.issue(project=request.project, created_by=request.user, **form.cleaned_data)
    return _keys(request, ApiKeyForm(auto_id="key_%s"), key)


@require_POST
@editor_required
def key_revoke(request: ProjectRequest, pk: int) -> HttpResponse:
    """Make a key useless, at once and for good."""
    key = get_object_or_404(request.project.api_keys, pk=pk)
    request.project.api_keys.filter(pk=pk).revoke(timezone.now())
    if wants_partial(request):
        return _keys(request, ApiKeyForm(auto_id="key_%s"))
    messages.success(request, f"Key {key.name} is revoked")
    return redirect("core:settings", request.project.slug)


def _keys(request: ProjectRequest, form: ApiKeyForm, new_key: str = "", status: int = 200) -> HttpResponse:
    context = {
        "form": form,
        "keys": request.project.api_keys.for_list(),
        "new_key": new_key,
    }
    return render(request, "core/settings.html", context, partial="api-keys", status=status)


def _next(request: HttpRequest) -> str:
    target = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if safe else resolve_url(settings.LOGIN_REDIRECT_URL)
