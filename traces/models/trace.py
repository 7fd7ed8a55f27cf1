"""Traces and sessions."""

import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Count, DurationField, Exists, ExpressionWrapper, F, OuterRef, Q, Sum, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Floor, Greatest, Ln, TruncDay
from django.urls import reverse

from catalyst import database, timerange
from catalyst.agents.models import Agent
from catalyst.core.models import Project
from catalyst.pagination import Cursor
from catalyst.timerange import TimeRange, bucket_start
from traces import clocks
from traces.filters import EVERYTHING, Filter
from traces.label_sources import LabelCondition
from traces.models import conditions
from traces.models.choices import Outcome, Status
from traces.models.conditions import any_of, between, has_attribute, milliseconds, status_is
from traces.models.volumes import Volumes, agent_is, usage_of, usage_row, volumes_of
from traces.records import Extent
from traces.summary import BUCKET_BASE, OUTCOME_OF_STATUS
from traces.trace_groups import TraceGroup
from traces.usage import SUMS, LatencyRow, Runs, UsageRow

MAX_NEWER = 100
MAX_SKEWED = 1_000

# By which time a list of traces goes.
type TimeField = Literal["start_time", "first_received_at"]


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """The filter of a list. `agent` 0 matches traces without an agent.

    `skewed`: only traces whose clock is far off. Their start is no use, so the list goes by when they arrived.
    """

    project_id: int
    agent: int | None = None
    session: int | None = None
    text: str = ""
    traffic_filter: Filter = EVERYTHING
    labels: tuple[LabelCondition, ...] = ()
    skewed: bool = False
    finding: TraceGroup | None = None

    @property
    def time_field(self) -> TimeField:
        return "first_received_at" if self.skewed else "start_time"

    @property
    def status(self) -> str:
        return self.traffic_filter.status

    @property
    def label_keys(self) -> list[str]:
        return [label.key for label in self.labels]

    @property
    def count(self) -> int:
        """The number of conditions, each of which a list shows with the way out."""
        others = (self.agent is not None, self.session is not None, self.text, self.skewed, self.finding)
        return len(self.traffic_filter.parts) + len(self.labels) + sum(map(bool, others))

    @property
    def narrows(self) -> bool:
        return self != TraceFilter(self.project_id)

    @property
    def narrows_agent(self) -> bool:
        """True if it matches less than all traces of an agent."""
        return replace(self, agent=None).narrows

    @property
    def needs_rows(self) -> bool:
        """True if hourly sums, which know only agents and statuses, can't count the matches."""
        return bool(
            self.session
            or self.text
            or self.labels
            or self.skewed
            or self.finding
            or self.traffic_filter.dump().keys() - {"status"}
        )


SHOWN_COUNTERS = ("error_count", "llm_count", "input_tokens", "output_tokens", "cost", "unpriced_count", "span_count")


def neighbors(trace: "Trace") -> tuple[UUID | None, UUID | None]:
    """The trace ids of the previous and next turn of the session."""
    position = [trace.project_id, trace.session_id, trace.start_time, trace.pk]
    ((before, after),) = database.fetch(_NEIGHBORS, position + position)
    return before, after


_TURNS = "SELECT trace_id FROM traces_trace WHERE project_id = %s AND session_id = %s AND (start_time, id)"
_NEIGHBORS = f"""
    SELECT ({_TURNS} < (%s, %s) ORDER BY start_time DESC, id DESC LIMIT 1),
        ({_TURNS} > (%s, %s) ORDER BY start_time, id LIMIT 1)
"""


def _bucket() -> Floor:
    duration = Cast(Greatest(F("duration_us"), 1), models.FloatField())
    return Floor(Ln(duration) / Value(BUCKET_BASE), output_field=models.IntegerField())


# Traces whose agent reported another outcome than the status says.
REPORTS_OUTCOME = ~Q(outcome="unknown")
for _status, _outcome in OUTCOME_OF_STATUS.items():
    REPORTS_OUTCOME &= ~Q(status=_status, outcome=_outcome)

_COUNTED = {
    "trace_count": Count("id"),
    "error_trace_count": Count("id", filter=Q(status="error")),
    "success_count": Count("id", filter=Q(outcome="success")),
    "failure_count": Count("id", filter=Q(outcome="failure")),
    "reported_outcome_count": Count("id", filter=REPORTS_OUTCOME),
}

SUMS_OF_TRACES = {f"sum_{name}": _COUNTED.get(name) or Sum(name) for name in SUMS}


class Counters(models.Model):
    """Sums of traces, sessions and hours. Tokens and cost are of LLM spans that are not nested in another one."""

    span_count = models.BigIntegerField(default=0)
    llm_count = models.BigIntegerField(default=0)
    tool_count = models.BigIntegerField(default=0)
    error_count = models.BigIntegerField(default=0, help_text="Spans with status error.")
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0, help_text="Input tokens read from the provider's cache.")
    cache_write_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    cost = models.DecimalField(max_digits=20, decimal_places=9, default=0, help_text="US dollars, of priced calls.")
    input_cost = models.DecimalField(max_digits=20, decimal_places=9, default=0, help_text="Known part: fresh input.")
    cache_cost = models.DecimalField(max_digits=20, decimal_places=9, default=0, help_text="Known part: the cache.")
    output_cost = models.DecimalField(max_digits=20, decimal_places=9, default=0, help_text="Known part: output.")
    unpriced_count = models.BigIntegerField(default=0, help_text="LLM calls with tokens but no known price.")

    class Meta:
        abstract = True

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


class SessionQuerySet(models.QuerySet["Session"]):
    def with_traces(self) -> "SessionQuerySet":
        """Excludes sessions whose traces all moved to other sessions."""
        return self.filter(trace_count__gt=0)

    def expired(self, days: int, now: datetime) -> "SessionQuerySet":
        """Sessions without traces that ended, and last received a span, more than `days` ago.

        A session that ends in the future counts from its last span: the sender's clock is off.
        """
        kept_since = timerange.kept_since(now, days)
        has_ended = Q(end_time__lt=kept_since) | Q(end_time__gt=now)
        return self.filter(has_ended, trace_count=0, last_received_at__lt=kept_since).order_by("end_time")

    def within(self, time_range: TimeRange) -> "SessionQuerySet":
        """Sessions last active in the range."""
        return self.filter(end_time__gte=time_range.start, end_time__lt=time_range.end)

    def matching(self, trace_filter: TraceFilter) -> "SessionQuerySet":
        sessions = self
        if trace_filter.agent is not None:
            sessions = sessions.filter(agent_is(trace_filter.agent))
        for label in trace_filter.labels:
            sessions = sessions.filter(label.sessions)
        return sessions.filter(of_sessions(trace_filter.project_id, trace_filter.traffic_filter))

    def newest(self, after: Cursor | None = None) -> "SessionQuerySet":
        """Last active first, from behind `after`."""
        sessions = self.order_by("-end_time", "-id")
        if after is None:
            return sessions
        return sessions.filter(Q(end_time__lt=after.time) | Q(id__lt=after.id), end_time__lte=after.time)

    def count_newer(self, cursor: Cursor) -> int:
        """Counts up to MAX_NEWER."""
        return self.filter(end_time__gt=cursor.time)[:MAX_NEWER].count()

    def for_list(self, traces: "TraceQuerySet") -> "SessionQuerySet":
        """Adds the agent and `opening`: the first user message in `traces`."""
        first = traces.filter(session=models.OuterRef("pk")).in_order().values("input_preview")[:1]
        return self.select_related("agent").annotate(opening=models.Subquery(first)).fetch_mode(models.FETCH_RAISE)


class Session(Counters):
    """The traces of a project with the same session id."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="sessions", db_index=False)
    key = models.CharField(max_length=256, help_text="The sender's session id.")
    agent = models.ForeignKey(Agent, on_delete=models.SET_NULL, null=True, related_name="sessions")
    user = models.CharField(max_length=256, blank=True, help_text="The end user that the agent served.")
    start_time = models.DateTimeField()
    end_time = models.DateTimeField()
    trace_count = models.BigIntegerField(default=0)
    error_trace_count = models.BigIntegerField(default=0, help_text="Traces with a root that failed.")
    revision = models.BigIntegerField(default=0, help_text="Grows with every batch that changed one of its spans.")
    first_received_at = models.DateTimeField()
    last_received_at = models.DateTimeField()

    objects = SessionQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "key"], name="traces_session_key")]
        indexes = [
            # The sessions page and an agent's sessions, newest first.
            models.Index(fields=["project", "-end_time", "-id"], name="traces_session_newest"),
            models.Index(fields=["project", "agent", "-end_time", "-id"], name="traces_session_by_agent"),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def duration_us(self) -> int:
        return (self.end_time - self.start_time) // timedelta(microseconds=1)


# Pages show the first 8 digits of an id.
_ID = re.compile("[0-9a-f]{8,32}")


def id_begins_with(text: str) -> Q:
    """Traces whose id begins so; none unless the text has 8 to 32 hexadecimal digits."""
    digits = text.strip().lower()
    if not _ID.fullmatch(digits):
        return Q(pk__in=[])
    return Q(trace_id__gte=UUID(hex=digits.ljust(32, "0")), trace_id__lte=UUID(hex=digits.ljust(32, "f")))


class TraceQuerySet(models.QuerySet["Trace"]):
    def within(self, time_range: TimeRange, by: TimeField = "start_time") -> "TraceQuerySet":
        return self.filter(**{f"{by}__gte": time_range.start, f"{by}__lt": time_range.end})

    def matching(self, trace_filter: TraceFilter) -> "TraceQuerySet":
        traces = self
        if trace_filter.agent is not None:
            traces = traces.filter(agent_is(trace_filter.agent))
        traces = traces.filter(conditions.of_traces(trace_filter.project_id, trace_filter.traffic_filter))
        if trace_filter.session is not None:
            traces = traces.filter(session_id=trace_filter.session)
        if trace_filter.skewed:
            traces = traces.filter(skewed=True)
        if trace_filter.finding is not None:
            traces = traces.filter(trace_filter.finding.traces)
        for label in trace_filter.labels:
            traces = traces.filter(label.traces)
        if trace_filter.text:
            text = trace_filter.text
            has_text = Q(name__icontains=text) | Q(input_preview__icontains=text) | id_begins_with(text)
            traces = traces.filter(has_text)
        return traces

    def newest(self, after: Cursor | None = None, by: TimeField = "start_time") -> "TraceQuerySet":
        """Newest first, from behind `after`."""
        traces = self.order_by(f"-{by}", "-id")
        if after is None:
            return traces
        return traces.filter(Q(**{f"{by}__lt": after.time}) | Q(id__lt=after.id), **{f"{by}__lte": after.time})

    def count_newer(self, cursor: Cursor, by: TimeField = "start_time") -> int:
        """Counts up to MAX_NEWER."""
        return self.filter(**{f"{by}__gt": cursor.time})[:MAX_NEWER].count()

    def count_skewed(self, time_range: TimeRange) -> int:
        """Counts skewed traces that arrived in the range, up to MAX_SKEWED."""
        return self.filter(skewed=True).within(time_range, "first_received_at").order_by()[:MAX_SKEWED].count()

    def skewed_since(self, time_range: TimeRange, limit: int) -> datetime | None:
        """Since when `limit` skewed traces of the range arrived; None if there are fewer."""
        skewed = self.filter(skewed=True).within(time_range, "first_received_at").newest(by="first_received_at")
        return skewed.values_list("first_received_at", flat=True)[limit - 1 : limit].first()

    def in_order(self) -> "TraceQuerySet":
        return self.order_by("start_time", "id")

    def stored(self, trace_ids: Collection[UUID]) -> set[UUID]:
        """Which of these there are."""
        return set(self.filter(trace_id__in=trace_ids).values_list("trace_id", flat=True))

    def expired(self, days: int, now: datetime) -> "TraceQuerySet":
        """Traces that started more than `days` ago, earliest first.

        A trace that was older than the retention when it arrived counts from its arrival: the sender's clock is off.
        """
        kept_since = timerange.kept_since(now, days)
        # Whole days, like the days of the store: that of the start was kept until the end of this one.
        last_day = TruncDay("start_time", tzinfo=UTC) + timedelta(days=settings.RETENTION_DAYS)
        came_in_time = Q(first_received_at__lt=last_day + timedelta(days=1))
        old = self.filter(came_in_time | Q(first_received_at__lt=kept_since), start_time__lt=kept_since)
        return old.in_order()

    def expired_ahead(self, days: int, now: datetime) -> "TraceQuerySet":
        """Traces that start in the future and arrived more than `days` ago."""
        return self.filter(start_time__gt=now, first_received_at__lt=timerange.kept_since(now, days)).in_order()

    def for_list(self) -> "TraceQuerySet":
        """Only the fields of a list row; reading others raises an error instead of a query."""
        return (
            self.select_related("agent", "session")
            .only(
                *("trace_id", "name", "status", "start_time", "duration_us", "root_ended", "model_names", "skewed"),
                *("first_received_at", "input_preview", "user", "agent__name", "agent__identity", "session__key"),
                *SHOWN_COUNTERS,
            )
            .fetch_mode(models.FETCH_RAISE)
        )

    def for_detail(self) -> "TraceQuerySet":
        return self.select_related("agent", "session")

    def volumes(
        self,
        time_range: TimeRange,
        agent: int | None,
        since: datetime | None = None,
        by: TimeField = "start_time",
    ) -> Volumes:
        """Volumes since a time. For short ranges, and filters that hourly sums can't apply."""
        rows = (
            self.within(time_range if since is None else replace(time_range, start=since), by)
            .order_by()
            .values_list("agent_id", bucket_start(by, time_range))
            .annotate(
                traces=Count("id"), errors=Count("id", filter=Q(status="error")),
                spent=Sum("cost"), unpriced=Sum("unpriced_count"),
            )
        )  # fmt: skip
        return volumes_of(rows, agent)

    def usage(self, time_range: TimeRange, since: datetime) -> list[UsageRow]:
        """For ranges with steps below an hour."""
        traces = self.filter(start_time__gte=since, start_time__lt=time_range.end).order_by()
        rows = traces.values("agent_id", bar=bucket_start("start_time", time_range)).annotate(**SUMS_OF_TRACES)
        return [usage_row(row) for row in rows]

    def latencies(self, time_range: TimeRange, since: datetime) -> list[LatencyRow]:
        """For ranges with steps below an hour."""
        traces = self.filter(start_time__gte=since, start_time__lt=time_range.end).order_by()
        rows = traces.values_list("agent_id", bucket_start("start_time", time_range), _bucket()).annotate(n=Count("id"))
        return [LatencyRow(*row) for row in rows]

    def runs_by(self, value: Combinable, time_range: TimeRange) -> dict[str, dict[datetime, Runs]]:
        """Runs by the text of an expression and by bar, in one query. Without those where it is null."""
        keyed = self.within(time_range).order_by().annotate(by=value)
        bar = bucket_start("start_time", time_range)
        rows = keyed.values("by", bar=bar, bucket=_bucket()).annotate(**SUMS_OF_TRACES)
        runs_by_text: dict[str, dict[datetime, Runs]] = defaultdict(lambda: defaultdict(Runs))
        for row in (row for row in rows if row["by"] is not None):
            runs, sums = runs_by_text[row["by"]][row["bar"]], usage_of(row)
            runs.usage += sums
            runs.latencies[row["bucket"]] += sums.trace_count
        return runs_by_text


class Trace(Counters):
    """The spans of a project with the same trace id."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="traces", db_index=False)
    trace_id = models.UUIDField()
    agent = models.ForeignKey(Agent, on_delete=models.SET_NULL, null=True, related_name="traces")
    session = models.ForeignKey(Session, on_delete=models.SET_NULL, null=True, related_name="traces", db_index=False)
    user = models.CharField(max_length=256, blank=True)
    service = models.CharField(max_length=256, blank=True)
    service_version = models.CharField(max_length=256, blank=True, help_text="Of the service, as its resource says.")
    environment = models.CharField(max_length=256, blank=True)
    name = models.CharField(max_length=512, blank=True, help_text="Name of the root, else of the earliest span.")
    status = models.CharField(
        max_length=5,
        choices=Status,
        default=Status.UNSET,
        help_text="Error if a root failed, else that of the earliest.",
    )
    outcome = models.CharField(max_length=7, choices=Outcome, default=Outcome.UNKNOWN)
    start_time = models.DateTimeField()
    end_time = models.DateTimeField(help_text="End of the last span that ended, or start of a later open one.")
    duration_us = models.BigIntegerField(default=0, help_text="Of the ended roots, else from start to end.")
    root_span_id = models.BigIntegerField(null=True)
    root_ended = models.BooleanField(default=False, help_text="There are roots, and all of them have ended.")
    model_names = ArrayField(models.CharField(max_length=256), default=list)
    input_preview = models.CharField(max_length=300, blank=True)
    output_preview = models.CharField(max_length=300, blank=True)
    revision = models.BigIntegerField(default=0, help_text="Grows with every batch that changed one of its spans.")
    first_received_at = models.DateTimeField()
    last_received_at = models.DateTimeField()
    skewed = models.BooleanField(
        default=False, db_default=False, help_text="Its earliest span is: see `traces.models.span.Span`."
    )

    objects = TraceQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "trace_id"], name="traces_trace_key")]
        indexes = [
            # The traces page, an agent's traces, and the ones that failed; newest first.
            models.Index(fields=["project", "-start_time", "-id"], name="traces_trace_newest"),
            models.Index(fields=["project", "agent", "-start_time", "-id"], name="traces_trace_by_agent"),
            models.Index(
                fields=["project", "-start_time", "-id"],
                name="traces_trace_errors",
                condition=models.Q(status="error"),
            ),
            # Traces whose clock is far off, by when they arrived.
            models.Index(
                fields=["project", "-first_received_at", "-id"],
                name="traces_trace_skewed",
                condition=models.Q(skewed=True),
            ),
            # The conversation of a session, in order.
            models.Index(fields=["session", "start_time", "id"], name="traces_trace_by_session"),
        ]

    def __str__(self) -> str:
        return self.name or self.hex_id

    def get_absolute_url(self) -> str:
        return reverse("traces:trace-detail", args=[self.project.slug, self.hex_id])

    @property
    def hex_id(self) -> str:
        return self.trace_id.hex

    @property
    def extent(self) -> Extent:
        return Extent(self.trace_id, self.start_time, self.end_time)

    @property
    def reported_outcome(self) -> str:
        """The outcome, if the agent reported another one than the status says."""
        return "" if self.outcome in ("unknown", OUTCOME_OF_STATUS.get(self.status)) else self.outcome

    @property
    def clock_note(self) -> str:
        """Why the start can't be right. Empty if it can."""
        return clocks.explanation(self.start_time, self.first_received_at) if self.skewed else ""


def of_sessions(project_id: int, traffic_filter: Filter) -> Q:
    traces = Trace.objects.filter(session=OuterRef("pk"))
    condition = Q(**any_of(traffic_filter, "user")) & status_is(traffic_filter, Q(error_trace_count__gt=0))
    for lookup, values in any_of(traffic_filter, "environment", "service").items():
        condition &= Q(Exists(traces.filter(**{lookup: values})))
    if traffic_filter.model:
        condition &= Q(Exists(traces.filter(model_names__overlap=list(traffic_filter.model))))
    duration = ExpressionWrapper(F("end_time") - F("start_time"), DurationField())
    condition &= between(
        duration, milliseconds(traffic_filter.min_duration_ms), milliseconds(traffic_filter.max_duration_ms)
    )
    condition &= between(F("input_tokens") + F("output_tokens"), traffic_filter.min_tokens, traffic_filter.max_tokens)
    for attribute_filter in traffic_filter.by_attribute:
        condition &= Q(Exists(traces.filter(has_attribute(project_id, attribute_filter))))
    return condition
