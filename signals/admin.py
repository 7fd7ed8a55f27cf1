"""Signals, versions, runs and labels in the admin."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from catalyst.core.admin import ReadOnly, operator
from signals import operations
from signals.models import (
    Exchange,
    JudgeOutage,
    Label,
    LabelHalfDay,
    LabelHour,
    LabelMinute,
    SettledMinute,
    Signal,
    SignalRun,
    SignalTest,
    SignalVersion,
    Unsampled,
    Verdict,
)
from signals.models.label_rollup import LabelSum


def _retry(request: HttpRequest, signals: QuerySet[Signal], retry: Callable[[Signal], int]) -> None:
    retried = 0
    for signal in signals:
        try:
            retried += retry(signal)
        except ValidationError as error:
            messages.warning(request, " ".join(error.messages))
    messages.info(request, f"{retried} labels queued again.")


class VersionInline(admin.TabularInline[SignalVersion, Signal]):
    model = SignalVersion
    fk_name = "signal"
    fields = readonly_fields = (
        "number",
        "type",
        "labels",
        "sample_rate",
        "judge_model",
        "created_by_name",
        "created_at",
    )
    ordering = ("-number",)
    show_change_link = True
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Signal)
class SignalAdmin(admin.ModelAdmin[Signal]):
    list_display = ("name", "project", "agent", "scope", "state", "current_version", "activated_at", "archived_at")
    list_filter = ("state", "scope", ("archived_at", admin.EmptyFieldListFilter), "project")
    list_select_related = ("project", "agent", "current_version__signal")
    search_fields = ("name", "agent__name", "agent__identity")
    fields = (
        "name",
        "project",
        "agent",
        "scope",
        "state",
        "template",
        "current_version",
        "activated_at",
        "disabled_at",
    )
    readonly_fields = fields[1:]
    inlines = (VersionInline,)
    actions = ("disable", "retry_failed")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Signal, form: Any, change: bool) -> None:
        # Writes the name alone, so that a concurrent change is not undone.
        operations.rename(obj, obj.name, operator(request))

    @admin.action(description="Disable the selected signals", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Signal]) -> None:
        for signal in queryset:
            operations.disable(signal, timezone.now(), operator(request))
        self.message_user(request, f"{len(queryset)} signals disabled.")

    @admin.action(description="Retry the failed labels of the selected signals", permissions=["change"])
    def retry_failed(self, request: HttpRequest, queryset: QuerySet[Signal]) -> None:
        now, by = timezone.now(), operator(request)
        _retry(request, queryset, lambda signal: operations.retry_failed(signal, now, by))


@admin.register(SignalVersion)
class SignalVersionAdmin(ReadOnly[SignalVersion]):
    list_display = ("signal", "number", "type", "sample_rate", "judge_model", "created_by_name", "created_at")
    list_filter = ("type",)
    list_select_related = ("signal",)
    search_fields = ("signal__name", "prompt")
    ordering = ("-created_at",)


@admin.register(SignalRun)
class SignalRunAdmin(ReadOnly[SignalRun]):
    list_display = (
        *("version", "state", "window_start", "window_end", "sample_rate"),
        *("matched", "sampled", "queued", "error", "created_by_name", "created_at", "ended_at"),
    )
    list_filter = ("state",)
    list_select_related = ("version__signal",)
    ordering = ("-created_at",)


@admin.register(SignalTest)
class SignalTestAdmin(ReadOnly[SignalTest]):
    list_display = ("pk", "project", "signal", "state", "limit", "error", "created_by_name", "created_at", "ended_at")
    list_filter = ("state", "project")
    list_select_related = ("project", "signal")
    ordering = ("-created_at",)


class VerdictInline(admin.TabularInline[Verdict, Label]):
    model = Verdict
    fields = readonly_fields = (
        *("created_at", "revision", "value", "reason", "error", "model"),
        *("input_tokens", "output_tokens", "cached_tokens", "cost", "latency_ms"),
    )
    ordering = ("-id",)
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Label)
class LabelAdmin(ReadOnly[Label]):
    list_display = ("target_key", "signal", "scope", "status", "value", "attempts", "not_before", "error", "project")
    list_filter = ("status", "scope", "project")
    list_select_related = ("signal", "project")
    search_fields = ("=target_key", "=trace_id", "=session_key")
    search_help_text = "A whole trace id, session id or target key"
    ordering = ("-id",)
    inlines = (VerdictInline,)
    actions = ("retry",)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("signals.change_label")

    @admin.action(description="Retry the selected failed labels", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Label]) -> None:
        now, by = timezone.now(), operator(request)
        chosen = Label.objects.filter(pk__in=queryset.values("pk"))
        signals = Signal.objects.filter(pk__in=chosen.filter(status="failed").values("signal"))
        _retry(request, signals, lambda signal: operations.retry_labels(signal, chosen, now, by))


@admin.register(JudgeOutage)
class JudgeOutageAdmin(ReadOnly[JudgeOutage]):
    list_display = ("name", "project", "since")
    list_filter = ("project",)
    list_select_related = ("project",)
    ordering = ("-since",)


@admin.register(Exchange)
class ExchangeAdmin(ReadOnly[Exchange]):
    list_display = ("verdict_id", "project", "created_at")
    list_filter = ("project",)
    list_select_related = ("project",)
    ordering = ("-verdict_id",)


class LabelSumAdmin[Row: LabelSum](ReadOnly[Row]):
    list_filter = ("state", "folded")
    list_select_related = ("signal", "version__signal", "run__version__signal")
    ordering = ("-id",)


@admin.register(LabelHour)
class LabelHourAdmin(LabelSumAdmin[LabelHour]):
    list_display = ("signal", "version", "run", "hour", "state", "value", "count", "cost", "last", "folded")


@admin.register(LabelHalfDay)
class LabelHalfDayAdmin(LabelSumAdmin[LabelHalfDay]):
    list_display = ("signal", "version", "run", "half_day", "state", "value", "count", "cost", "last", "folded")


@admin.register(LabelMinute)
class LabelMinuteAdmin(LabelSumAdmin[LabelMinute]):
    list_display = ("signal", "version", "run", "minute", "state", "value", "count", "cost", "last", "folded")


@admin.register(SettledMinute)
class SettledMinuteAdmin(ReadOnly[SettledMinute]):
    list_display = ("version", "minute", "is_live", "outcome", "value", "count", "folded")
    list_filter = ("outcome", "is_live", "folded")
    list_select_related = ("version__signal",)
    ordering = ("-id",)


@admin.register(Unsampled)
class UnsampledAdmin(ReadOnly[Unsampled]):
    list_display = ("signal", "version", "draw", "hour")
    list_select_related = ("signal", "version__signal")
    ordering = ("-id",)
