"""People, projects, who may do what in them, and the keys that machines use."""

import hashlib
import secrets
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.urls import reverse

from catalyst.core.querysets import ApiKeyQuerySet, ProjectQuerySet


class User(AbstractUser):
    """A person who signs in."""


class Project(models.Model):
    """A separate house: every trace, signal, label and key belongs to exactly one project."""

    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=60, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    members = models.ManyToManyField(User, through="core.Membership", related_name="projects")

    objects = ProjectQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("traces:trace-list", args=[self.slug])


class Membership(models.Model):
    """What one person may do in one project."""

    class Role(models.TextChoices):
        OWNER = "owner", "Owner"
        MEMBER = "member", "Member"
        VIEWER = "viewer", "Viewer"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.MEMBER)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "user"], name="core_membership_once_per_project")]

    def __str__(self) -> str:
        return f"{self.user} in {self.project} ({self.role})"

    @property
    def can_edit(self) -> bool:
        """Viewers look; owners and members change things."""
        return self.role != self.Role.VIEWER


class ApiKey(models.Model):
    """A key for machines. Only its SHA-256 is stored; the key itself is shown once, when it is made."""

    class Scope(models.TextChoices):
        INGEST = "ingest", "Ingest: post traces"
        READ = "read", "Read: query traces, signals and labels"
        WRITE = "write", "Write: change signals and alerts"

    PREFIX = "cat_"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    hint = models.CharField(max_length=16, editable=False, help_text="The first characters, to recognise it by.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope))
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    @staticmethod
    def digest_of(key: str) -> str:
        """The stored form of a key. A key has 192 random bits, so a plain hash is enough."""
        return hashlib.sha256(key.encode()).hexdigest()

    @classmethod
    def issue(cls, *, key: str = "", **fields: Any) -> tuple["ApiKey", str]:
        """Make a key; returns the row and the key, which can't be had again."""
        key = key or cls.PREFIX + secrets.token_urlsafe(24)
        return cls.objects.create(hint=key[:8], digest=cls.digest_of(key), **fields), key
