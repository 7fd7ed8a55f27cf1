"""What happened to an alert."""

from collections.abc import Iterable
from datetime import datetime
from itertools import takewhile

from django.db import models
from django.db.models import Count, Q
from django.utils.functional import cached_property

from alerts.models.alert import RULE_FIELDS, Alert
from alerts.rules import EventKind
from catalyst.core.models import Project
from catalyst.pagination import Cursor
from signals.models import SignalVersion


class AlertEventQuerySet(models.QuerySet["AlertEvent"]):
    def newest(self) -> "AlertEventQuerySet":
        return self.order_by("-window_end", "-pk")

    def after(self, last: Cursor) -> "AlertEventQuerySet":
        """Events behind this place in the order of `newest`."""
        return self.filter(Q(window_end__lt=last.time) | Q(window_end=last.time, pk__lt=last.id))

    def firings(self, alerts: Iterable[Alert], since: datetime) -> dict[int, int]:
        """How often each of these alerts fired, by its id. Without those that did not."""
        fired = self.filter(alert__in=[alert.pk for alert in alerts]).fired_since(since).order_by()
        return dict(fired.values_list("alert_id").annotate(firings=Count("pk")))

    def delete_expired(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` events from before `before`. Return how many."""
        expired = self.filter(window_end__lt=before).order_by("window_end").values_list("pk", flat=True)[:limit]
        return self.filter(pk__in=list(expired)).delete()[0]

    def unresolved(self, before: Cursor | None = None) -> list["AlertEvent"]:
        """Of the events of an alert, those that fired or warned and did not resolve, the newest first.

        `before`: the place of an event. Only those ahead of it count.
        """
        newest = self.filter(kind__in=[EventKind.FIRED, EventKind.WARNED, EventKind.RESOLVED]).newest()
        # A warning, and the firing that follows it.
        found = (newest.after(before) if before else newest)[:3]
        return list(takewhile(lambda event: event.kind != EventKind.RESOLVED, found))

    def fired_since(self, since: datetime) -> "AlertEventQuerySet":
        return self.filter(kind=EventKind.FIRED, window_end__gte=since)


class AlertEvent(models.Model):
    """One change of an alert, with the numbers of the window that caused it and the rule as it was."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="events", db_index=False)
    kind = models.CharField(max_length=8, choices=[(kind.value, kind.value) for kind in EventKind])
    window_end = models.DateTimeField()
    created_at = models.DateTimeField()
    version_id = models.BigIntegerField(null=True, help_text="The signal's version whose labels were counted.")
    rule = models.JSONField(help_text="Metric, value, comparison, operator, threshold, window and so on.")
    observed = models.FloatField(null=True, help_text="Null: no data, or a change from zero.")
    before = models.FloatField(null=True, help_text="The value of the window before, if they are compared.")
    labelled = models.PositiveIntegerField(default=0)
    requested = models.PositiveIntegerField(default=0, help_text="Labelled, or still waiting when it was evaluated.")
    reason = models.CharField(max_length=300, blank=True)
    silenced = models.CharField(max_length=100, blank=True, help_text="Why nobody was told; empty if channels were.")

    objects = AlertEventQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["alert", "window_end", "kind"], name="alerts_alertevent_once"),
        ]
        indexes = [
            models.Index(fields=["project", "-window_end"], name="alerts_alertevent_project"),
            models.Index(fields=["window_end"], name="alerts_alertevent_age"),
        ]
        verbose_name = "event of an alert"
        verbose_name_plural = "events of alerts"

    def __str__(self) -> str:
        return f"{self.alert_id} {self.kind} {self.window_end:%Y-%m-%d %H:%M}"

    @property
    def place(self) -> str:
        """The `after` of the events behind this one."""
        return str(self.cursor)

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.window_end, self.pk)

    @property
    def as_it_was(self) -> Alert:
        """The alert with the rule that it had then, not stored."""
        alert = self.alert
        return Alert(pk=alert.pk, **{name: self.rule.get(name, getattr(alert, name)) for name in RULE_FIELDS})

    @cached_property
    def version(self) -> SignalVersion | None:
        """The signal's version whose labels were counted, unless it is deleted."""
        return SignalVersion.objects.filter(pk=self.version_id).first() if self.version_id else None

    @property
    def key(self) -> str:
        """Names the event to channels, so that a message that is sent twice can be told from two messages."""
        return f"alert-{self.alert_id}-{self.kind}-{self.window_end:%Y%m%dT%H%MZ}"
