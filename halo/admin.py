"""Reports in the admin."""

from django.contrib import admin

from catalyst.core.admin import ReadOnly
from halo.models import Citation, Conversation, Finding, FindingTrace, Issue, Run, RunEvent, Schedule


@admin.register(Conversation)
class ConversationAdmin(ReadOnly[Conversation]):
    list_display = ("title", "agent", "project", "created_by_name", "updated_at")
    list_filter = ("project",)
    list_select_related = ("agent", "project")
    search_fields = ("title",)
    ordering = ("-id",)


@admin.register(Run)
class RunAdmin(ReadOnly[Run]):
    list_display = ("id", "conversation", "agent", "project", "engine", "status", "created_at", "ended_at", "cost")
    list_filter = ("status", "engine", "project")
    list_select_related = ("conversation", "agent", "project")
    ordering = ("-id",)


@admin.register(RunEvent)
class RunEventAdmin(ReadOnly[RunEvent]):
    list_display = ("run", "sequence", "kind", "agent", "text", "created_at")
    list_select_related = ("run__conversation",)
    ordering = ("-id",)


@admin.register(Finding)
class FindingAdmin(ReadOnly[Finding]):
    list_display = ("title", "severity", "category", "trace_count", "agent", "project", "run_id")
    list_filter = ("severity", "category", "project")
    list_select_related = ("agent", "project")
    search_fields = ("title", "signature")
    ordering = ("-id",)


@admin.register(FindingTrace)
class FindingTraceAdmin(ReadOnly[FindingTrace]):
    list_display = ("finding", "trace_id")
    list_select_related = ("finding",)
    ordering = ("-id",)


@admin.register(Citation)
class CitationAdmin(ReadOnly[Citation]):
    list_display = ("text", "run", "finding", "state", "quote_state")
    list_filter = ("state", "quote_state")
    list_select_related = ("run__conversation", "finding")
    ordering = ("-id",)


@admin.register(Schedule)
class ScheduleAdmin(ReadOnly[Schedule]):
    list_display = ("title", "agent", "project", "frequency", "state", "paused_reason", "next_run_at", "failure_count")
    list_filter = ("enabled", "frequency", "paused_reason", "project")
    list_select_related = ("agent", "project")
    search_fields = ("title",)
    ordering = ("-id",)


@admin.register(Issue)
class IssueAdmin(ReadOnly[Issue]):
    list_display = ("title", "severity", "state", "agent", "project", "first_seen_at", "last_seen_at")
    list_filter = ("state", "severity", "project")
    list_select_related = ("agent", "project")
    search_fields = ("title", "signature")
    ordering = ("-id",)
