"""The admin of budgets and of the health of models."""

from django.contrib import admin

from catalyst.core.admin import ReadOnly
from catalyst.llms.models import Budget, JudgeHealth


@admin.register(JudgeHealth)
class JudgeHealthAdmin(ReadOnly[JudgeHealth]):
    list_display = ("model", "url", "failures", "failing_since", "paused_until", "error", "answered_at")
    list_filter = ("failures",)
    ordering = ("model",)


@admin.register(Budget)
class BudgetAdmin(ReadOnly[Budget]):
    list_display = ("project", "subject_id", "daily_usd", "daily_calls", "day", "spent", "calls")
    list_filter = ("day", "project")
    list_select_related = ("project",)
    ordering = ("project", "subject_id")
