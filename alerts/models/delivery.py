"""Messages on their way to channels."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from alerts.models.channel import Channel
from catalyst.core.models import Project


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def open(self) -> "DeliveryQuerySet":
        return self.filter(state=Delivery.State.QUEUED)

    def due(self, now: datetime) -> "DeliveryQuerySet":
        return self.open().filter(due_at__lte=now)

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
    message = models.JSONField(help_text="catalyst.notifications.Message.")
    state = models.CharField(max_length=7, choices=State, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Also those that did not end.")
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="Queued: when it is sent, or given up by a worker that died.")
    ended_at = models.DateTimeField(null=True, help_text="When it was sent, failed or dropped.")
    error = models.CharField(max_length=500, blank=True, help_text="Of the last attempt, for people.")

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "event_key"], name="alerts_delivery_once"),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="queued"), name="alerts_delivery_due"),
            models.Index(fields=["event_key"], name="alerts_delivery_event"),
            models.Index(fields=["created_at"], name="alerts_delivery_age"),
        ]
        verbose_name_plural = "deliveries"

    def __str__(self) -> str:
        return f"{self.kind} to {self.channel_id}: {self.state}"
