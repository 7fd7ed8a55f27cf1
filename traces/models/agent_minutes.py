"""Sums over the traces of an agent that settled in a minute.

Rows are written by settling (`traces.ingest.settled_minutes`), and do not change when a trace grows afterwards.
"""

from datetime import datetime, timedelta

from django.db import models

from catalyst.agents.models import Agent
from catalyst.core.models import Project

MINUTES_KEPT = timedelta(days=3)


class AgentMinuteQuerySet(models.QuerySet["AgentMinute"]):
    def delete_expired(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` rows from before `before`. Return how many."""
        expired = self.filter(minute__lt=before).order_by("minute").values_list("id", flat=True)[:limit]
        return self.filter(id__in=list(expired)).delete()[0]


class AgentMinute(models.Model):
    """Traces of an agent that settled for the first time in a minute. Traces without an agent are not counted."""

    # No constraints: settling would lock the rows of projects and agents, and fail where one is being deleted.
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    minute = models.DateTimeField(help_text="Start of the minute, in UTC.")
    trace_count = models.IntegerField(default=0)
    error_trace_count = models.IntegerField(default=0, help_text="Traces with a root that failed.")
    tokens = models.BigIntegerField(default=0, help_text="Input and output.")
    cost = models.DecimalField(max_digits=20, decimal_places=9, default=0, help_text="US dollars, of priced calls.")
    unpriced_count = models.BigIntegerField(default=0, help_text="LLM calls with tokens but no known price.")
    latencies = models.JSONField(default=dict, help_text="Traces by latency bucket (`traces.summary.latency_bucket`).")

    objects = AgentMinuteQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "agent", "minute"], name="traces_agentminute_key")]
        indexes = [models.Index(fields=["minute"], name="traces_agentminute_age")]

    def __str__(self) -> str:
        return f"{self.agent_id} {self.minute:%Y-%m-%d %H:%M}"
