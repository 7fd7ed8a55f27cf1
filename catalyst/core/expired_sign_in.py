"""Requests of people whose session ended: what they typed stays, and signing in leads back to their page."""

from collections.abc import Callable
from typing import Any, override

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import Resolver404, resolve
from django.views.csrf import csrf_failure

from catalyst.htmx import own_page, wants_partial

READS = ("GET", "HEAD")


class SignInRequiredMiddleware(LoginRequiredMiddleware):
    """Fragments get 401, and the page says so (`static/js/feedback.js`). Others are redirected to sign in.

    A page of a form leads back to that page: its address may only take POST.
    """

    @override
    def process_view(
        self, request: HttpRequest, view_func: Callable[..., Any], view_args: Any, view_kwargs: Any
    ) -> HttpResponse | None:
        needed = super().process_view(request, view_func, view_args, view_kwargs)
        return sign_in_first(request) if needed else None


def sign_in_first(request: HttpRequest) -> HttpResponse:
    if wants_partial(request):
        return HttpResponse(status=401)
    return redirect_to_login(request.get_full_path() if request.method in READS else _page_of_form(request))


def _page_of_form(request: HttpRequest) -> str:
    return own_page(request, request.headers.get("Referer", "")) or request.path


def forged_or_expired(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The response to a form without a valid token. Both cookies of a session end together."""
    is_expired = not request.user.is_authenticated and _is_page(request)
    return sign_in_first(request) if is_expired else csrf_failure(request, reason)


class FormAddressMiddleware:
    """Redirect who opens an address that only takes POST to the nearest page above it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code != 405 or request.method not in READS or not _is_page(request):
            return response
        return redirect(_page_above(request.path))


def _is_page(request: HttpRequest) -> bool:
    # Programs that send spans or ask for health get their 405.
    return bool(request.resolver_match and getattr(request.resolver_match.func, "login_required", True))


def _page_above(path: str) -> str:
    while path != "/":
        path = path.rstrip("/").rpartition("/")[0] + "/"
        try:
            resolve(path)
        except Resolver404:
            continue
        return path
    return path
