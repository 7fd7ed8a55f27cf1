"""The browsers in which a person is signed in."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpRequest, HttpResponse, parse_cookie
from django.utils import timezone
from django.utils.cache import patch_cache_control

from catalyst.core.models import SignIn, User

RESOLUTION = timedelta(minutes=1)
BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
SYSTEMS = (
    *(("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows")),
    *(("Mac OS X", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux")),
)

_RECORD = """
INSERT INTO core_signin (session_id, user_id, browser, address, created_at, seen_at)
SELECT %(session)s, %(user)s, %(browser)s, %(address)s, %(now)s, %(now)s
WHERE NOT EXISTS (
    SELECT FROM core_signin WHERE session_id = %(session)s AND user_id = %(user)s AND seen_at > %(stale)s)
ON CONFLICT (session_id) DO UPDATE SET user_id = excluded.user_id, browser = excluded.browser,
    address = excluded.address, seen_at = excluded.seen_at
"""


class _Request(HttpRequest):
    is_signed_in: bool


class SignInMiddleware:
    """Record that a session is in use, at most once a minute for each. Keep pages of people out of shared caches."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if getattr(request, "is_signed_in", False) and not response.has_header("Cache-Control"):
            # Not `no-store`: with it, Back would lose what was typed into a form.
            patch_cache_control(response, private=True, no_cache=True)
        return response

    def process_view(
        self, request: _Request, view: Callable[..., HttpResponse], _args: list[Any], _kwargs: dict[str, Any]
    ) -> None:
        # LoginRequiredMiddleware runs first.
        if getattr(view, "login_required", True) and request.user.is_authenticated:
            request.is_signed_in = True
            record(request, request.user, timezone.now())


def record(request: HttpRequest, user: User, now: datetime) -> None:
    # One statement, which writes only if the record is stale.
    if (key := request.session.session_key) is None:
        return
    values: dict[str, str | int | datetime] = {
        "session": key,
        "user": user.pk,
        "now": now,
        "stale": now - RESOLUTION,
        "browser": browser(request.headers.get("User-Agent", "")),
        "address": address(request)[:45],
    }
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, values)


def is_signed_in(scope: dict[str, Any]) -> bool:
    """True if the cookie of an ASGI request names a session of a user. Queries the database."""
    cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin1")
    key = parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME)
    return key is not None and SESSION_KEY in SessionStore(key)


def sign_out_elsewhere(user: User, session_key: str | None) -> int:
    """End the user's sessions except `session_key` and return how many."""
    _, deleted = Session.objects.filter(sign_in__user=user).exclude(pk=session_key).delete()
    return deleted.get("sessions.Session", 0)


def delete_expired(now: datetime) -> None:
    Session.objects.filter(expire_date__lt=now).delete()
    SignIn.objects.filter(seen_at__lt=now - timedelta(seconds=settings.SESSION_COOKIE_AGE)).delete()


def address(request: HttpRequest) -> str:
    # The web server has applied X-Forwarded-For from proxies on this machine.
    return str(request.META.get("REMOTE_ADDR") or "")


def browser(user_agent: str) -> str:
    """For example: Firefox on macOS."""
    name = next((name for token, name in BROWSERS if token in user_agent), "")
    system = next((system for token, system in SYSTEMS if token in user_agent), "")
    if name and system:
        return f"{name} on {system}"
    return name or system or "Unknown browser"
