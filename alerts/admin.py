"""Alerts, channels and messages in the admin."""

from django.contrib import admin

from alerts.models import Alert, AlertEvent, AlertState, Channel, Delivery, MessageSettings, Recipient
from catalyst.core.admin import ReadOnly


@admin.register(Alert)
class AlertAdmin(ReadOnly[Alert]):
    # Alerts change on their pages, which check them.
    list_display = ("name", "project", "agent", "signal", "metric", "window", "enabled", "muted_until", "archived_at")
    list_filter = ("enabled", "metric", ("archived_at", admin.EmptyFieldListFilter), "project")
    list_select_related = ("project", "agent", "signal")
    search_fields = ("name", "signal__name", "agent__name", "agent__identity")


@admin.register(AlertState)
class AlertStateAdmin(ReadOnly[AlertState]):
    list_display = ("alert", "level", "problem", "value", "labelled", "requested", "fired_at", "evaluated_until")
    list_filter = ("level", "problem")
    list_select_related = ("alert",)
    search_fields = ("alert__name",)


@admin.register(AlertEvent)
class AlertEventAdmin(ReadOnly[AlertEvent]):
    list_display = ("alert", "project", "kind", "window_end", "observed", "labelled", "reason", "silenced")
    list_filter = ("kind", "project")
    list_select_related = ("alert", "project")
    search_fields = ("alert__name",)
    ordering = ("-window_end",)


@admin.register(Channel)
class ChannelAdmin(ReadOnly[Channel]):
    # Channels change under Settings, which checks them. Secrets are not shown.
    list_display = ("name", "kind", "address", "project", "last_sent_at", "last_failed_at", "disabled_at", "deleted_at")
    list_filter = ("kind", "judge_outages", "project", ("disabled_at", admin.EmptyFieldListFilter))
    list_select_related = ("project",)
    search_fields = ("name", "address")
    exclude = ("secrets",)
    ordering = ("project", "name")


@admin.register(Recipient)
class RecipientAdmin(ReadOnly[Recipient]):
    list_display = ("address", "channel", "confirmed_at", "stopped_at", "refused")
    list_select_related = ("channel",)
    search_fields = ("address",)
    ordering = ("address", "id")


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly[Delivery]):
    list_display = ("created_at", "kind", "channel", "address", "state", "attempts", "due_at", "error", "project")
    list_filter = ("state", "kind", "project")
    list_select_related = ("channel", "project")
    search_fields = ("event_key",)
    ordering = ("-id",)


@admin.register(MessageSettings)
class MessageSettingsAdmin(ReadOnly[MessageSettings]):
    # Owners change it under Settings.
    list_display = ("project", "shows_excerpts")
    list_select_related = ("project",)
