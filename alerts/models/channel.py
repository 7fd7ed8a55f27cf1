"""Where messages go."""

import json
from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q

from catalyst.core.encrypted_fields import EncryptedTextField
from catalyst.core.models import AuthoredModel, Project

MAX_NAME_CHARACTERS = 100
# How long a mailed link can confirm an address.
LINK_LIFETIME = timedelta(days=3)


class ChannelQuerySet(models.QuerySet["Channel"]):
    def undeleted(self) -> "ChannelQuerySet":
        return self.filter(deleted_at=None)

    def usable(self) -> "ChannelQuerySet":
        return self.filter(deleted_at=None, disabled_at=None)

    def for_list(self) -> "ChannelQuerySet":
        return self.undeleted().order_by("name", "pk")


class Channel(AuthoredModel):
    """One place that messages of a project can go to."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="channels", db_index=False)
    kind = models.CharField(max_length=20, help_text="The module of alerts/channels that delivers to it.")
    name = models.CharField(max_length=MAX_NAME_CHARACTERS)
    address = models.CharField(max_length=300, help_text="Where it leads, for people, without anything secret.")
    settings = models.JSONField(default=dict, blank=True, help_text="What its kind needs and is not secret.")
    secrets = EncryptedTextField(blank=True, context="alerts.channel.secrets", help_text="A JSON object.")
    judge_outages = models.BooleanField(
        default=False, help_text="Whether it is also told when a judge does not answer."
    )
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    last_sent_at = models.DateTimeField(null=True, blank=True)
    last_failed_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True, help_text="Of the last failure, for people.")
    disabled_at = models.DateTimeField(null=True, blank=True, help_text="Since when nothing is sent.")
    disabled_reason = models.CharField(max_length=500, blank=True, help_text="Why, for people.")
    deleted_at = models.DateTimeField(null=True, blank=True)

    objects = ChannelQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], condition=Q(deleted_at=None), name="alerts_channel_name"
            ),
        ]
        indexes = [models.Index(fields=["project", "name"], name="alerts_channel_project")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_usable(self) -> bool:
        return self.deleted_at is None and self.disabled_at is None

    def reveal_secrets(self) -> dict[str, str]:
        """Raises SecretUnreadable."""
        return json.loads(self.secrets.reveal()) if self.secrets else {}


class RecipientQuerySet(models.QuerySet["Recipient"]):
    def active(self) -> "RecipientQuerySet":
        """Those that get mails."""
        return self.filter(confirmed_at__isnull=False, stopped_at=None, refused="")

    def for_list(self) -> "RecipientQuerySet":
        return self.order_by("address", "pk")


class Recipient(models.Model):
    """An address of a channel that mails. It gets nothing before somebody who reads its mail confirms it."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="recipients")
    address = models.CharField(max_length=254)
    created_at = models.DateTimeField()
    link_due_at = models.DateTimeField(null=True, blank=True, help_text="A link to confirm it is mailed then.")
    link_error = models.CharField(max_length=500, blank=True, help_text="Why no link was mailed, for people.")
    asked_at = models.DateTimeField(null=True, blank=True, help_text="When the newest link to confirm it was made.")
    confirmed_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True, help_text="Since when its owner wants no mails.")
    refused = models.CharField(max_length=500, blank=True, help_text="Why the mail server refused it, for people.")

    objects = RecipientQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "address"], name="alerts_recipient_once")]
        indexes = [
            models.Index(
                fields=["link_due_at"], condition=Q(link_due_at__isnull=False), name="alerts_recipient_link_due"
            )
        ]

    def __str__(self) -> str:
        return self.address

    @property
    def project_id(self) -> int:
        return self.channel.project_id

    @property
    def is_active(self) -> bool:
        return self.confirmed_at is not None and self.stopped_at is None and not self.refused

    def state(self, now: datetime) -> str:
        """What becomes of messages to it, in words."""
        if self.refused:
            return f"refused: {self.refused}"
        if self.stopped_at:
            return "stopped by its owner"
        if self.confirmed_at:
            return "confirmed"
        if self.link_error:
            return f"not confirmed, and no link was mailed: {self.link_error}"
        if self.link_due_at or self.asked_at is None:
            return "not confirmed, a link is on its way"
        expired = now > self.asked_at + LINK_LIFETIME
        return "not confirmed, and the mailed link has expired" if expired else "not confirmed, a link was mailed"
