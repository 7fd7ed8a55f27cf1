"""Alerts and their states."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Case, ExpressionWrapper, F, Q, Value, When
from django.urls import reverse

from alerts import rules, sentences
from alerts.choices import OF_AGENTS, OF_SIGNALS, OF_VALUES, Comparison, Cooldown, Metric, Operator, Window
from alerts.measures import Measure
from alerts.models.channel import Channel
from alerts.rules import Level, Problem, Rule, State, Status
from catalyst.agents.models import Agent
from catalyst.core.models import AuthoredModel, Project
from catalyst.params import parse_number
from catalyst.timerange import MINUTE
from signals.models import Signal

MAX_NAME_CHARACTERS = 100
# What events keep of an alert.
RULE_FIELDS = (
    "metric",
    "string_label",
    "comparison",
    "operator",
    "threshold",
    "warning",
    "window",
    "min_label_count",
    "cooldown_minutes",
    "only_significant",
    "notify_no_data",
)
# A change of one of these begins the alert anew. The others hold from the next window on.
LEVEL_FIELDS = tuple(name for name in RULE_FIELDS if name not in {"cooldown_minutes", "notify_no_data"})
# An alert that is off has no status of the rules.
DISABLED = "disabled"
# In the order of lists: what needs somebody comes first.
STATUSES = {
    Status.FIRING: "Firing",
    Status.WARNING: "Warning",
    Status.INVALID: "Invalid",
    Status.COOLING_DOWN: "Cooling down",
    Status.DELAYED: "Delayed",
    Status.NO_DATA: "No data",
    Status.OK: "OK",
    DISABLED: "Disabled",
}
RANKS = {status: rank for rank, status in enumerate(STATUSES)}


class AlertQuerySet(models.QuerySet["Alert"]):
    def for_project(self, project: Project) -> "AlertQuerySet":
        return self.filter(project=project)

    def unarchived(self) -> "AlertQuerySet":
        return self.filter(archived_at=None)

    def archived(self) -> "AlertQuerySet":
        return self.filter(archived_at__isnull=False)

    def evaluated(self) -> "AlertQuerySet":
        return self.unarchived().filter(enabled=True)

    def firing(self) -> "AlertQuerySet":
        return self.evaluated().filter(state__level=Level.FIRING).exclude(state__problem=Problem.INVALID)

    def named(self, text: str) -> "AlertQuerySet":
        """Alerts with this text in their name, in that of their signal, or of the agent whose numbers they watch."""
        of_agent = Q(signal=None) & (Q(agent__name__icontains=text) | Q(agent__identity__icontains=text))
        return self.filter(Q(name__icontains=text) | Q(signal__name__icontains=text) | of_agent) if text else self

    def in_status(self, status: str, now: datetime) -> "AlertQuerySet":
        return self._with_rank(now).filter(Q(rank=RANKS[status])) if status in RANKS else self

    def for_list(self, now: datetime) -> "AlertQuerySet":
        """By status, then by name, each with the `rank` of its status."""
        listed = self._with_rank(now).select_related("project", "agent", "signal__current_version", "state")
        return listed.prefetch_related("channels").order_by(F("rank"), "name", "pk")

    def place(self, after: str) -> tuple[int, str, int] | None:
        """Read the `after` of a list. Returns None for other text."""
        rank, pk = map(parse_number, after.partition("_")[::2])
        name = self.filter(pk=pk).values_list("name", flat=True).first() if pk else None
        return None if rank is None or pk is None or name is None else (rank, name, pk)

    def after(self, rank: int, name: str, pk: int) -> "AlertQuerySet":
        """Alerts behind this place in the order of `for_list`."""
        return self.filter(Q(rank__gt=rank) | Q(Q(name__gt=name) | Q(name=name, pk__gt=pk), rank=rank))

    def _with_rank(self, now: datetime) -> "AlertQuerySet":
        # As `rules.State.status` decides.
        cooled = ExpressionWrapper(
            F("state__fired_at") + F("cooldown_minutes") * Value(MINUTE), output_field=models.DateTimeField()
        )
        conditions = {
            DISABLED: Q(enabled=False) | Q(archived_at__isnull=False),
            Status.INVALID: Q(state__problem=Problem.INVALID),
            Status.FIRING: Q(state__level=Level.FIRING),
            Status.DELAYED: Q(state__problem=Problem.DELAYED),
            Status.NO_DATA: Q(state__problem=Problem.NO_DATA),
            Status.WARNING: Q(state__level=Level.WARNING),
            Status.COOLING_DOWN: Q(cooled_at__gt=now),
        }
        ranks = [When(condition, then=Value(RANKS[status])) for status, condition in conditions.items()]
        return self.annotate(cooled_at=cooled).annotate(
            rank=Case(*ranks, default=Value(RANKS[Status.OK]), output_field=models.IntegerField())
        )

    def agents(self) -> list[tuple[int, str]]:
        """Return (id, name) of each agent that has one of these alerts."""
        agents = self.order_by("agent__name", "agent_id").values_list("agent_id", "agent__name", "agent__identity")
        return [(pk, name or identity) for pk, name, identity in agents.distinct()]

    def free_name(self, name: str) -> str:
        """Return the name, with a number if one of these alerts has it: `failed up 10% (2)`."""
        taken = set(self.filter(name__startswith=name[: MAX_NAME_CHARACTERS - 6]).values_list("name", flat=True))
        number, free = 1, name[:MAX_NAME_CHARACTERS]
        while free in taken:
            number += 1
            suffix = f" ({number})"
            free = name[: MAX_NAME_CHARACTERS - len(suffix)] + suffix
        return free


class Alert(AuthoredModel):
    """A rule about the labels of a signal, or about an agent's own numbers."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="alerts")
    signal = models.ForeignKey(Signal, on_delete=models.CASCADE, null=True, blank=True, related_name="alerts")
    agent = models.ForeignKey(
        Agent, on_delete=models.CASCADE, related_name="alerts", help_text="Of the signal, or whose numbers it watches."
    )
    name = models.CharField(max_length=MAX_NAME_CHARACTERS)
    metric = models.CharField(max_length=12, choices=Metric)
    string_label = models.CharField("value", max_length=60, blank=True, help_text="The label that the metric counts.")
    comparison = models.CharField(max_length=10, choices=Comparison, default=Comparison.PCT_CHANGE)
    operator = models.CharField(max_length=3, choices=Operator)
    threshold = models.FloatField(help_text="A count, a share from 0 to 1, or a change in percent.")
    warning = models.FloatField(null=True, blank=True, help_text="A threshold that is reached earlier.")
    window = models.CharField(max_length=3, choices=Window)
    min_label_count = models.PositiveIntegerField(
        default=0, help_text="Labels that a window needs, and the window before if they are compared."
    )
    cooldown_minutes = models.PositiveSmallIntegerField(choices=Cooldown, default=Cooldown.NONE)
    only_significant = models.BooleanField(
        default=False, help_text="Fire only if chance alone does not explain the value."
    )
    notify_no_data = models.BooleanField(default=False, help_text="Say when there are too few labels to tell.")
    enabled = models.BooleanField(default=True)
    muted_until = models.DateTimeField(null=True, blank=True, help_text="No messages until then; events are kept.")
    channels = models.ManyToManyField(Channel, blank=True, related_name="alerts")
    slack_channel_id = models.CharField(max_length=40, blank=True)
    slack_channel_name = models.CharField(max_length=80, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField(help_text="The last change of the rule. Windows before it are not evaluated.")
    archived_at = models.DateTimeField(null=True, blank=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["agent", "name"], condition=Q(archived_at=None), name="alerts_alert_name_of_agent"
            ),
            models.CheckConstraint(
                condition=Q(signal__isnull=False, metric__in=OF_SIGNALS) | Q(signal=None, metric__in=OF_AGENTS),
                name="alerts_alert_metric_of_its_subject",
            ),
            models.CheckConstraint(
                condition=(Q(string_label="") & ~Q(metric__in=OF_VALUES))
                | (~Q(string_label="") & Q(metric__in=OF_VALUES)),
                name="alerts_alert_value_of_its_metric",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("alerts:alert-detail", args=[self.project.slug, self.pk])

    @property
    def measure(self) -> Measure:
        return Measure(
            metric=Metric(self.metric),
            comparison=Comparison(self.comparison),
            operator=Operator(self.operator),
            window=Window(self.window).length,
            min_count=self.min_label_count,
        )

    @property
    def rule(self) -> Rule:
        return Rule(
            operator=Operator(self.operator),
            threshold=self.threshold,
            calm=rules.calm_of(Window(self.window).length),
            warning=self.warning,
            cooldown=self.cooldown_minutes * MINUTE,
            only_significant=self.only_significant,
            notify_no_data=self.notify_no_data,
        )

    @property
    def rule_as_it_is(self) -> dict[str, Any]:
        """For events, which tell what the rule was when they happened."""
        return {name: getattr(self, name) for name in RULE_FIELDS}

    @property
    def noun(self) -> str:
        """What it counts: labels or traces."""
        return Metric(self.metric).noun

    @property
    def sentences(self) -> list[str]:
        """The rule in words."""
        return sentences.rule_in_words(self.measure, self.rule, self.string_label)

    def status(self, now: datetime) -> str:
        if not self.enabled or self.archived_at is not None:
            return DISABLED
        return self.state.as_state().status(self.rule, now)

    def is_muted(self, now: datetime) -> bool:
        return self.muted_until is not None and now < self.muted_until

    def silence(self, now: datetime) -> str:
        """Why nobody is told what happens now; empty if channels are."""
        return f"The alert was muted until {self.muted_until:%Y-%m-%d %H:%M} UTC." if self.is_muted(now) else ""


class AlertStateQuerySet(models.QuerySet["AlertState"]):
    def due(self, until: datetime) -> "AlertStateQuerySet":
        """Of alerts that are to be evaluated, with a window that ended since."""
        return self.filter(evaluated_until__lt=until, alert__enabled=True, alert__archived_at=None)

    def lock(self) -> "AlertStateQuerySet":
        """Lock the states, passing over those that another worker has locked."""
        related = self.select_related("alert__project", "alert__agent", "alert__signal__current_version")
        return related.order_by("pk").select_for_update(skip_locked=True, of=("self",), no_key=True)

    def store(self, rows: Sequence["AlertState"]) -> None:
        """Update locked rows in one statement."""
        columns = [field.name for field in AlertState._meta.concrete_fields if not field.primary_key]
        self.bulk_create(rows, update_conflicts=True, unique_fields=["alert"], update_fields=columns)


class AlertState(models.Model):
    """What the evaluation knows of an alert: `rules.State`, and the newest window."""

    alert = models.OneToOneField(Alert, on_delete=models.CASCADE, primary_key=True, related_name="state")
    evaluated_until = models.DateTimeField(help_text="End of the newest window that was evaluated.")
    evaluated_at = models.DateTimeField(null=True, help_text="When that was.")
    level = models.PositiveSmallIntegerField(default=0, help_text="0: OK, 1: warning, 2: firing.")
    fired_at = models.DateTimeField(null=True)
    warned_at = models.DateTimeField(null=True)
    calm_since = models.DateTimeField(null=True)
    problem = models.CharField(max_length=8, blank=True, help_text="Why the newest window has no value.")
    problem_since = models.DateTimeField(null=True)
    announced = models.BooleanField(default=False, help_text="Whether the problem had its event.")
    reason = models.CharField(max_length=300, blank=True, help_text="The problem in words for people.")
    value = models.FloatField(null=True)
    before = models.FloatField(null=True, help_text="The value of the window before, if the alert compares them.")
    labelled = models.PositiveIntegerField(default=0)
    requested = models.PositiveIntegerField(default=0, help_text="Labelled, or still waiting for the judge.")
    recent = ArrayField(
        models.FloatField(null=True),
        default=list,
        blank=True,
        help_text="The values at each half hour of the last day, the oldest first, for a small chart; null: unknown.",
    )

    objects = AlertStateQuerySet.as_manager()

    class Meta:
        verbose_name = "state of an alert"
        verbose_name_plural = "states of alerts"

    def __str__(self) -> str:
        return f"State of {self.alert_id}"

    def as_state(self) -> State:
        return State(
            level=Level(self.level),
            fired_at=self.fired_at,
            warned_at=self.warned_at,
            calm_since=self.calm_since,
            problem=Problem(self.problem),
            problem_since=self.problem_since,
            announced=self.announced,
        )
