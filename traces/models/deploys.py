"""First appearances of versions of services."""

from django.db import models
from django.db.models import Exists, OuterRef

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from catalyst.timerange import TimeRange

MAX_SHOWN = 12


class DeployQuerySet(models.QuerySet["Deploy"]):
    def changes_of(self, agent: int, time_range: TimeRange) -> list["Deploy"]:
        """The newest deploys of an agent in a range that followed another version, oldest first; up to MAX_SHOWN."""
        before = Deploy.objects.filter(agent=agent, service=OuterRef("service"), started_at__lt=OuterRef("started_at"))
        within = self.filter(agent=agent, started_at__gte=time_range.start, started_at__lt=time_range.end)
        newest = within.filter(Exists(before)).order_by("-started_at", "-id")[:MAX_SHOWN]
        return list(reversed(newest))


class Deploy(models.Model):
    """A version of a service, since the first trace of an agent that it served."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="deploys", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="deploys", db_index=False)
    service = models.CharField(max_length=256, blank=True)
    version = models.CharField(max_length=256)
    started_at = models.DateTimeField(help_text="Start of the first trace, or its arrival where its clock is off.")
    first_seen_at = models.DateTimeField()

    objects = DeployQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent", "service", "version"], name="traces_deploy_key")]
        indexes = [
            # Marks in charts of an agent.
            models.Index(fields=["agent", "started_at"], name="traces_deploy_started"),
            # How many are new in an hour.
            models.Index(fields=["project", "first_seen_at"], name="traces_deploy_new"),
        ]

    def __str__(self) -> str:
        return self.version
