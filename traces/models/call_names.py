"""Names of models and tools that a project's calls count under."""

from django.db import models

from catalyst.core.models import Project
from traces.models.choices import Kind


class CallName(models.Model):
    """A name that calls count under in `AgentHourCalls`. Written before the first call of that name is stored."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=4, choices=[(kind.value, kind.label) for kind in (Kind.LLM, Kind.TOOL)])
    name = models.CharField(max_length=256)
    first_seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "kind", "name"], name="traces_callname_key")]
        # How many are new in an hour.
        indexes = [models.Index(fields=["project", "first_seen_at"], name="traces_callname_new")]

    def __str__(self) -> str:
        return self.name
