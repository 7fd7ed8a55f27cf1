"""Read-only admin of what is derived from spans."""

from django.contrib import admin

from catalyst.core.admin import ReadOnly
from traces.models import ExpiredDay, QuietTime, Session, Trace, Unsettled


@admin.register(Trace)
class TraceAdmin(ReadOnly[Trace]):
    list_display = ("hex_id", "name", "project", "agent", "status", "start_time", "span_count", "total_tokens", "cost")
    list_filter = ("project", "status", "outcome")
    list_select_related = ("project", "agent")
    search_fields = ("=trace_id",)
    search_help_text = "A whole trace id"
    ordering = ("-start_time", "-id")


@admin.register(Session)
class SessionAdmin(ReadOnly[Session]):
    list_display = ("key", "project", "agent", "trace_count", "error_trace_count", "total_tokens", "cost", "end_time")
    list_filter = ("project",)
    list_select_related = ("project", "agent")
    search_fields = ("=key",)
    search_help_text = "A whole session id"
    ordering = ("-end_time", "-id")


@admin.register(Unsettled)
class UnsettledAdmin(ReadOnly[Unsettled]):
    list_display = ("scope", "target_id", "due_at", "since", "looked_at")
    list_filter = ("scope",)
    ordering = ("due_at",)


@admin.register(QuietTime)
class QuietTimeAdmin(ReadOnly[QuietTime]):
    list_display = ("agent", "session")
    list_select_related = ("agent",)
    ordering = ("agent",)


@admin.register(ExpiredDay)
class ExpiredDayAdmin(ReadOnly[ExpiredDay]):
    list_display = ("day", "last_trace")
    ordering = ("-day",)
