"""Messages on their way to channels."""

from collections.abc import Collection
from datetime import datetime

from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery

from alerts.models.channel import Channel
from catalyst.core.models import Project


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def open(self) -> "DeliveryQuerySet":
        return self.filter(state=Delivery.State.QUEUED)

    def due(self, now: datetime) -> "DeliveryQuerySet":
        return self.open().filter(due_at__lte=now)

    def heads(self, project: int, without: Collection[int], now: datetime) -> list[int]:
        """Ids of the next delivery of each channel of a project, the oldest first.

        Messages of one group are sent in their order: a later one waits for the retries of an earlier one.
        """
        ahead = self.open().filter(
            channel=OuterRef("channel"), address=OuterRef("address"), group=OuterRef("group"), pk__lt=OuterRef("pk")
        )
        of_channel = self.due(now).filter(~Exists(ahead), channel=OuterRef("pk")).order_by("pk")
        channels = Channel.objects.filter(project=project).exclude(pk__in=without).order_by()
        heads = channels.annotate(head=Subquery(of_channel.values("pk")[:1])).filter(head__isnull=False)
        return list(heads.order_by("head").values_list("head", flat=True))

    def newest(self) -> "DeliveryQuerySet":
        return self.order_by("-created_at", "-pk")


class Delivery(models.Model):
    """One message for one channel. The row is the job: it is claimed by moving `due_at` ahead, then sent, then ended.

    It is sent at least once. The same `event_key` goes along each time, so that a receiver can drop the second one.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        SENT = "sent", "Sent"
        FAILED = "failed", "Failed"
        DROPPED = "dropped", "Not sent"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    kind = models.CharField(max_length=40, help_text="What it tells, such as alert.fired.")
    event_key = models.CharField(max_length=100, help_text="Names the event. A channel gets it once.")
    address = models.CharField(max_length=254, blank=True, help_text="Of a mail: to whom.")
    group = models.CharField(max_length=200, help_text="The message's. Those of one group keep their order.")
    message = models.JSONField(help_text="catalyst.notifications.Message.")
    state = models.CharField(max_length=7, choices=State, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Also those that did not end.")
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="Queued: when it is sent, or given up by a worker that died.")
    ended_at = models.DateTimeField(null=True, help_text="When it was sent, failed or dropped.")
    error = models.CharField(max_length=500, blank=True, help_text="Of the last attempt, for people.")
    answer = models.CharField(max_length=500, blank=True, help_text="What the service said when it took the message.")

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "event_key", "address"], name="alerts_delivery_once"),
        ]
        indexes = [
            models.Index(fields=["project", "due_at"], condition=Q(state="queued"), name="alerts_delivery_due"),
            models.Index(fields=["channel", "id"], condition=Q(state="queued"), name="alerts_delivery_open"),
            models.Index(fields=["channel", "-id"], name="alerts_delivery_channel"),
            models.Index(fields=["event_key"], name="alerts_delivery_event"),
            models.Index(fields=["created_at"], name="alerts_delivery_age"),
        ]
        verbose_name_plural = "deliveries"

    def __str__(self) -> str:
        return f"{self.kind} to {self.channel_id}: {self.state}"

    @property
    def is_open(self) -> bool:
        return self.state == self.State.QUEUED

    @property
    def title(self) -> str:
        return str(self.message.get("title", ""))
