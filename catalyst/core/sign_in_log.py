"""Sign-ins in the audit log (docs/reference/audit.md)."""

from datetime import datetime
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from catalyst.core import sign_ins
from catalyst.core.actor import STRANGER, Actor
from catalyst.core.audit import record
from catalyst.core.models import SIGNED_IN, SIGNED_OUT, User
from catalyst.core.token_buckets import Limit, database_buckets
from catalyst.ip_ranges import network_of

# By page.
METHODS = {
    "core:login": "by password",
    "core:login-link": "by a login link",
    "core:invitation": "with an invitation",
    "admin:login": "by password in the administration",
}
UNKNOWN_NAME = "an unknown name"
# Strangers cause these entries, so they are limited: for each name at a network, and all together.
FAILURES_OF_NAME = Limit("failed sign-in", 1, 1 / 60)
ALL_FAILURES = Limit("failed sign-ins", 200, 1 / 30)


@receiver(user_logged_in)
def record_sign_in(request: HttpRequest, user: User, **_: Any) -> None:
    method = METHODS.get(request.resolver_match.view_name, "") if request.resolver_match else ""
    record(Actor(user), SIGNED_IN, user, detail=f"{method} {_place(request)}".strip())


@receiver(user_logged_out)
def record_sign_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is not None:
        record(Actor(user), SIGNED_OUT, user, detail=_place(request))


def record_failure(request: HttpRequest, name: str, action: str, now: datetime) -> None:
    """Record a try to sign in, up to once a minute for each name at a network. See ALL_FAILURES, too.

    A name that no account has is not stored, because people type passwords into the wrong field.
    """
    user = User.objects.filter(username=name).first()
    whose = f"{action}\n{name if user else ''}\n{network_of(sign_ins.address(request))}"
    if database_buckets.take(FAILURES_OF_NAME, whose, now) and database_buckets.take(ALL_FAILURES, "", now):
        record(STRANGER, action, user or User(username=UNKNOWN_NAME), detail=_place(request))


def _place(request: HttpRequest) -> str:
    browser = sign_ins.browser(request.headers.get("User-Agent", ""))
    return f"from {sign_ins.address(request)[:45] or 'an unknown address'}, {browser}"
