"""Models that do not answer, of which projects were told."""

from django.db import models

from catalyst.core.models import Project
from catalyst.llms.endpoints import ModelKey
from catalyst.llms.models import ModelConnection


class JudgeOutage(models.Model):
    """A model that a project was told does not answer. Deleted when the project is told that it ended."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    connection = models.ForeignKey(
        ModelConnection, on_delete=models.CASCADE, null=True, related_name="+", help_text="Null: the environment's."
    )
    model = models.CharField(max_length=200)
    name = models.CharField(max_length=310, help_text="Of the model and its connection, for people.")
    since = models.DateTimeField(help_text="The first failure.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "connection", "model"], nulls_distinct=False, name="signals_judgeoutage_key"
            )
        ]
        verbose_name = "outage of a judge"
        verbose_name_plural = "outages of judges"

    def __str__(self) -> str:
        return f"{self.name} since {self.since:%Y-%m-%d %H:%M}"

    @property
    def key(self) -> ModelKey:
        return self.connection_id, self.model

    @property
    def group(self) -> str:
        """Names the outage to channels."""
        return f"judge-{self.pk}-{self.since:%Y%m%dT%H%M%SZ}"
