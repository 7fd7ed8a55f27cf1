"""Where messages go."""

from django.db import models
from django.db.models import Q

from catalyst.core.encrypted_fields import EncryptedTextField
from catalyst.core.models import AuthoredModel, Project

MAX_NAME_CHARACTERS = 100


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
