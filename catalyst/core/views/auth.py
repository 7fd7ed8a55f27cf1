"""Pages of sign-in, and the home page."""

from typing import Any

from django.conf import settings
from django.contrib import auth, messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import PasswordResetConfirmView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, resolve_url
from django.urls import reverse_lazy
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from catalyst.core import login_links, sign_ins
from catalyst.core.access import COOKIE, YEAR, SignedInRequest, last_project
from catalyst.core.forms import ForgottenPasswordForm, LoginForm, NewPasswordForm, ProjectForm
from catalyst.core.models import User
from catalyst.core.navigation import ASK_PASSWORD
from catalyst.htmx import own_page, render, wants_partial

# In the browser: a password was asked for.
PASSWORD_COOKIE = f"{settings.SESSION_COOKIE_NAME}_password_asked"


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    # An htmx request after the session ended must replace the whole page.
    if wants_partial(request):
        return HttpResponseClientRedirect(resolve_url("core:login"))
    target = _next(request)
    if request.user.is_authenticated:
        return HttpResponseRedirect(target)
    form = LoginForm(request, data=request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        auth.login(request, form.get_user())
        return HttpResponseRedirect(target)
    status = 422 if form.is_bound else 200
    if form.is_limited:
        status = 429
    context = {"form": form, "next": target, "sends_mail": settings.SENDS_MAIL}
    return render(request, "core/login.html", context, status=status)


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def password_forgotten(request: HttpRequest) -> HttpResponse:
    """Mail a link to set a new password. The answer does not tell who has an account."""
    if not settings.SENDS_MAIL:
        return render(request, "core/password_forgotten.html", status=404)
    form = ForgottenPasswordForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        form.send_links(sign_ins.address(request), timezone.now())
        return render(request, "core/password_forgotten.html", {"asked": True})
    return render(request, "core/password_forgotten.html", {"form": form}, status=422 if form.is_bound else 200)


class NewPasswordView(PasswordResetConfirmView):
    """Set a new password with a mailed link. Django keeps the link out of the address, and so out of referrers."""

    form_class = NewPasswordForm
    template_name = "core/password_new.html"
    success_url = reverse_lazy("core:login")

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        messages.success(self.request, "Your password is set. Sign in with it")
        return response


password_new = NewPasswordView.as_view()


@login_not_required
@never_cache
def login_link(request: HttpRequest, token: str) -> HttpResponse:
    """Sign in by a link that works once. Signed-in people pass either way.

    Only a POST signs in, because chats and mail scanners open links. Other methods are not refused: a refusal would be
    logged with the link.
    """
    now = timezone.now()
    user = login_links.redeem(token, now) if request.method == "POST" else None
    if user is not None:
        auth.login(request, user)
        return _asked_for_password(request, user, redirect(settings.LOGIN_REDIRECT_URL))
    if request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    if request.method != "POST" and login_links.is_valid(token, now):
        return render(request, "core/login_link.html")
    return render(request, "core/login_link_used.html", status=410)


def _asked_for_password(request: HttpRequest, user: User, response: HttpResponse) -> HttpResponse:
    """Have the next page ask for a password once, of a person who can't sign in without another link."""
    if not user.has_usable_password() and PASSWORD_COOKIE not in request.COOKIES:
        request.session[ASK_PASSWORD] = True
        response.set_cookie(
            PASSWORD_COOKIE, "1", max_age=YEAR, httponly=True, samesite="Lax", secure=request.is_secure()
        )
    return response


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    auth.logout(request)
    response = redirect(settings.LOGOUT_REDIRECT_URL)
    response.delete_cookie(COOKIE)
    # Back must not show pages of who has left.
    response["Clear-Site-Data"] = '"cache"'
    return response


@require_safe
def home(request: SignedInRequest) -> HttpResponse:
    """Redirect to the last project, or offer to create the first."""
    project = last_project(request)
    if project:
        return redirect(project)
    return render(request, "core/no_projects.html", {"form": ProjectForm()})


def _next(request: HttpRequest) -> str:
    target = request.POST.get("next") or request.GET.get("next") or ""
    return own_page(request, target) or resolve_url(settings.LOGIN_REDIRECT_URL)
