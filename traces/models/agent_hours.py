"""Hourly sums of agents.

Methods with bars require a range whose step is a whole number of hours.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Sum

from catalyst import timerange
from catalyst.agents.models import Agent
from catalyst.core.models import Project
from catalyst.timerange import TimeRange, bucket_start
from traces.models.choices import Kind
from traces.models.trace import Counters
from traces.models.volumes import Volumes, usage_row, volumes_of
from traces.summary import CALLS, Calls
from traces.usage import SUMS, Called, LatencyRow, UsageRow

SUMS_OF_HOURS = {f"sum_{name}": Sum(name) for name in SUMS}


def _called(row: Mapping[str, Any]) -> Called:
    return Called(row["name"], Calls(*(row[f"sum_{name}"] for name in CALLS)))


class AgentHourQuerySet(models.QuerySet["AgentHour"]):
    def volumes(self, time_range: TimeRange, agent: int | None) -> Volumes:
        rows = (
            self.filter(hour__gte=time_range.start, hour__lt=time_range.end)
            .values_list("agent_id", bucket_start("hour", time_range))
            .annotate(
                traces=Sum("trace_count"), errors=Sum("error_trace_count"),
                spent=Sum("cost"), unpriced=Sum("unpriced_count"),
            )
        )  # fmt: skip
        return volumes_of(rows, agent)

    def newest_since(self, time_range: TimeRange, limit: int) -> datetime | None:
        """Since when the range has about `limit` traces; None if it has fewer."""
        hours = self.filter(hour__gte=timerange.floor(time_range.start, timerange.HOUR), hour__lt=time_range.end)
        for hour, count in hours.values_list("hour").annotate(n=Sum("trace_count")).order_by("-hour"):
            if count > limit:
                since: datetime = max(hour + timerange.HOUR * (1 - limit / count), time_range.start)
                return since
            limit -= count
        return None

    def usage(self, time_range: TimeRange, since: datetime) -> list[UsageRow]:
        hours = self.filter(hour__gte=since, hour__lt=time_range.end)
        rows = hours.values("agent_id", bar=bucket_start("hour", time_range)).annotate(**SUMS_OF_HOURS)
        return [usage_row(row) for row in rows]


class AgentHour(Counters):
    """Sums over traces of an agent that started in an hour. `agent` is null for traces without one."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, null=True, related_name="hours")
    hour = models.DateTimeField()
    trace_count = models.BigIntegerField(default=0)
    error_trace_count = models.BigIntegerField(default=0, help_text="Traces with a root that failed.")
    success_count = models.BigIntegerField(default=0)
    failure_count = models.BigIntegerField(default=0)
    reported_outcome_count = models.BigIntegerField(
        default=0, help_text="Traces whose agent reported another outcome than the status says."
    )

    objects = AgentHourQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "agent", "hour"], name="traces_agenthour_key", nulls_distinct=False
            )
        ]
        indexes = [models.Index(fields=["hour"], name="traces_agenthour_age")]

    def __str__(self) -> str:
        return f"{self.agent_id} {self.hour:%Y-%m-%d %H}"


class AgentHourLatencyQuerySet(models.QuerySet["AgentHourLatency"]):
    def latencies(self, time_range: TimeRange, since: datetime) -> list[LatencyRow]:
        hours = self.filter(hour__gte=since, hour__lt=time_range.end)
        rows = hours.values_list("agent_id", bucket_start("hour", time_range), "bucket").annotate(n=Sum("trace_count"))
        return [LatencyRow(*row) for row in rows]


class AgentHourLatency(models.Model):
    """The latency histogram of an agent's hour (`traces.summary.latency_bucket`)."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, null=True, related_name="+")
    hour = models.DateTimeField()
    bucket = models.SmallIntegerField()
    trace_count = models.BigIntegerField(default=0)

    objects = AgentHourLatencyQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "agent", "hour", "bucket"], name="traces_agenthourlatency_key", nulls_distinct=False
            )
        ]
        indexes = [models.Index(fields=["hour"], name="traces_agenthourlatency_age")]

    def __str__(self) -> str:
        return f"{self.agent_id} {self.hour:%Y-%m-%d %H} bucket {self.bucket}"


class AgentHourCallsQuerySet(models.QuerySet["AgentHourCalls"]):
    def within(self, time_range: TimeRange) -> "AgentHourCallsQuerySet":
        """The hours that the range touches."""
        return self.filter(hour__gte=timerange.floor(time_range.start, timerange.HOUR), hour__lt=time_range.end)

    def greatest(self, kind: str, by: str, limit: int) -> tuple[list[Called], int]:
        """The models or tools with the greatest sums `by`, and how many more there are."""
        sums = {f"sum_{name}": Sum(name) for name in CALLS}
        of_kind = self.filter(kind=kind)
        named = of_kind.values("name").annotate(called=Sum("call_count"), weight=Sum(by)).filter(called__gt=0)
        rows = list(named.annotate(**sums).order_by("-weight", "-called", "name")[: limit + 1])
        by_name = {called.name: called for called in map(_called, rows[:limit])}
        ended = of_kind.filter(name__in=by_name, bucket__isnull=False).values_list("name", "bucket")
        for name, bucket, count in ended.annotate(n=Sum("call_count")):
            by_name[name].latencies[bucket] = count
        return list(by_name.values()), named.count() - limit if len(rows) > limit else 0

    def failing(self, limit: int) -> list[tuple[str, str, int]]:
        """Kind, name and errors of models and tools, most errors first."""
        errors = self.values_list("kind", "name").annotate(errors=Sum("error_count"))
        return list(errors.filter(errors__gt=0).order_by("-errors", "kind", "name")[:limit])

    def errors(self) -> int:
        return self.aggregate(errors=Sum("error_count", default=0))["errors"] or 0


class AgentHourCalls(models.Model):
    """Calls of a model or tool in a latency bucket, in an agent's hour. Without nested model calls, like `Counters`."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, null=True, related_name="+", db_index=False)
    hour = models.DateTimeField()
    kind = models.CharField(max_length=4, choices=[(kind.value, kind.label) for kind in (Kind.LLM, Kind.TOOL)])
    name = models.CharField(max_length=256, blank=True, help_text="Of the model or tool; empty where none is named.")
    bucket = models.SmallIntegerField(null=True, help_text="traces.summary.latency_bucket; null while open.")
    call_count = models.BigIntegerField(default=0)
    error_count = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    cost = models.DecimalField(max_digits=20, decimal_places=9, default=0)
    unpriced_count = models.BigIntegerField(default=0)

    objects = AgentHourCallsQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "agent", "hour", "kind", "name", "bucket"],
                name="traces_agenthourcalls_key",
                nulls_distinct=False,
            )
        ]
        indexes = [models.Index(fields=["hour"], name="traces_agenthourcalls_age")]

    def __str__(self) -> str:
        return f"{self.agent_id} {self.hour:%Y-%m-%d %H} {self.name} bucket {self.bucket}"
