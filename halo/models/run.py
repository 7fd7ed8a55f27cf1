"""Runs of Halo and what they do while they run."""

from datetime import datetime

from django.db import models
from django.db.models import Count, Q
from django.urls import reverse

from catalyst.agents.models import Agent
from catalyst.core.models import AuthoredModel, Project
from catalyst.llms.models import ModelConnection
from catalyst.pagination import Cursor
from halo.choices import OPEN_STATUSES, EngineKind, Origin, ReasoningEffort, RunStatus, Severity
from halo.models.conversation import Conversation

MAX_PROMPT_CHARACTERS = 20_000
MAX_FOCUS_CHARACTERS = 4_000
MAX_WINDOW_DAYS = 30
MAX_SPAN_LIMIT = 100_000
MAX_DEPTH = 5
MIN_TURNS, MAX_TURNS = 3, 100
MAX_BUDGET_TOKENS = 100_000_000
MAX_BUDGET_USD = 10_000
MAX_BUDGET_MINUTES = 120


class RunQuerySet(models.QuerySet["Run"]):
    def for_project(self, project: Project) -> "RunQuerySet":
        return self.filter(project=project)

    def reports(self) -> "RunQuerySet":
        """Without questions about reports."""
        return self.exclude(origin=Origin.FOLLOW_UP)

    def open(self) -> "RunQuerySet":
        return self.filter(status__in=OPEN_STATUSES)

    def ended(self) -> "RunQuerySet":
        return self.exclude(status__in=OPEN_STATUSES)

    def due(self, now: datetime) -> "RunQuerySet":
        """Open runs that no worker has, the oldest first."""
        return self.open().filter(Q(leased_until=None) | Q(leased_until__lt=now)).order_by("pk")

    def newest(self, after: Cursor | None = None) -> "RunQuerySet":
        """Newest first, from behind `after`."""
        runs = self.order_by("-created_at", "-pk")
        if after is None:
            return runs
        return runs.filter(Q(created_at__lt=after.time) | Q(pk__lt=after.id), created_at__lte=after.time)

    def agents(self) -> list[tuple[int, str]]:
        """Return (id, name) of each agent that has one of these runs."""
        agents = self.order_by("agent__name", "agent_id").values_list("agent_id", "agent__name", "agent__identity")
        return [(pk, name or identity) for pk, name, identity in agents.distinct()]

    def to_note(self) -> "RunQuerySet":
        """Those that ended, and whose schedule has not taken note of it."""
        return self.ended().filter(schedule__isnull=False, noted_at=None).order_by("pk")

    def for_list(self) -> "RunQuerySet":
        """Without the text, with the number of findings of each severity."""
        counts = {
            f"{severity}_count": Count("findings", filter=Q(findings__severity=severity)) for severity in Severity
        }
        related = self.select_related("conversation", "agent", "project", "connection")
        return related.defer("text", "prompt", "engine_text").annotate(**counts)


class Run(AuthoredModel):
    """One reading of an agent's traces. The row is the job (docs/adr/0002): a worker claims it with a lease.

    PENDING_EXPORT -> EXPORTING -> (with a model: QUEUED -> STARTING ->) RUNNING -> one of the others, which are final.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="halo_runs", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="halo_runs", db_index=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="runs")
    origin = models.CharField(max_length=15, choices=Origin, default=Origin.MANUAL)
    schedule = models.ForeignKey(
        "halo.Schedule", on_delete=models.SET_NULL, null=True, blank=True, related_name="runs", db_index=False
    )
    engine = models.CharField(max_length=5, choices=EngineKind)
    status = models.CharField(max_length=16, choices=RunStatus, default=RunStatus.PENDING_EXPORT)
    prompt = models.TextField(help_text="What is asked. The offline analyst does not read it.")
    window_start = models.DateTimeField()
    window_end = models.DateTimeField()
    focus = models.CharField(
        max_length=MAX_FOCUS_CHARACTERS,
        blank=True,
        help_text="Parameters of a list of traces that narrow what is read; empty for the whole agent.",
    )

    # The model and its limits; without meaning for the offline analyst.
    connection = models.ForeignKey(
        ModelConnection,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Null: the environment's endpoint.",
    )
    model_name = models.CharField(max_length=200, blank=True)
    span_limit = models.PositiveIntegerField(default=10_000, help_text="Spans that are read, in whole traces.")
    max_depth = models.PositiveSmallIntegerField(default=1, help_text="Levels of helpers below the analyst.")
    max_turns = models.PositiveSmallIntegerField(default=20)
    reasoning_effort = models.CharField(max_length=7, choices=ReasoningEffort, blank=True, help_text="Empty: default.")
    budget_tokens = models.PositiveIntegerField(null=True, blank=True)
    budget_usd = models.DecimalField(max_digits=10, decimal_places=4, null=True, blank=True)
    budget_minutes = models.PositiveSmallIntegerField(default=30)

    # What was read.
    trace_count = models.PositiveIntegerField(null=True, help_text="Traces that match; null until they are counted.")
    span_count = models.PositiveBigIntegerField(null=True, help_text="Their spans.")
    error_count = models.PositiveIntegerField(null=True, help_text="Of these traces, the ones that failed.")
    read_trace_count = models.PositiveIntegerField(default=0, help_text="Traces that were read.")
    read_span_count = models.PositiveIntegerField(default=0)

    # How it goes.
    turn = models.PositiveSmallIntegerField(default=0)
    call_count = models.PositiveIntegerField(default=0, help_text="Requests to the model.")
    input_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cost = models.DecimalField(
        max_digits=20, decimal_places=9, null=True, help_text="US dollars; null: no known price."
    )
    is_estimated = models.BooleanField(default=False, help_text="The model did not report tokens; they are estimated.")
    event_count = models.PositiveIntegerField(default=0)

    # The report.
    lede = models.TextField(blank=True, help_text="The report in one to three sentences.")
    text = models.TextField(blank=True, help_text="The whole in Markdown, from a model.")
    engine_text = models.TextField(
        blank=True, help_text="What the model had written when it ended; for partial reports."
    )
    notes = models.JSONField(default=list, blank=True, help_text="How it was read, in sentences.")
    signal_drafts = models.JSONField(default=list, blank=True, help_text="Signals that the model suggests.")
    is_partial = models.BooleanField(default=False, help_text="It ended before the report was whole.")
    lists_traces = models.BooleanField(
        default=True, help_text="False once the traces have expired, and with them the lists of its findings."
    )
    error = models.TextField(blank=True, help_text="Why it did not complete, in words for people.")

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True, help_text="When somebody asked to cancel it.")
    cancelled_by_name = models.CharField(max_length=150, blank=True)

    # What its schedule makes of it.
    noted_at = models.DateTimeField(null=True, help_text="When its schedule took note of its end.")
    news_count = models.PositiveSmallIntegerField(
        null=True, help_text="Findings that are new or worse since the schedule's last report; null: not compared."
    )

    # The claim of a worker.
    attempts = models.PositiveSmallIntegerField(default=0)
    lease = models.UUIDField(null=True, help_text="Names the claim: only its holder writes.")
    leased_until = models.DateTimeField(null=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["project", "-created_at", "-id"], name="halo_run_newest"),
            models.Index(fields=["agent", "-created_at", "-id"], name="halo_run_agent"),
            models.Index(fields=["id"], condition=Q(status__in=OPEN_STATUSES), name="halo_run_open"),
            models.Index(fields=["schedule", "-id"], condition=Q(schedule__isnull=False), name="halo_run_of_schedule"),
            models.Index(fields=["id"], condition=Q(schedule__isnull=False, noted_at=None), name="halo_run_to_note"),
            # Whose lists expire next.
            models.Index(
                fields=["project", "window_end"], condition=Q(lists_traces=True), name="halo_run_lists_traces"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.conversation} ({self.get_status_display()})"

    def get_absolute_url(self) -> str:
        return reverse("halo:report", args=[self.project.slug, self.pk])

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_STATUSES

    @property
    def by_rules(self) -> bool:
        return self.engine == EngineKind.RULES

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def read_all(self) -> bool:
        return self.read_trace_count == self.trace_count


class RunEvent(models.Model):
    """One thing that happened in a run, for those who watch."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events", db_index=False)
    sequence = models.PositiveIntegerField()
    kind = models.CharField(max_length=20, help_text="started, exported, turn, tool_call, tool_result, text, ended.")
    agent = models.CharField(max_length=100, blank=True, help_text="Of the engine: the analyst or one of its helpers.")
    depth = models.PositiveSmallIntegerField(default=0)
    text = models.CharField(max_length=500, blank=True, help_text="In words for people.")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "sequence"], name="halo_runevent_key")]
        verbose_name = "event of a run"
        verbose_name_plural = "events of runs"

    def __str__(self) -> str:
        return f"{self.run_id} {self.sequence} {self.kind}"
