"""People, projects, memberships, API keys and the audit log."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.models import Session
from django.db import models
from django.db.models import Exists, OuterRef, Q, Sum
from django.urls import reverse
from django.utils.functional import cached_property

from catalyst.core.encrypted_fields import EncryptedTextField

LAST_USED_RESOLUTION = timedelta(minutes=1)
MAX_ORIGINS = 20
MAX_ORIGIN_CHARACTERS = 200

SIGNED_IN, SIGNED_OUT = "signed in", "signed out"
FAILED_TO_SIGN_IN, KEPT_FROM_SIGNING_IN = "failed to sign in", "was kept from signing in"
# Actions of audit entries that hold addresses of people. Strangers cause some of them.
SIGN_IN_ACTIONS = (SIGNED_IN, SIGNED_OUT, FAILED_TO_SIGN_IN, KEPT_FROM_SIGNING_IN)


def digest_of(token: str) -> str:
    # Tokens have 192 random bits, so a plain hash is enough.
    return hashlib.sha256(token.encode()).hexdigest()


class User(AbstractUser):
    @cached_property
    def own_memberships(self) -> "list[Membership]":
        """The memberships with their projects, by name. One query a request."""
        return list(self.memberships.select_related("project").order_by("project__name"))

    @property
    def may_create_projects(self) -> bool:
        # Guests in other people's projects may not.
        roles = {membership.role for membership in self.own_memberships}
        return not roles or Membership.Role.OWNER in roles or self.has_perm("core.add_project")


class Project(models.Model):
    """The owner of traces, signals, labels and keys."""

    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=60, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    retention_days = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Days that its traces are kept, where fewer than the instance keeps."
    )
    members = models.ManyToManyField(User, through="core.Membership", related_name="projects")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("traces:trace-list", args=[self.slug])

    @classmethod
    def lock_names(cls, pk: int) -> None:
        """Keep two at once from both finding a name of the project free, until the transaction ends."""
        cls.objects.select_for_update(no_key=True).get(pk=pk)

    @property
    def kept_days(self) -> int:
        """Days that spans, traces and sessions are kept."""
        return min(self.retention_days or settings.RETENTION_DAYS, settings.RETENTION_DAYS)


class UserHashKey(models.Model):
    """The key of a project's hashes of user ids (`catalyst.core.user_hashes`)."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="+")
    key = EncryptedTextField(context="core.userhashkey.key")

    def __str__(self) -> str:
        return f"Key {self.pk}"


class AuthoredModel(models.Model):
    """A row that records its creator. The name outlives the person and the key."""

    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_by_key = models.ForeignKey(
        "core.ApiKey", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    created_by_name = models.CharField(max_length=150, blank=True, editable=False, help_text="Empty: not known.")

    class Meta:
        abstract = True

    def copy_from(self, other: Self) -> None:
        """Take all columns of a row that was just written, without another query."""
        for model_field in self._meta.concrete_fields:
            setattr(self, model_field.attname, getattr(other, model_field.attname))


class MembershipQuerySet(models.QuerySet["Membership"]):
    def owners(self) -> "MembershipQuerySet":
        # Only those who can sign in.
        return self.filter(role="owner", user__is_active=True)

    def last_of(self, users: "Iterable[User]") -> "MembershipQuerySet":
        """Return the memberships of these users without which a project would have no active owner."""
        owners = self.owners()
        others = owners.filter(project=OuterRef("project")).exclude(user__in=users)
        return owners.filter(~Exists(others), user__in=users).select_related("project", "user")

    def for_list(self) -> "MembershipQuerySet":
        rank = models.Case(models.When(role="owner", then=0), models.When(role="member", then=1), default=2)
        return self.select_related("user").order_by(rank, "user__username")


class Membership(models.Model):
    class Role(models.TextChoices):
        OWNER = "owner", "Owner"
        MEMBER = "member", "Member"
        VIEWER = "viewer", "Viewer"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.MEMBER)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "user"], name="core_membership_once_per_project")]

    def __str__(self) -> str:
        return f"{self.user} in {self.project} ({self.role})"

    @property
    def can_edit(self) -> bool:
        return self.role != self.Role.VIEWER

    @property
    def is_owner(self) -> bool:
        return self.role == self.Role.OWNER


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self, now: datetime) -> "InvitationQuerySet":
        return self.filter(accepted_at=None, revoked_at=None, expires_at__gt=now)

    def for_list(self) -> "InvitationQuerySet":
        return self.order_by("-pk")


class Invitation(AuthoredModel):
    """A link that works once. Only the SHA-256 of its token is stored."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=10, choices=Membership.Role)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    accepted_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    objects = InvitationQuerySet.as_manager()

    def __str__(self) -> str:
        return f"as {self.get_role_display().lower()}"

    @property
    def audit_name(self) -> str:
        """Tells it from other invitations to the role."""
        return f"{self}, {self.created_at:%Y-%m-%d %H:%M:%S} UTC"


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def find(self, key: str) -> "ApiKey | None":
        """Return the key with its project, even if expired. Returns None if unknown or revoked."""
        digest = self.model.digest_of(key)
        return self.filter(digest=digest, revoked_at=None).select_related("project").first()

    def for_list(self) -> "ApiKeyQuerySet":
        return self.order_by("-revoked_at", "-created_at")

    def revoke(self, now: datetime) -> int:
        """Return how many keys this call revoked."""
        return self.filter(revoked_at=None).update(revoked_at=now)

    def use(self, text: str, now: datetime) -> "ApiKey | None":
        """Find a key and record its use, up to once a minute."""
        key = self.find(text)
        if key is None or key.has_expired(now):
            return key
        stale = now - LAST_USED_RESOLUTION
        if key.last_used_at is None or key.last_used_at < stale:
            self.filter(Q(last_used_at=None) | Q(last_used_at__lt=stale), pk=key.pk).update(last_used_at=now)
        return key

    def origins(self, now: datetime) -> frozenset[str]:
        """Return the origins of all keys that work."""
        live = self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None).exclude(origins=[])
        return frozenset(origin for origins in live.values_list("origins", flat=True) for origin in origins)

    def limit(self, requests: int | None, spans: int | None) -> int:
        return self.update(requests_per_second=requests, spans_per_second=spans)


class ApiKey(AuthoredModel):
    """A key for machines. Only its SHA-256 is stored."""

    class Scope(models.TextChoices):
        INGEST = "ingest", "Ingest: post traces"
        READ = "read", "Read: query traces, signals and labels"
        WRITE = "write", "Write: change and run signals, merge agents"

    PREFIX = "cat_"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    hint = models.CharField(max_length=16, editable=False, help_text="The first characters, to recognise it by.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope))
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    requests_per_second = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: the instance's limit.")
    spans_per_second = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: the instance's limit.")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    revoked_at = models.DateTimeField(null=True, blank=True)
    origins = ArrayField(
        models.CharField(max_length=MAX_ORIGIN_CHARACTERS),
        default=list,
        blank=True,
        size=MAX_ORIGINS,
        help_text="Web pages that may send with this key. Empty: none.",
    )

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    @property
    def may_have_origins(self) -> bool:
        return self.scopes == [self.Scope.INGEST]

    def has_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    @staticmethod
    def digest_of(key: str) -> str:
        return digest_of(key)

    @classmethod
    def issue(cls, *, key: str = "", **fields: Any) -> tuple["ApiKey", str]:
        """Return the row and the key, which is not stored."""
        key = key or cls.PREFIX + secrets.token_urlsafe(24)
        return cls.objects.create(hint=key[:8], digest=digest_of(key), **fields), key


class KeyHourQuerySet(models.QuerySet["KeyHour"]):
    def totals(self, since: datetime) -> Iterable[tuple[int | None, str, int]]:
        """Return key id, kind of event and count since an hour."""
        return self.filter(hour__gte=since).values_list("key_id", "what").annotate(total=Sum("count")).order_by()


class KeyHour(models.Model):
    """Events of one API key in one hour; see `catalyst.core.key_use`.

    `what` is the outcome of a span (new, replaced, duplicate, late, cut, other, bad_id, …) or request (accepted,
    refused_429, …).
    """

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, null=True, related_name="+", db_index=False)
    hour = models.DateTimeField()
    what = models.CharField(max_length=20)
    count = models.BigIntegerField()

    objects = KeyHourQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "hour", "what"], name="core_keyhour_key", nulls_distinct=False)
        ]
        indexes = [models.Index(fields=["hour"], name="core_keyhour_recent")]

    def __str__(self) -> str:
        return f"{self.key_id} {self.hour:%Y-%m-%d %H} {self.what}"


class AuditEntryQuerySet(models.QuerySet["AuditEntry"]):
    def newest(self, before: int | None = None) -> "AuditEntryQuerySet":
        """Return entries with an id below `before`, newest first."""
        return (self.filter(pk__lt=before) if before else self).order_by("-pk")

    def of_account(self, user: User) -> "AuditEntryQuerySet":
        """Return what was done to an account, and its sign-ins."""
        return self.filter(project=None, kind="user", target_id=user.pk)

    def sign_ins(self) -> "AuditEntryQuerySet":
        return self.filter(action__in=SIGN_IN_ACTIONS)


class AuditEntry(models.Model):
    # Names are text, so that an entry outlives its target. Entries on accounts have no project.
    project = models.ForeignKey(Project, on_delete=models.SET_NULL, null=True, related_name="audit_entries")
    actor = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    api_key = models.ForeignKey(ApiKey, on_delete=models.SET_NULL, null=True, related_name="+")
    actor_name = models.CharField(max_length=150)
    action = models.CharField(max_length=40)
    kind = models.CharField(max_length=40)
    target_id = models.BigIntegerField(null=True)
    target_name = models.CharField(max_length=300)
    detail = models.CharField(max_length=300)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["project", "-id"], name="core_audit_of_project"),
            models.Index(fields=["target_id", "-id"], name="core_audit_of_account", condition=Q(project=None)),
            models.Index(fields=["created_at"], name="core_audit_sign_ins", condition=Q(action__in=SIGN_IN_ACTIONS)),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.kind} {self.target_name}"


class SignInQuerySet(models.QuerySet["SignIn"]):
    def for_list(self, now: datetime) -> "SignInQuerySet":
        # Without expired sessions.
        return self.filter(session__expire_date__gt=now).order_by("-seen_at")


class SignIn(models.Model):
    """The browser of a session. The database deletes it with the session."""

    session = models.OneToOneField(
        Session,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="sign_in",
        db_constraint=False,  # a page may be on its way while another browser ends its session
    )
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_ins")
    browser = models.CharField(max_length=300)
    address = models.CharField(max_length=45)
    created_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField()

    objects = SignInQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.user} in {self.browser}"


class Bucket(models.Model):
    """A row of `catalyst.core.token_buckets`."""

    key = models.CharField(max_length=80, primary_key=True)
    tokens = models.FloatField()
    filled_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.key
