"""Schedules: reports that come by themselves."""

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Count, Exists, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse

from catalyst.agents.models import Agent
from catalyst.core.models import AuthoredModel, Project
from catalyst.llms.models import ModelConnection
from halo.choices import EngineKind, Frequency, PausedReason, ReasoningEffort
from halo.models.conversation import MAX_TITLE_CHARACTERS
from halo.models.run import MAX_FOCUS_CHARACTERS, Run
from halo.recurrence import Recurrence

# Reports of a project that schedules start while others are under way. The rest is left to people.
MAX_AT_ONCE = 5


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    def for_project(self, project: Project) -> "ScheduleQuerySet":
        return self.filter(project=project)

    def unarchived(self) -> "ScheduleQuerySet":
        return self.filter(archived_at=None)

    def archived(self) -> "ScheduleQuerySet":
        return self.filter(archived_at__isnull=False)

    def due(self, now: datetime) -> "ScheduleQuerySet":
        """Those whose next report starts, the longest waiting first. One whose last report is under way waits."""
        open_runs = Run.objects.open()
        of_project = open_runs.filter(project=OuterRef("project")).order_by().values("project")
        open_count = Coalesce(Subquery(of_project.annotate(count=Count("pk")).values("count")), 0)
        started = self.filter(starts_at__lte=now).alias(open_count=open_count).filter(open_count__lt=MAX_AT_ONCE)
        return started.exclude(Exists(open_runs.filter(schedule=OuterRef("pk")))).order_by("starts_at", "pk")

    def for_list(self) -> "ScheduleQuerySet":
        """The newest first, each with the id of its newest report."""
        runs = Run.objects.filter(schedule=OuterRef("pk")).order_by("-pk").values("pk")
        related = self.select_related("agent", "project", "connection")
        return related.annotate(last_run_id=Subquery(runs[:1])).order_by("-pk")


class Schedule(AuthoredModel):
    """When Halo reads an agent's traces by itself, and how. Its reports have it as their `schedule`."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="halo_schedules", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="halo_schedules")
    title = models.CharField(max_length=MAX_TITLE_CHARACTERS)
    enabled = models.BooleanField(default=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    # When (halo.recurrence).
    frequency = models.CharField(max_length=7, choices=Frequency)
    hours = ArrayField(models.PositiveSmallIntegerField(), default=list, blank=True, help_text="0 to 23; none: every.")
    minutes = ArrayField(models.PositiveSmallIntegerField(), default=list, help_text="0 to 59.")
    days_of_week = ArrayField(
        models.PositiveSmallIntegerField(), default=list, blank=True, help_text="0 (Sunday) to 6; weekly ones only."
    )
    days_of_month = ArrayField(
        models.PositiveSmallIntegerField(), default=list, blank=True, help_text="1 to 31; monthly ones only."
    )
    timezone = models.CharField(max_length=64, default="UTC", help_text="An IANA name, such as Europe/Berlin.")
    lookback_hours = models.PositiveSmallIntegerField(help_text="How long the window before each of its times is.")

    # What each report does, as in `Run`.
    prompt = models.TextField(blank=True, help_text="Empty: the default.")
    focus = models.CharField(max_length=MAX_FOCUS_CHARACTERS, blank=True)
    engine = models.CharField(
        max_length=5, choices=EngineKind, blank=True, help_text="Empty: a model if one is connected."
    )
    connection = models.ForeignKey(
        ModelConnection, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", help_text="Null: default."
    )
    model_name = models.CharField(max_length=200, blank=True, help_text="Empty: the default one.")
    span_limit = models.PositiveIntegerField(default=10_000)
    max_depth = models.PositiveSmallIntegerField(default=2)
    max_turns = models.PositiveSmallIntegerField(default=20)
    reasoning_effort = models.CharField(max_length=7, choices=ReasoningEffort, blank=True)
    budget_tokens = models.PositiveIntegerField(null=True, blank=True)
    budget_usd = models.DecimalField(max_digits=10, decimal_places=4, null=True, blank=True)
    budget_minutes = models.PositiveSmallIntegerField(default=30)
    channels = ArrayField(
        models.BigIntegerField(), default=list, blank=True, help_text="Ids of channels that are told what is new."
    )

    # How it goes.
    paused_reason = models.CharField(max_length=15, choices=PausedReason, blank=True, help_text="Why it was disabled.")
    paused_detail = models.TextField(blank=True, help_text="The same in words for people.")
    failure_count = models.PositiveSmallIntegerField(default=0, help_text="Reports that failed since one did not.")
    next_run_at = models.DateTimeField(null=True, help_text="End of the next window; null: none is planned.")
    starts_at = models.DateTimeField(null=True, help_text="When its report starts, a little later.")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = ScheduleQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["project", "-id"], name="halo_schedule_newest"),
            models.Index(fields=["starts_at"], condition=Q(starts_at__isnull=False), name="halo_schedule_due"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("halo:schedule", args=[self.project.slug, self.pk])

    @property
    def recurrence(self) -> Recurrence:
        names = ("frequency", "hours", "minutes", "days_of_week", "days_of_month", "timezone")
        return Recurrence(**{name: getattr(self, name) for name in names})

    @property
    def last_run(self) -> int | None:
        """The id of its newest report. None if it has none, or was not read by `for_list`."""
        return getattr(self, "last_run_id", None)

    @property
    def by_rules(self) -> bool:
        return self.engine == EngineKind.RULES

    @property
    def state(self) -> str:
        """`enabled`, `paused` by Catalyst, `disabled` by somebody, or `archived`."""
        if self.archived_at is not None:
            return "archived"
        if self.enabled:
            return "enabled"
        return "paused" if self.paused_reason else "disabled"
