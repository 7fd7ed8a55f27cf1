"""Agents: stable identities that traces, sessions and signals refer to."""

from datetime import datetime

from django.db import models

from catalyst.core.models import Project


class Agent(models.Model):
    class Source(models.TextChoices):
        AGENT_ID = "agent_id", "agent.id"
        AGENT_NAME = "agent_name", "agent.name"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="agents", db_index=False)
    identity = models.CharField(max_length=256, help_text="agent.id, or agent.name where spans carry no id.")
    source = models.CharField(max_length=10, choices=Source)
    name = models.CharField(max_length=256, help_text="What people call it: agent.name, else the identity.")
    first_seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "identity"], name="agents_agent_once_per_project")]
        # How many are new in an hour.
        indexes = [
            models.Index(fields=["project", "first_seen_at"], name="agents_agent_new"),
            # Which agent has this name.
            models.Index(fields=["project", "name"], name="agents_agent_name"),
        ]

    def __str__(self) -> str:
        return self.name or self.identity

    @property
    def audit_name(self) -> str:
        """Tells it from other agents of its name."""
        return str(self) if str(self) == self.identity else f"{self} ({self.identity})"

    @property
    def is_settled(self) -> bool:
        """True if one of the identities that count as this agent has come with two conversations or more."""
        identities = AgentIdentity.objects.filter(project=self.project_id)
        if identities.filter(agent=self, has_recurred=True).exists():
            return True
        return not identities.filter(identity=self.identity).exists()

    @property
    def passing_id_count(self) -> int:
        """The number of its ids, each of which came with one run. 0 once it is settled."""
        return 0 if self.is_settled else self.identities.filter(first_trace_id__isnull=False).count()


class AgentIdentityQuerySet(models.QuerySet["AgentIdentity"]):
    def moving(self) -> "AgentIdentityQuerySet":
        return self.filter(moving_from__isnull=False)


class AgentIdentity(models.Model):
    """An id or a name that spans carry, and the agent that it counts as (docs/adr/0023).

    An agent without such a row for its own identity was made before there were any: that identity counts as it.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="agent_identities", db_index=False)
    identity = models.CharField(max_length=256)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="identities")
    first_seen_at = models.DateTimeField()
    first_trace_id = models.UUIDField(null=True, help_text="The trace that brought it.")
    first_session = models.CharField(max_length=256, blank=True, help_text="The session of that trace.")
    has_recurred = models.BooleanField(default=False, help_text="Another conversation brought it again.")
    moving_from = models.ForeignKey(
        Agent,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        db_index=False,
        help_text="Stored spans with this identity still name that agent.",
    )
    moving_since = models.DateTimeField(null=True)
    moved_through = models.BigIntegerField(default=0, help_text="Traces up to this primary key have been moved.")

    objects = AgentIdentityQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "identity"], name="agents_identity_key")]
        indexes = [
            # How many are new in an hour, and which have expired.
            models.Index(fields=["project", "first_seen_at"], name="agents_identity_new"),
            models.Index(
                fields=["moving_from"], condition=models.Q(moving_from__isnull=False), name="agents_identity_moving"
            ),
        ]
        verbose_name_plural = "agent identities"

    def __str__(self) -> str:
        return self.identity

    def recur(self) -> None:
        """Keep it with its agent for good, as the agent's own identity."""
        self.has_recurred = True
        self.save(update_fields=["has_recurred"])
        self.agent.identity, self.agent.source = self.identity, Agent.Source.AGENT_ID
        self.agent.save(update_fields=["identity", "source"])

    def split(self, name: str, now: datetime) -> None:
        """Give it an agent of its own, to which its stored spans move."""
        self.moving_from, self.moving_since, self.moved_through = self.agent, now, 0
        self.has_recurred = True
        self.agent = Agent.objects.create(
            project_id=self.project_id,
            identity=self.identity,
            source=Agent.Source.AGENT_ID,
            name=name,
            first_seen_at=now,
        )
        self.save(update_fields=["agent", "has_recurred", "moving_from", "moving_since", "moved_through"])
