"""Signed links that sign a person in once."""

from datetime import datetime, timedelta

from django.core import signing
from django.db.models import QuerySet
from django.urls import reverse

from catalyst.core.models import User

LIFETIME = timedelta(hours=24)
_SALT = "catalyst.core.login_links"


def make(user: User, now: datetime) -> str:
    """Return a token. It expires after LIFETIME, or once the user signs in by any means."""
    last = user.last_login and user.last_login.isoformat()
    return signing.dumps({"user": user.pk, "last": last, "made": now.isoformat()}, salt=_SALT)


def path(user: User, now: datetime) -> str:
    return reverse("core:login-link", args=[make(user, now)])


def is_valid(token: str, now: datetime) -> bool:
    """Return whether `redeem` would accept the token."""
    return _holder(token, now).exists()


def redeem(token: str, now: datetime) -> User | None:
    """Return the user and void the token. Returns None for an invalid, expired or used token."""
    user = _holder(token, now).first()
    return user if user is not None and _holder(token, now).update(last_login=now) else None


def _holder(token: str, now: datetime) -> QuerySet[User]:
    # The user that the token signs in, if it still does.
    try:
        claim = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        return User.objects.none()
    created_at = datetime.fromisoformat(claim["made"])
    if not created_at <= now <= created_at + LIFETIME:
        return User.objects.none()
    last = claim["last"] and datetime.fromisoformat(claim["last"])
    return User.objects.filter(pk=claim["user"], is_active=True, last_login=last)
