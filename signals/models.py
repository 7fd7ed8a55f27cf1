"""Signals: what to ask a judge about an agent's traffic, and the labels it gave."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.urls import reverse

from catalyst.agents.models import Agent
from catalyst.core.models import Project, User
from signals.judge_models import Budget, Exchange, Instructions, JudgeHealth, Verdict
from signals.judge_view import JudgeView
from signals.querysets import STOPPED, LabelQuerySet, SignalQuerySet, SignalRunQuerySet
from signals.sum_models import LabelHalfDay, LabelHour, LabelMinute
from signals.unsampled import Unsampled
from traces.filters import Filter

__all__ = [
    "Budget",
    "Exchange",
    "Instructions",
    "JudgeHealth",
    "Label",
    "LabelHalfDay",
    "LabelHour",
    "LabelMinute",
    "Scope",
    "Sentiment",
    "Signal",
    "SignalRun",
    "SignalVersion",
    "Unsampled",
    "Verdict",
]


class Scope(models.TextChoices):
    """What one label is about; fixed for a signal's life."""

    SPAN = "span", "Span"
    TRACE = "trace", "Trace"
    SESSION = "session", "Session"


class Sentiment(models.TextChoices):
    """Whether an outcome is good news."""

    POSITIVE = "positive", "Positive"
    NEGATIVE = "negative", "Negative"
    NEUTRAL = "neutral", "Neutral"


class Signal(models.Model):
    """A classifier for one agent. What it asks is in its versions; the newest one is current."""

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        ACTIVE = "active", "Active"
        DISABLED = "disabled", "Disabled"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="signals")
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="signals")
    name = models.CharField(max_length=100)
    scope = models.CharField(max_length=7, choices=Scope)
    state = models.CharField(max_length=8, choices=State, default=State.DRAFT)
    template = models.CharField(max_length=40, blank=True, help_text="Key of the built-in template it came from.")
    current_version = models.ForeignKey("SignalVersion", on_delete=models.SET_NULL, null=True, related_name="+")
    activated_at = models.DateTimeField(
        null=True, blank=True, help_text="Last activation: only traffic received since is judged live."
    )
    archived_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SignalQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="active") | (Q(activated_at__isnull=False) & Q(archived_at=None)),
                name="signals_signal_active_has_start",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("signals:signal-detail", args=[self.project.slug, self.pk])

    @property
    def is_live(self) -> bool:
        """Whether it judges arriving traffic: what `SignalQuerySet.live` finds."""
        return self.state == self.State.ACTIVE and self.archived_at is None and self.current_version_id is not None


class SignalVersion(models.Model):
    """What a signal asks, as it was from one edit to the next. Never changed: a label names the version behind it."""

    class Type(models.TextChoices):
        BINARY = "binary", "Yes or no"
        STRING = "string", "One of several labels"

    BINARY_LABELS = ("yes", "no")

    signal = models.ForeignKey(Signal, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    type = models.CharField(max_length=6, choices=Type)
    prompt = models.TextField()
    labels = ArrayField(models.CharField(max_length=60), help_text="The possible outcomes; yes and no for a binary.")
    sentiments = models.JSONField(help_text="Outcome to positive, negative or neutral.")
    sample_rate = models.PositiveSmallIntegerField(help_text="Percent of the targets, 0 to 100.")
    judge_model = models.CharField(max_length=200, blank=True, help_text="Empty: the instance's model.")
    filter = models.JSONField(default=dict, blank=True, help_text="`traces.filters.Filter`: the traffic it looks at.")
    view = models.JSONField(default=dict, blank=True, help_text="`signals.judge_view.JudgeView`: what the judge sees.")
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["signal", "number"], name="signals_version_number"),
            models.CheckConstraint(condition=Q(sample_rate__lte=100), name="signals_version_rate_is_a_percentage"),
        ]

    def __str__(self) -> str:
        return f"{self.signal} v{self.number}"

    @property
    def passing(self) -> Filter:
        """The traffic that it looks at."""
        return Filter.parse(self.filter)

    @property
    def judge_view(self) -> JudgeView:
        """What its judge sees of a target."""
        return JudgeView.parse(self.view)


class SignalRun(models.Model):
    """A manual run of one version over a window of the past; its labels are tied to it. The row is also the job.

    COLLECTING (queues a label for each sampled target, chunk by chunk) -> JUDGING (until no label waits) -> DONE.
    """

    class State(models.TextChoices):
        COLLECTING = "collecting", "Looking for targets"
        JUDGING = "judging", "Judging"
        DONE = "done", "Done"
        CANCELLED = "cancelled", "Cancelled"
        FAILED = "failed", "Failed"

    OPEN = (State.COLLECTING, State.JUDGING)

    version = models.ForeignKey(SignalVersion, on_delete=models.CASCADE, related_name="runs")
    window_start = models.DateTimeField()
    window_end = models.DateTimeField()
    sample_rate = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.COLLECTING)
    after_time = models.DateTimeField(null=True, help_text="With `after_id`: behind which target collecting goes on.")
    after_id = models.BigIntegerField(null=True)
    matched = models.PositiveBigIntegerField(default=0, help_text="Targets found so far.")
    sampled = models.PositiveBigIntegerField(default=0, help_text="Of these, the ones within the sample rate.")
    queued = models.PositiveBigIntegerField(default=0, help_text="Of these, the ones that had no label yet.")
    error = models.TextField(blank=True, help_text="Why it ended before its work was done, in words for people.")
    ended_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SignalRunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(sample_rate__lte=100), name="signals_run_rate_is_a_percentage"),
        ]
        indexes = [
            models.Index(fields=["state"], name="signals_run_open", condition=Q(state__in=["collecting", "judging"])),
        ]

    def __str__(self) -> str:
        return f"{self.version} run {self.pk}"

    @property
    def is_open(self) -> bool:
        """Whether it still works."""
        return self.state in self.OPEN

    @property
    def was_stopped(self) -> bool:
        """Whether it ended before its work was done."""
        return self.state in STOPPED


class Label(models.Model):
    """The current answer of one version about one target. The row is also the job that produces it.

    QUEUED -> RUNNING (leased) -> DONE, FAILED or SKIPPED. A target that grew has `wanted_revision` above
    `judged_revision` and is queued again; its value stays readable meanwhile.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Being judged"
        DONE = "done", "Labelled"
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "No content"

    version = models.ForeignKey(SignalVersion, on_delete=models.CASCADE, related_name="label_set", db_index=False)
    signal = models.ForeignKey(Signal, on_delete=models.CASCADE, related_name="label_set", db_index=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    run = models.ForeignKey(
        SignalRun,
        on_delete=models.SET_NULL,
        null=True,
        related_name="label_set",
        db_index=False,
        help_text="The manual run that asked first; null for live traffic.",
    )

    scope = models.CharField(max_length=7, choices=Scope)
    target_key = models.CharField(
        max_length=256, help_text="Trace id; trace id and span id with a colon between; or session id."
    )
    trace_id = models.UUIDField(null=True, help_text="Of a span or trace target.")
    span_id = models.BigIntegerField(null=True, help_text="Of a span target.")
    session_key = models.CharField(max_length=256, blank=True, help_text="Of a session target.")
    target_time = models.DateTimeField(help_text="Start of the target.")

    value = models.CharField(max_length=60, blank=True)
    reason = models.TextField(blank=True)
    judge = models.CharField(max_length=200, blank=True, help_text="The model that gave the value, or offline.")
    labelled_at = models.DateTimeField(null=True)
    cost = models.DecimalField(
        max_digits=20,
        decimal_places=9,
        null=True,
        help_text="US dollars of all its judge calls; null while none had a known price.",
    )

    status = models.CharField(max_length=7, choices=Status, default=Status.QUEUED)
    wanted_revision = models.BigIntegerField()
    judged_revision = models.BigIntegerField(default=0, help_text="Revision of the target that was judged last.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Tries for the wanted revision.")
    outages = models.PositiveSmallIntegerField(
        default=0, help_text="Tries for the wanted revision that don't count, though the target may be to blame."
    )
    tried_at = models.DateTimeField(null=True, help_text="While it waits for another try: when the last one ended.")
    not_before = models.DateTimeField(help_text="When it may be tried.")
    lease_until = models.DateTimeField(null=True, help_text="While running: until when its worker has it.")
    reserved = models.DecimalField(
        max_digits=20,
        decimal_places=9,
        default=0,
        db_default=0,
        help_text="While running: US dollars that the call may cost; 0 where the model has no price.",
    )
    error = models.TextField(blank=True, help_text="Why the last attempt gave no label, in words for people.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = LabelQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "target_key"], name="signals_label_once_per_version_and_target"),
            models.CheckConstraint(
                condition=~Q(status="done") | (~Q(value="") & Q(labelled_at__isnull=False)),
                name="signals_label_done_has_value",
            ),
            models.CheckConstraint(
                condition=Q(scope="span", trace_id__isnull=False, span_id__isnull=False, session_key="")
                | Q(scope="trace", trace_id__isnull=False, span_id=None, session_key="")
                | (Q(scope="session", trace_id=None, span_id=None) & ~Q(session_key="")),
                name="signals_label_target_of_scope",
            ),
        ]
        indexes = [
            # The judge's claim: open work, due first; live traffic before manual runs.
            models.Index(
                fields=["not_before", "id"],
                name="signals_label_open_live",
                condition=Q(status__in=["queued", "running"], run=None),
            ),
            models.Index(
                fields=["not_before", "id"],
                name="signals_label_open_run",
                condition=Q(status__in=["queued", "running"], run__isnull=False),
            ),
            # Calls under way, and what they may cost.
            models.Index(fields=["project", "signal"], name="signals_label_under_way", condition=Q(status="running")),
            # How long a signal's live work has been waiting.
            models.Index(
                fields=["signal", "not_before"], name="signals_label_waiting", condition=Q(status="queued", run=None)
            ),
            # A run's labels.
            models.Index(fields=["run", "status"], name="signals_label_by_run", condition=Q(run__isnull=False)),
            # A signal's page: newest labels, all or of one value.
            models.Index(fields=["signal", "-target_time", "-id"], name="signals_label_newest"),
            models.Index(fields=["signal", "value", "-target_time", "-id"], name="signals_label_by_value"),
            # What has no label, beside a million that have one.
            models.Index(
                fields=["signal", "status", "-target_time", "-id"],
                name="signals_label_unlabelled",
                condition=Q(status__in=["failed", "skipped"]),
            ),
            # Pills beside traces, spans and sessions.
            models.Index(
                fields=["project", "trace_id"], name="signals_label_trace", condition=Q(trace_id__isnull=False)
            ),
            models.Index(fields=["project", "session_key"], name="signals_label_session", condition=~Q(session_key="")),
        ]

    def __str__(self) -> str:
        return f"{self.version} {self.target_key}: {self.value or self.status}"

    @property
    def sentiment(self) -> str:
        """The sentiment that this label's version gives its value."""
        return str(self.version.sentiments.get(self.value, Sentiment.NEUTRAL))
