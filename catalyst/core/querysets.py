"""Queries over projects, their people and keys, and who is signed in."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Exists, OuterRef, Q, Sum

if TYPE_CHECKING:
    from catalyst.core.models import ApiKey, AuditEntry, Invitation, KeyHour, Membership, SignIn, User

LAST_USED_RESOLUTION = timedelta(minutes=1)


class MembershipQuerySet(models.QuerySet["Membership"]):
    """Memberships."""

    def owners(self) -> "MembershipQuerySet":
        """Of people who can still sign in."""
        return self.filter(role="owner", user__is_active=True)

    def last_of(self, users: "Iterable[User]") -> "MembershipQuerySet":
        """The ownerships of these people without which a project would have no owner who can sign in."""
        owners = self.owners()
        others = owners.filter(project=OuterRef("project")).exclude(user__in=users)
        return owners.filter(~Exists(others), user__in=users).select_related("project", "user")

    def for_list(self) -> "MembershipQuerySet":
        """Owners first, then by name."""
        rank = models.Case(models.When(role="owner", then=0), models.When(role="member", then=1), default=2)
        return self.select_related("user").order_by(rank, "user__username")


class InvitationQuerySet(models.QuerySet["Invitation"]):
    """Invitations."""

    def open(self, now: datetime) -> "InvitationQuerySet":
        """Those that still let somebody in."""
        return self.filter(accepted_at=None, revoked_at=None, expires_at__gt=now)

    def for_list(self) -> "InvitationQuerySet":
        """Newest first, with who made them."""
        return self.select_related("created_by").order_by("-pk")


class AuditEntryQuerySet(models.QuerySet["AuditEntry"]):
    """Audit entries."""

    def newest(self, before: int | None = None) -> "AuditEntryQuerySet":
        """Newest first, from below an id."""
        return (self.filter(pk__lt=before) if before else self).order_by("-pk")


class SignInQuerySet(models.QuerySet["SignIn"]):
    """Browsers that are signed in."""

    def for_list(self, now: datetime) -> "SignInQuerySet":
        """Those whose session still lasts, the one seen last first."""
        return self.filter(session__expire_date__gt=now).order_by("-seen_at")


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """API keys."""

    def find(self, key: str) -> "ApiKey | None":
        """The live key with this text, with its project; None when unknown or revoked."""
        digest = self.model.digest_of(key)
        return self.filter(digest=digest, revoked_at=None).select_related("project").first()

    def for_list(self) -> "ApiKeyQuerySet":
        """Newest first, the revoked ones last, with who made them."""
        return self.select_related("created_by").order_by("-revoked_at", "-created_at")

    def revoke(self, now: datetime) -> int:
        """Revoke these keys where they still work; returns how many did."""
        return self.filter(revoked_at=None).update(revoked_at=now)

    def use(self, text: str, now: datetime) -> "ApiKey | None":
        """Find a key, and note that it is used: at most once a minute, so that this rarely writes."""
        key = self.find(text)
        stale = now - LAST_USED_RESOLUTION
        if key is not None and (key.last_used_at is None or key.last_used_at < stale):
            self.filter(Q(last_used_at=None) | Q(last_used_at__lt=stale), pk=key.pk).update(last_used_at=now)
        return key

    def limit(self, requests: int | None, spans: int | None) -> int:
        """Set how many of each these keys may send per second."""
        return self.update(requests_per_second=requests, spans_per_second=spans)


class KeyHourQuerySet(models.QuerySet["KeyHour"]):
    """Counts of API keys by hour."""

    def totals(self, since: datetime) -> Iterable[tuple[int | None, str, int]]:
        """Key, what and how often, from an hour on."""
        return self.filter(hour__gte=since).values_list("key_id", "what").annotate(total=Sum("count")).order_by()
