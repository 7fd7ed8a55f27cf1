"""Agents: stable identities that traces, sessions and signals refer to."""

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
        indexes = [models.Index(fields=["project", "first_seen_at"], name="agents_agent_new")]

    def __str__(self) -> str:
        return self.name or self.identity
