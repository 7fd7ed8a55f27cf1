"""Issues of an agent: what findings of several reports have in common."""

from django.db import models
from django.db.models import Case, Count, Min, Q, Value, When
from django.urls import reverse

from catalyst.agents.models import Agent
from catalyst.core.models import Project, User
from catalyst.pagination import Cursor
from halo.choices import OPEN_STATES, Category, IssueState, Severity

MAX_NOTE_CHARACTERS = 2_000
MAX_VERSION_CHARACTERS = 256


class IssueQuerySet(models.QuerySet["Issue"]):
    """Issues that were merged into another one are left out of all but `for_project` itself."""

    def for_project(self, project: Project) -> "IssueQuerySet":
        return self.filter(project=project)

    def of_agent(self, agent: int) -> "IssueQuerySet":
        return self.standing().filter(agent=agent)

    def standing(self) -> "IssueQuerySet":
        return self.filter(merged_into=None)

    def open(self) -> "IssueQuerySet":
        return self.filter(state__in=OPEN_STATES)

    def last_seen_first(self, after: Cursor | None = None) -> "IssueQuerySet":
        """From behind `after`."""
        issues = self.order_by("-last_seen_at", "-pk")
        if after is None:
            return issues
        return issues.filter(Q(last_seen_at__lt=after.time) | Q(pk__lt=after.id), last_seen_at__lte=after.time)

    def worst_first(self) -> "IssueQuerySet":
        place = Case(*(When(severity=severity, then=Value(place)) for place, severity in enumerate(Severity)))
        return self.order_by(place, "-last_seen_at", "-pk")

    def agents(self) -> list[tuple[int, str]]:
        """Return (id, name) of each agent that has one of these issues."""
        agents = self.order_by("agent__name", "agent_id").values_list("agent_id", "agent__name", "agent__identity")
        return [(pk, name or identity) for pk, name, identity in agents.distinct()]

    def for_list(self) -> "IssueQuerySet":
        """With the number of reports that found it, and the first of them."""
        counts = {"report_count": Count("findings__run", distinct=True), "first_run": Min("findings__run")}
        return self.select_related("agent", "assignee", "project").annotate(**counts)


class Issue(models.Model):
    """One thing that is wrong with an agent. Reports find it again and again until it is fixed."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="halo_issues", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="halo_issues", db_index=False)
    title = models.CharField(max_length=300, help_text="Of its newest finding.")
    signature = models.CharField(max_length=500, blank=True, help_text="Of its newest finding that has one.")
    severity = models.CharField(max_length=8, choices=Severity, help_text="Of its newest finding.")
    category = models.CharField(max_length=11, choices=Category)
    state = models.CharField(max_length=12, choices=IssueState, default=IssueState.OPEN)
    state_since = models.DateTimeField(help_text="When it got into its state.")
    state_by_name = models.CharField(max_length=150, blank=True, help_text="Who changed the state; empty: nobody.")
    note = models.TextField(blank=True, help_text="What fixed it, or why it was dismissed.")
    fixed_at = models.DateTimeField(null=True, blank=True, help_text="Since when it should not happen any more.")
    fixed_version = models.CharField(max_length=256, blank=True, help_text="The version of the service that fixes it.")
    reopened_count = models.PositiveIntegerField(default=0)
    assignee = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    signal_id = models.BigIntegerField(null=True, blank=True, help_text="The signal that measures it, if there is one.")
    merged_into = models.ForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="merged",
        help_text="Its findings are there.",
    )
    first_seen_at = models.DateTimeField(help_text="Start of the window of its first finding.")
    last_seen_at = models.DateTimeField(help_text="End of the window of its newest finding.")
    created_at = models.DateTimeField()

    objects = IssueQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["agent", "-last_seen_at", "-id"], name="halo_issue_agent"),
            models.Index(fields=["project", "-last_seen_at", "-id"], name="halo_issue_newest"),
            models.Index(fields=["agent", "signature"], condition=~Q(signature=""), name="halo_issue_signature"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("halo:issue", args=[self.project.slug, self.pk])

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.last_seen_at, self.pk)
