"""Queries over traces, sessions and their hours."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db import connection, models
from django.db.models import Count, F, Func, Q, Sum, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Floor, Greatest, Ln

from catalyst import database, timerange
from catalyst.timerange import TimeRange
from traces import conditions
from traces.filters import EVERYTHING, Filter
from traces.summary import BUCKET_BASE, CALLS, Calls
from traces.usage import SUMS, Called, LatencyRow, Runs, Usage, UsageRow

if TYPE_CHECKING:
    from catalyst.core.models import Project
    from traces.labels import Narrowing
    from traces.models import AgentHour, AgentHourCalls, AgentHourLatency, Resource, Session, Trace


MOST_NEWER = 100


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """What a list of traces is narrowed to. `agent` 0 means: traces that name none."""

    agent: int | None = None
    session: int | None = None
    text: str = ""
    passing: Filter = EVERYTHING
    labels: tuple["Narrowing", ...] = ()

    @property
    def status(self) -> str:
        """The status that passes; empty for any."""
        return self.passing.status

    @property
    def label_keys(self) -> list[str]:
        """The labels as the URL names them."""
        return [label.key for label in self.labels]

    @property
    def narrows(self) -> bool:
        """Whether anything may fail to pass."""
        return self != TraceFilter()

    @property
    def needs_rows(self) -> bool:
        """True when hourly sums can't answer, because they know agents and statuses only."""
        return bool(self.session or self.text or self.labels or self.passing.dump().keys() - {"status"})


class Volume(NamedTuple):
    """What some traces add up to."""

    traces: int = 0
    errors: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0


class Volumes(NamedTuple):
    """The traces of a range by agent, 0 for none, and those of one agent or of all by bar; without what is empty."""

    agents: dict[int, Volume]
    bars: dict[datetime, Volume]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page of a list ended: the next one starts after this row."""

    time: datetime
    id: int

    def __str__(self) -> str:
        return f"{self.time.isoformat()}_{self.id}"


def agent_is(pk: int) -> Q:
    """Rows of this agent; 0 means of none."""
    return Q(agent_id=pk) if pk else Q(agent_id=None)


def bar_of(field: str, time_range: TimeRange) -> Func:
    """The start of the bar that a time lies in, also before the range."""
    return Func(
        Value(time_range.step), F(field), Value(time_range.first_bar), function="date_bin",
        output_field=models.DateTimeField(),
    )  # fmt: skip


SHOWN_COUNTERS = ("error_count", "llm_count", "input_tokens", "output_tokens", "cost", "unpriced_count", "span_count")


class TraceQuerySet(models.QuerySet["Trace"]):
    """Traces."""

    def within(self, time_range: TimeRange) -> "TraceQuerySet":
        """Traces that started in the range."""
        return self.filter(start_time__gte=time_range.start, start_time__lt=time_range.end)

    def matching(self, wanted: TraceFilter) -> "TraceQuerySet":
        """Traces that pass a filter."""
        found = self
        if wanted.agent is not None:
            found = found.filter(agent_is(wanted.agent))
        found = found.filter(conditions.of_traces(wanted.passing))
        if wanted.session is not None:
            found = found.filter(session_id=wanted.session)
        for label in wanted.labels:
            found = found.filter(label.traces)
        if wanted.text:
            found = found.filter(Q(name__icontains=wanted.text) | Q(input_preview__icontains=wanted.text))
        return found

    def newest(self, after: Cursor | None = None) -> "TraceQuerySet":
        """Newest first, by start; from behind `after`."""
        found = self.order_by("-start_time", "-id")
        if after is None:
            return found
        return found.filter(Q(start_time__lt=after.time) | Q(id__lt=after.id), start_time__lte=after.time)

    def count_newer(self, than: Cursor) -> int:
        """How many started after this one; at most MOST_NEWER."""
        return self.filter(start_time__gt=than.time)[:MOST_NEWER].count()

    def in_order(self) -> "TraceQuerySet":
        """Oldest first: the turns of a session."""
        return self.order_by("start_time", "id")

    def expired(self, days: int, now: datetime) -> "TraceQuerySet":
        """Traces that began before the last so many days, the earliest first.

        What was older than the instance's retention when it arrived counts from its arrival: its clock is off.
        """
        kept_since = timerange.kept_since(now, days)
        came_in_time = Q(first_received_at__lte=F("start_time") + timedelta(days=settings.RETENTION_DAYS))
        old = self.filter(came_in_time | Q(first_received_at__lt=kept_since), start_time__lt=kept_since)
        return old.in_order()

    def expired_ahead(self, days: int, now: datetime) -> "TraceQuerySet":
        """Traces that say they begin in the future and arrived before the last so many days."""
        return self.filter(start_time__gt=now, first_received_at__lt=timerange.kept_since(now, days)).in_order()

    def for_list(self) -> "TraceQuerySet":
        """Only what a row shows; anything else is an error, not a query."""
        return (
            self.select_related("agent", "session")
            .only(
                *("trace_id", "name", "status", "start_time", "duration_us", "root_ended", "model_names"),
                *("input_preview", "user", *SHOWN_COUNTERS, "agent__name", "agent__identity", "session__key"),
            )
            .fetch_mode(models.FETCH_RAISE)
        )

    def for_detail(self) -> "TraceQuerySet":
        """With its agent and session."""
        return self.select_related("agent", "session")

    def volumes(self, time_range: TimeRange, agent: int | None, since: datetime | None = None) -> Volumes:
        """Counts from the traces: for short ranges and filters that hours don't know. Bars of an agent, if it is named.

        `since`: only of what started then or later, in the same bars.
        """
        rows = (
            self.within(time_range if since is None else replace(time_range, start=since))
            .order_by()
            .values_list("agent_id", bar_of("start_time", time_range))
            .annotate(
                traces=Count("id"), errors=Count("id", filter=Q(status="error")),
                spent=Sum("cost"), unpriced=Sum("unpriced_count"),
            )
        )  # fmt: skip
        return _volumes(rows, agent)

    def usage(self, time_range: TimeRange, since: datetime) -> list[UsageRow]:
        """What runs since then add up to, per agent and bar: for ranges finer than hours."""
        found = self.filter(start_time__gte=since, start_time__lt=time_range.end).order_by()
        rows = found.values("agent_id", bar=bar_of("start_time", time_range)).annotate(**_SUMS_OF_TRACES)
        return [_usage(row) for row in rows]

    def latencies(self, time_range: TimeRange, since: datetime) -> list[LatencyRow]:
        """How many runs since then took how long, per agent and bar: for ranges finer than hours."""
        found = self.filter(start_time__gte=since, start_time__lt=time_range.end).order_by()
        rows = found.values_list("agent_id", bar_of("start_time", time_range), _bucket()).annotate(n=Count("id"))
        return [LatencyRow(*row) for row in rows]

    def runs_by(self, value: Combinable, time_range: TimeRange) -> dict[str, dict[datetime, Runs]]:
        """The runs of the range by the text that an expression gives, if any, and by bar; in one query."""
        keyed = self.within(time_range).order_by().annotate(by=value)
        rows = keyed.values("by", bar=bar_of("start_time", time_range), bucket=_bucket()).annotate(**_SUMS_OF_TRACES)
        found: dict[str, dict[datetime, Runs]] = defaultdict(lambda: defaultdict(Runs))
        for row in (row for row in rows if row["by"] is not None):
            runs, sums = found[row["by"]][row["bar"]], _sums(row)
            runs.usage += sums
            runs.latencies[row["bucket"]] += sums.trace_count
        return found


def neighbours(trace: "Trace") -> tuple[UUID | None, UUID | None]:
    """The trace ids of the turns before and after this one in its session."""
    here = [trace.project_id, trace.session_id, trace.start_time, trace.pk]
    ((before, after),) = database.fetch(_NEIGHBOURS, here + here)
    return before, after


_TURNS = "SELECT trace_id FROM traces_trace WHERE project_id = %s AND session_id = %s AND (start_time, id)"
_NEIGHBOURS = f"""
    SELECT ({_TURNS} < (%s, %s) ORDER BY start_time DESC, id DESC LIMIT 1),
        ({_TURNS} > (%s, %s) ORDER BY start_time, id LIMIT 1)
"""


class SessionQuerySet(models.QuerySet["Session"]):
    """Sessions."""

    def with_traces(self) -> "SessionQuerySet":
        """Those that have traces. One is left empty when all of its traces turn out to belong to another."""
        return self.filter(trace_count__gt=0)

    def expired(self, days: int, now: datetime) -> "SessionQuerySet":
        """Sessions without traces that ended, and last received one, before the last so many days."""
        kept_since = timerange.kept_since(now, days)
        return self.filter(trace_count=0, end_time__lt=kept_since, last_received_at__lt=kept_since).order_by("end_time")

    def within(self, time_range: TimeRange) -> "SessionQuerySet":
        """Sessions that were last active in the range."""
        return self.filter(end_time__gte=time_range.start, end_time__lt=time_range.end)

    def matching(self, wanted: TraceFilter) -> "SessionQuerySet":
        """Sessions that pass the parts of a filter that sessions know."""
        found = self
        if wanted.agent is not None:
            found = found.filter(agent_is(wanted.agent))
        for label in wanted.labels:
            found = found.filter(label.sessions)
        return found.filter(conditions.of_sessions(wanted.passing))

    def newest(self, after: Cursor | None = None) -> "SessionQuerySet":
        """Last active first; from behind `after`."""
        found = self.order_by("-end_time", "-id")
        if after is None:
            return found
        return found.filter(Q(end_time__lt=after.time) | Q(id__lt=after.id), end_time__lte=after.time)

    def count_newer(self, than: Cursor) -> int:
        """How many were active after this one; at most MOST_NEWER."""
        return self.filter(end_time__gt=than.time)[:MOST_NEWER].count()

    def for_list(self, traces: TraceQuerySet) -> "SessionQuerySet":
        """With the agent and `opening`: what the user said first, in these traces."""
        first = traces.filter(session=models.OuterRef("pk")).in_order().values("input_preview")[:1]
        return self.select_related("agent").annotate(opening=models.Subquery(first)).fetch_mode(models.FETCH_RAISE)


class AgentHourQuerySet(models.QuerySet["AgentHour"]):
    """Hourly sums."""

    def volumes(self, time_range: TimeRange, agent: int | None) -> Volumes:
        """Counts; bars of an agent, if it is named. The range's step is a whole number of hours."""
        rows = (
            self.filter(hour__gte=time_range.start, hour__lt=time_range.end)
            .values_list("agent_id", bar_of("hour", time_range))
            .annotate(
                traces=Sum("trace_count"), errors=Sum("error_trace_count"),
                spent=Sum("cost"), unpriced=Sum("unpriced_count"),
            )
        )  # fmt: skip
        return _volumes(rows, agent)

    def newest_since(self, time_range: TimeRange, most: int) -> datetime | None:
        """Since when in the range there are about so many traces; None where it has no more of them."""
        hours = self.filter(hour__gte=timerange.floor(time_range.start, timerange.HOUR), hour__lt=time_range.end)
        for hour, count in hours.values_list("hour").annotate(n=Sum("trace_count")).order_by("-hour"):
            if count > most:
                since: datetime = max(hour + timerange.HOUR * (1 - most / count), time_range.start)
                return since
            most -= count
        return None

    def usage(self, time_range: TimeRange, since: datetime) -> list[UsageRow]:
        """What runs since then add up to, per agent and bar. The range's step is a whole number of hours."""
        sums = {f"sum_{name}": Sum(name) for name in SUMS}
        found = self.filter(hour__gte=since, hour__lt=time_range.end)
        return [_usage(row) for row in found.values("agent_id", bar=bar_of("hour", time_range)).annotate(**sums)]


class AgentHourLatencyQuerySet(models.QuerySet["AgentHourLatency"]):
    """Hourly latency histograms."""

    def latencies(self, time_range: TimeRange, since: datetime) -> list[LatencyRow]:
        """How many runs since then took how long, per agent and bar. The range's step is a whole number of hours."""
        found = self.filter(hour__gte=since, hour__lt=time_range.end)
        rows = found.values_list("agent_id", bar_of("hour", time_range), "bucket").annotate(n=Sum("trace_count"))
        return [LatencyRow(*row) for row in rows]


class AgentHourCallsQuerySet(models.QuerySet["AgentHourCalls"]):
    """Hourly sums of model and tool calls."""

    def within(self, time_range: TimeRange) -> "AgentHourCallsQuerySet":
        """Every hour that the range touches."""
        return self.filter(hour__gte=timerange.floor(time_range.start, timerange.HOUR), hour__lt=time_range.end)

    def greatest(self, kind: str, by: str, most: int) -> tuple[list[Called], int]:
        """The models or tools with the greatest of one sum, such as cost, and how many more there are."""
        sums = {f"sum_{name}": Sum(name) for name in CALLS}
        of_kind = self.filter(kind=kind)
        named = of_kind.values("name").annotate(called=Sum("call_count"), weight=Sum(by)).filter(called__gt=0)
        rows = list(named.annotate(**sums).order_by("-weight", "-called", "name")[: most + 1])
        found = {each.name: each for each in map(_called, rows[:most])}
        ended = of_kind.filter(name__in=found, bucket__isnull=False).values_list("name", "bucket")
        for name, bucket, count in ended.annotate(n=Sum("call_count")):
            found[name].latencies[bucket] = count
        return list(found.values()), named.count() - most if len(rows) > most else 0

    def failing(self, most: int) -> list[tuple[str, str, int]]:
        """Kind, name and errors of the models and tools whose calls failed, the worst first."""
        errors = self.values_list("kind", "name").annotate(errors=Sum("error_count"))
        return list(errors.filter(errors__gt=0).order_by("-errors", "kind", "name")[:most])

    def errors(self) -> int:
        """How many calls failed."""
        return self.aggregate(errors=Sum("error_count", default=0))["errors"] or 0


class ResourceQuerySet(models.QuerySet["Resource"]):
    """Resources."""

    def of(self, project: "Project", digest: int) -> "Resource | None":
        """The resource that a payload names."""
        return self.filter(project=project, digest=digest).first()


def _volumes(rows: models.QuerySet[Any, tuple[Any, ...]], agent: int | None) -> Volumes:
    """Rows of one agent and bar each, added up by the database: Python would take longer with many agents."""
    found = Volumes({}, {})
    with suppress(EmptyResultSet), connection.cursor() as cursor:
        statement, parameters = rows.query.sql_with_params()
        cursor.execute(_VOLUMES.format(rows=statement), [*parameters, agent])
        for pk, bar, *sums in cursor.fetchall():
            if bar is None:
                found.agents[pk] = Volume(*sums)
            else:
                found.bars[bar] = Volume(*sums)
    return found


_ADDED = "sum(traces)::bigint, sum(errors)::bigint, sum(cost), sum(unpriced)::bigint"
_VOLUMES = f"""
    WITH each (agent_id, bar, traces, errors, cost, unpriced) AS ({{rows}})
    SELECT coalesce(agent_id, 0), NULL, {_ADDED} FROM each GROUP BY 1
    UNION ALL
    SELECT NULL, bar, {_ADDED} FROM each WHERE coalesce(agent_id, 0) = coalesce(%s, agent_id, 0) GROUP BY 2
"""


def _called(row: Mapping[str, Any]) -> Called:
    return Called(row["name"], Calls(*(row[f"sum_{name}"] for name in CALLS)))


def _usage(row: Mapping[str, Any]) -> UsageRow:
    return UsageRow(row["agent_id"], row["bar"], _sums(row))


def _sums(row: Mapping[str, Any]) -> Usage:
    return Usage(*(row[f"sum_{name}"] for name in SUMS))


def _bucket() -> Floor:
    """`traces.summary.latency_bucket` of a trace."""
    duration = Cast(Greatest(F("duration_us"), 1), models.FloatField())
    return Floor(Ln(duration) / Value(BUCKET_BASE), output_field=models.IntegerField())


_COUNTED = {
    "trace_count": Count("id"),
    "error_trace_count": Count("id", filter=Q(status="error")),
    "success_count": Count("id", filter=Q(outcome="success")),
    "failure_count": Count("id", filter=Q(outcome="failure")),
}
_SUMS_OF_TRACES = {f"sum_{name}": _COUNTED.get(name) or Sum(name) for name in SUMS}
