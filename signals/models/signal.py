"""Signals and their immutable versions."""

from datetime import timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.urls import reverse

from catalyst.agents.models import Agent
from catalyst.core.models import AuthoredModel, Project
from catalyst.llms.models import ModelConnection
from signals.definitions.choices import Scope, State, Type
from signals.definitions.definition import MAX_NAME_CHARACTERS, MAX_QUIET_MINUTES, Definition
from signals.definitions.judge_view import JudgeView
from signals.filters import SignalFilter
from traces.filters import Filter


class SignalQuerySet(models.QuerySet["Signal"]):
    def for_project(self, project: "Project") -> "SignalQuerySet":
        return self.filter(project=project)

    def for_agent(self, agent: "Agent") -> "SignalQuerySet":
        return self.filter(agent=agent)

    def unarchived(self) -> "SignalQuerySet":
        return self.filter(archived_at=None)

    def archived(self) -> "SignalQuerySet":
        return self.filter(archived_at__isnull=False)

    def live(self) -> "SignalQuerySet":
        return self.filter(state="active", archived_at=None, current_version__isnull=False)

    def matching(self, signal_filter: SignalFilter) -> "SignalQuerySet":
        signals = self.filter(name__icontains=signal_filter.text) if signal_filter.text else self
        fields = {"state": signal_filter.state, "scope": signal_filter.scope, "agent": signal_filter.agent}
        return signals.filter(**{name: value for name, value in fields.items() if value not in {"", None}})

    def agents(self) -> list[tuple[int, str]]:
        """Return (id, name) of each agent that has one of these signals."""
        agents = self.order_by("agent__name", "agent_id").values_list("agent_id", "agent__name", "agent__identity")
        return [(pk, name or identity) for pk, name, identity in agents.distinct()]

    def after(self, signal: "Signal") -> "SignalQuerySet":
        """Signals after this one in the order of `for_list`."""
        return self.filter(Q(name__gt=signal.name) | Q(name=signal.name, pk__gt=signal.pk))

    def free_name(self, name: str) -> str:
        """Return the name, with a number if one of these signals has it: `Laziness (2)`."""
        taken = set(self.filter(name__startswith=name[: MAX_NAME_CHARACTERS - 6]).values_list("name", flat=True))
        number, free = 1, name
        while free in taken:
            number += 1
            suffix = f" ({number})"
            free = name[: MAX_NAME_CHARACTERS - len(suffix)] + suffix
        return free

    def for_list(self) -> "SignalQuerySet":
        return self.select_related("project", "agent", "current_version__connection").order_by("name", "id")


class Signal(AuthoredModel):
    """A classifier for one agent. Its versions hold the definitions."""

    State = State

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
    disabled_at = models.DateTimeField(null=True, blank=True, help_text="While disabled: since when, if known.")
    quiet_minutes = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="Minutes without activity after which a session is judged; null: the instance's.",
    )
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SignalQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="active") | (Q(activated_at__isnull=False) & Q(archived_at=None)),
                name="signals_signal_active_has_start",
            ),
            models.UniqueConstraint(
                fields=["agent", "name"], condition=Q(archived_at=None), name="signals_signal_name_of_agent"
            ),
            models.CheckConstraint(
                condition=Q(disabled_at=None) | Q(state="disabled"), name="signals_signal_disabled_at_of_disabled"
            ),
            models.CheckConstraint(
                condition=Q(quiet_minutes=None) | Q(scope="session", quiet_minutes__range=(1, MAX_QUIET_MINUTES)),
                name="signals_signal_quiet_minutes",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def audit_name(self) -> str:
        """Tells it from signals of its name for other agents."""
        return f"{self.name} of {self.agent.audit_name}"

    def get_absolute_url(self) -> str:
        return reverse("signals:signal-detail", args=[self.project.slug, self.pk])

    @property
    def quiet_time(self) -> timedelta:
        """The time without activity after which this signal evaluates a session."""
        return timedelta(minutes=self.quiet_minutes) if self.quiet_minutes else settings.SETTLE_SESSION

    @property
    def is_live(self) -> bool:
        return self.state == self.State.ACTIVE and self.archived_at is None and self.current_version_id is not None


class DefinitionModel(models.Model):
    Type = Type

    type = models.CharField(max_length=6, choices=Type)
    prompt = models.TextField()
    labels = ArrayField(models.CharField(max_length=60), help_text="The possible outcomes; yes and no for a binary.")
    sentiments = models.JSONField(help_text="Outcome to positive, negative or neutral.")
    descriptions = models.JSONField(
        default=dict, db_default={}, blank=True, help_text="Label to when the judge should choose it."
    )
    sample_rate = models.PositiveSmallIntegerField(help_text="Percent of the targets, 0 to 100.")
    connection = models.ForeignKey(
        ModelConnection,
        on_delete=models.RESTRICT,
        null=True,
        related_name="+",
        help_text="Null: the instance's endpoint.",
    )
    judge_model = models.CharField(
        max_length=200, blank=True, help_text="Empty: the instance's model. Never empty with a connection."
    )
    filter = models.JSONField(default=dict, blank=True, help_text="The traffic that it evaluates.")
    view = models.JSONField(default=dict, blank=True, help_text="What the judge sees of a target.")

    class Meta:
        abstract = True

    @property
    def traffic_filter(self) -> Filter:
        return Filter.parse(self.filter)

    @property
    def described(self) -> list[tuple[str, str]]:
        """Labels with a description, in order: JSON keeps none."""
        return [(label, self.descriptions[label]) for label in self.labels if label in self.descriptions]

    @property
    def judge_view(self) -> JudgeView:
        return JudgeView.parse(self.view)

    @property
    def definition(self) -> Definition:
        return Definition(
            type=self.type,
            prompt=self.prompt,
            sample_rate=self.sample_rate,
            labels=tuple(self.labels),
            sentiments=self.sentiments,
            connection=self.connection.name if self.connection else "",
            descriptions=self.descriptions,
            judge_model=self.judge_model,
            filter=self.traffic_filter,
            view=self.judge_view,
        )


class SignalVersionQuerySet(models.QuerySet["SignalVersion"]):
    def published(self) -> "SignalVersionQuerySet":
        return self.filter(is_candidate=False).select_related("connection")


class SignalVersion(AuthoredModel, DefinitionModel):
    """An immutable definition of a signal. Each label names its version."""

    signal = models.ForeignKey(Signal, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    is_candidate = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Made to be compared: it never was current, and results leave its labels out.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SignalVersionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["signal", "number"], name="signals_version_number"),
            models.CheckConstraint(condition=Q(sample_rate__lte=100), name="signals_version_rate_is_a_percentage"),
        ]

    def __str__(self) -> str:
        return f"{self.signal} v{self.number}"
