"""Spans and payloads (partitioned by day, written by `traces.store`) and what is kept ready: traces, sessions, hours.

Every key starts with the project. Ids in OTLP are the sender's; only (project, trace id, span id) is ours. A foreign
key that another index begins with has none of its own.
"""

from datetime import timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.urls import reverse

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from traces.querysets import (
    AgentHourCallsQuerySet,
    AgentHourLatencyQuerySet,
    AgentHourQuerySet,
    ResourceQuerySet,
    SessionQuerySet,
    TraceQuerySet,
)
from traces.store.base import Extent


class Kind(models.TextChoices):
    """What a span observes; OpenInference's kinds, and SPAN for anything else."""

    LLM = "LLM"
    TOOL = "TOOL"
    CHAIN = "CHAIN"
    RETRIEVER = "RETRIEVER"
    EMBEDDING = "EMBEDDING"
    AGENT = "AGENT"
    RERANKER = "RERANKER"
    GUARDRAIL = "GUARDRAIL"
    EVALUATOR = "EVALUATOR"
    PROMPT = "PROMPT"
    UNKNOWN = "UNKNOWN"
    SPAN = "SPAN"


class Status(models.TextChoices):
    """OpenTelemetry's status codes."""

    UNSET = "unset", "Unset"
    OK = "ok", "OK"
    ERROR = "error", "Error"


class Outcome(models.TextChoices):
    """How a run ended, as far as it says: agent.outcome, else its status."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"


class Counters(models.Model):
    """The sums that traces, sessions and hours share. Tokens and cost are of LLM spans, nested ones left out."""

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
        """Input and output together."""
        return self.input_tokens + self.output_tokens


class Session(Counters):
    """One conversation: the traces that carry the same session id in one project."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="sessions", db_index=False)
    key = models.CharField(max_length=256, help_text="The sender's session id.")
    agent = models.ForeignKey(Agent, on_delete=models.SET_NULL, null=True, related_name="sessions")
    user = models.CharField(max_length=256, blank=True, help_text="The end user that the agent served.")
    start_time = models.DateTimeField()
    end_time = models.DateTimeField()
    trace_count = models.BigIntegerField(default=0)
    error_trace_count = models.BigIntegerField(default=0, help_text="Traces whose root failed.")
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
        """From the start of its first span to the end of its last."""
        return (self.end_time - self.start_time) // timedelta(microseconds=1)


class Trace(Counters):
    """One run: what is known of all spans that share a trace id in one project."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="traces", db_index=False)
    trace_id = models.UUIDField()
    agent = models.ForeignKey(Agent, on_delete=models.SET_NULL, null=True, related_name="traces")
    session = models.ForeignKey(Session, on_delete=models.SET_NULL, null=True, related_name="traces", db_index=False)
    user = models.CharField(max_length=256, blank=True)
    service = models.CharField(max_length=256, blank=True)
    environment = models.CharField(max_length=256, blank=True)
    name = models.CharField(max_length=512, blank=True, help_text="Name of the root, else of the earliest span.")
    status = models.CharField(max_length=5, choices=Status, default=Status.UNSET, help_text="Status of the root.")
    outcome = models.CharField(max_length=7, choices=Outcome, default=Outcome.UNKNOWN)
    start_time = models.DateTimeField()
    end_time = models.DateTimeField(help_text="End of the last span that ended, or start of a later open one.")
    duration_us = models.BigIntegerField(default=0, help_text="Of the ended root, else from start to end.")
    root_span_id = models.BigIntegerField(null=True)
    root_ended = models.BooleanField(default=False)
    model_names = ArrayField(models.CharField(max_length=256), default=list)
    input_preview = models.CharField(max_length=300, blank=True)
    output_preview = models.CharField(max_length=300, blank=True)
    revision = models.BigIntegerField(default=0, help_text="Grows with every batch that changed one of its spans.")
    first_received_at = models.DateTimeField()
    last_received_at = models.DateTimeField()

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
            # The conversation of a session, in order.
            models.Index(fields=["session", "start_time", "id"], name="traces_trace_by_session"),
        ]

    def __str__(self) -> str:
        return self.name or self.hex_id

    def get_absolute_url(self) -> str:
        return reverse("traces:trace-detail", args=[self.project.slug, self.hex_id])

    @property
    def hex_id(self) -> str:
        """The trace id as OpenTelemetry writes it: 32 hexadecimal digits."""
        return self.trace_id.hex

    @property
    def extent(self) -> Extent:
        """Where its spans lie."""
        return Extent(self.trace_id, self.start_time, self.end_time)


class AgentHour(Counters):
    """Sums over the traces of one agent that started in one hour. `agent` is null for traces that name none."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, null=True, related_name="hours")
    hour = models.DateTimeField()
    trace_count = models.BigIntegerField(default=0)
    error_trace_count = models.BigIntegerField(default=0, help_text="Traces whose root failed.")
    success_count = models.BigIntegerField(default=0)
    failure_count = models.BigIntegerField(default=0)

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


class AgentHourLatency(models.Model):
    """How many traces of an agent's hour took how long, within 5 % (`traces.summary.latency_bucket`)."""

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


class AgentHourCalls(models.Model):
    """Calls of one model or tool that took about as long, in the traces of an agent's hour.

    Model calls are those that `Counters` takes tokens and cost from: nested ones are left out.
    """

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


class Unsettled(models.Model):
    """The settle queue: a target that received spans, due to be looked at when it has been quiet long enough.

    Ingest upserts the row in its own transaction; whoever settles deletes it in theirs. SPAN and TRACE rows name a
    Trace, SESSION rows a Session.
    """

    class Scope(models.TextChoices):
        SPAN = "span", "Span"
        TRACE = "trace", "Trace"
        SESSION = "session", "Session"

    scope = models.CharField(max_length=7, choices=Scope)
    target_id = models.BigIntegerField(help_text="Primary key of the Trace or Session.")
    due_at = models.DateTimeField()
    since = models.DateTimeField(help_text="When the first span arrived that has not settled yet.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "target_id"], name="traces_unsettled_key")]
        indexes = [models.Index(fields=["due_at"], name="traces_unsettled_due")]
        verbose_name_plural = "unsettled"

    def __str__(self) -> str:
        return f"{self.scope} {self.target_id}"


class Resource(models.Model):
    """Who sent a span: OpenTelemetry's resource attributes and instrumentation scope, kept once and named by digest."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    digest = models.BigIntegerField()
    attributes = models.JSONField(default=dict)
    scope_name = models.CharField(max_length=512, blank=True)
    scope_version = models.CharField(max_length=256, blank=True)

    objects = ResourceQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "digest"], name="traces_resource_key")]

    def __str__(self) -> str:
        return self.scope_name


class SpanKey(models.Model):
    """The key of a span, and of a payload by its first span. `start_time` is in it because it chooses the partition."""

    pk = models.CompositePrimaryKey("project_id", "trace_id", "span_id", "start_time")
    project_id = models.BigIntegerField()
    trace_id = models.UUIDField()
    span_id = models.BigIntegerField(help_text="The eight bytes as a signed integer.")
    start_time = models.DateTimeField()

    class Meta:
        abstract = True


class Span(SpanKey):
    """One span, without its text. Written only by `traces.store`."""

    parent_id = models.BigIntegerField(null=True)
    duration_us = models.BigIntegerField(null=True, help_text="Null while the span is open.")
    received_at = models.DateTimeField()
    revision = models.IntegerField(default=1, help_text="Grows when a fuller version of the span arrives.")
    digest = models.BigIntegerField(help_text="Of everything sent, to recognise a re-delivery.")
    kind = models.CharField(max_length=9, choices=Kind)
    otel_kind = models.SmallIntegerField(help_text="OpenTelemetry's span kind: 1 internal, 2 server, 3 client…")
    name = models.TextField()
    status = models.CharField(max_length=5, choices=Status)
    status_message = models.TextField()
    service = models.TextField()
    environment = models.TextField()
    agent_id = models.BigIntegerField(null=True, help_text="The agent that this span itself names.")
    session_key = models.TextField()
    user = models.TextField()
    model = models.TextField()
    tool = models.TextField(help_text="Name of the tool that a TOOL span ran.")
    provider = models.TextField()
    outcome = models.CharField(max_length=7, choices=Outcome)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    cached_tokens = models.BigIntegerField(null=True)
    cache_write_tokens = models.BigIntegerField(null=True)
    reasoning_tokens = models.BigIntegerField(null=True)
    cost = models.DecimalField(max_digits=20, decimal_places=9, null=True, help_text="US dollars; null: unpriced.")
    input_cost = models.DecimalField(
        max_digits=20, decimal_places=9, null=True, help_text="Null: only the sum is known."
    )
    cache_cost = models.DecimalField(max_digits=20, decimal_places=9, null=True, help_text="Read and written.")
    output_cost = models.DecimalField(max_digits=20, decimal_places=9, null=True)
    input_size = models.IntegerField(help_text="Characters of input, so that lists need no payload.")
    output_size = models.IntegerField()
    skewed = models.BooleanField(help_text="Its clock lies outside the retention window or in the future.")
    attribute_tokens = ArrayField(models.BigIntegerField(), help_text="xxh3_64 of key=value, for exact search.")

    class Meta:
        managed = False
        db_table = "traces_span"

    def __str__(self) -> str:
        return self.name


class Payload(SpanKey):
    """The text of some spans of one trace and day, none of which started before it: read by trace, never in a list."""

    span_ids = ArrayField(models.BigIntegerField())
    body = models.BinaryField(help_text="The text of each, packed by `traces.store.packing`.")

    class Meta:
        managed = False
        db_table = "traces_payload"

    def __str__(self) -> str:
        return hex_span_id(self.span_id)


PARTITIONED: tuple[type[SpanKey], ...] = (Span, Payload)


def hex_span_id(span_id: int) -> str:
    """A span id as OpenTelemetry writes it: 16 hexadecimal digits."""
    return f"{span_id & 0xFFFFFFFFFFFFFFFF:016x}"
