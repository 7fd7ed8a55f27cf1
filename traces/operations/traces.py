"""Operations on traces and spans."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from catalyst.core.operation_context import Context
from catalyst.operations import CAMEL, Effect, Input, Limit, Page, Scope, cursor_of, operation
from catalyst.pagination import Cursor
from traces import label_sources
from traces.analytics.list_volumes import list_volumes
from traces.analytics.overview import overview
from traces.label_sources import Facet, Pill
from traces.models import Resource, Trace
from traces.models.span import hex_span_id
from traces.operations.inputs import (
    RangeInput,
    TraceListInput,
    TracesInput,
    agent_of,
    filter_of,
    range_of,
    span_of,
    trace_of,
)
from traces.operations.transcripts import AttachmentRecord, attachment_records
from traces.records import SpanRecord
from traces.transcripts import conversations

MAX_AGENTS = 12
MAX_FILES = 1_000


@dataclass(frozen=True, slots=True)
class GivenLabel:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    name: str
    # None while there is none; `note` tells why.
    value: str | None
    sentiment: str
    reason: str
    judge: str
    labelled_at: datetime | None
    status: str
    note: str
    key: str
    """What lists take to show only targets with this label."""

    @classmethod
    def of(cls, pill: Pill) -> "GivenLabel":
        return cls(
            name=pill.name,
            value=pill.value or None,
            sentiment=pill.sentiment,
            reason=pill.reason,
            judge=pill.judged_by,
            labelled_at=pill.labelled_at,
            status=pill.status,
            note=pill.note,
            key=pill.key,
        )


@dataclass(frozen=True, slots=True)
class TraceRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    trace_id: str
    start_time: datetime
    name: str
    agent: str | None
    session_id: str | None
    user: str
    status: str
    duration_us: int
    is_open: bool
    """Whether it has no root, or one that has not ended yet."""
    is_skewed: bool
    """Whether its clock is far off."""
    models: list[str]
    span_count: int
    error_count: int
    input_tokens: int
    output_tokens: int
    cost: Decimal
    unpriced_count: int
    input_preview: str

    @classmethod
    def of(cls, trace: Trace) -> "TraceRecord":
        return cls(
            trace_id=trace.hex_id,
            start_time=trace.start_time,
            name=trace.name,
            agent=trace.agent.identity if trace.agent else None,
            session_id=trace.session.key if trace.session else None,
            user=trace.user,
            status=trace.status,
            duration_us=trace.duration_us,
            is_open=not trace.root_ended,
            is_skewed=trace.skewed,
            models=list(trace.model_names),
            span_count=trace.span_count,
            error_count=trace.error_count,
            input_tokens=trace.input_tokens,
            output_tokens=trace.output_tokens,
            cost=trace.cost,
            unpriced_count=trace.unpriced_count,
            input_preview=trace.input_preview,
        )


@operation("traces.list", Scope.READ, Effect.READS)
def list_traces(context: Context, arguments: TraceListInput) -> Page[TraceRecord]:
    """List traces, newest first."""
    wanted = replace(filter_of(context, arguments), skewed=arguments.skewed)
    by = wanted.time_field
    found = context.project.traces.matching(wanted).within(range_of(arguments, context.now), by)
    traces = list(found.newest(cursor_of(arguments.after), by).for_list()[: arguments.limit + 1])
    return Page.of(traces, arguments.limit, TraceRecord.of, lambda trace: Cursor(getattr(trace, by), trace.pk))


@dataclass(frozen=True, slots=True)
class Bucket:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    start: datetime
    trace_count: int
    error_count: int


@dataclass(frozen=True, slots=True)
class AgentCount:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    agent: str | None
    trace_count: int


@dataclass(frozen=True, slots=True)
class TracesOverview:
    """Statuses and agents are counted under the other filters."""

    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    trace_count: int
    error_count: int
    cost: Decimal
    unpriced_count: int
    statuses: dict[str, int]
    agents: list[AgentCount]
    buckets: list[Bucket]
    # Older traces were not counted. None if all were.
    since: datetime | None


@operation("traces.overview", Scope.READ, Effect.READS)
def show_overview(context: Context, arguments: TracesInput) -> TracesOverview:
    """Sum up the traces of a list: counts, cost, agents, and bars over time."""
    time_range = range_of(arguments, context.now)
    wanted = replace(filter_of(context, arguments), skewed=arguments.skewed)
    volumes, since = list_volumes(context.project, time_range, wanted, context.now)
    found = overview(volumes, time_range, wanted, {}, since)
    shown = found.agents[:MAX_AGENTS]
    names = context.project.agents.in_bulk([agent for agent, _ in shown])
    return TracesOverview(
        trace_count=found.traces,
        error_count=found.errors,
        cost=found.cost,
        unpriced_count=found.unpriced_count,
        statuses=found.statuses,
        agents=[AgentCount(names[agent].identity if agent in names else None, count) for agent, count in shown],
        buckets=[Bucket(start, bar.traces, bar.errors) for start, bar in sorted(volumes.bars.items())],
        since=since,
    )


@dataclass(frozen=True, slots=True)
class FacetRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    # Lists can be filtered by it.
    key: str
    name: str
    scope: str
    value: str
    count: int


@dataclass(frozen=True, slots=True)
class FacetList:
    labels: list[FacetRecord]


class FacetsInput(RangeInput):
    agent: str | None = Field(None, description="Identity of an agent: only labels of its traffic.")


@operation("traces.facets", Scope.READ, Effect.READS)
def list_facets(context: Context, arguments: FacetsInput) -> FacetList:
    """List the labels that lists of traces and sessions can be narrowed to."""
    agent = agent_of(context, arguments.agent).pk if arguments.agent is not None else None
    found = label_sources.facets(context.project, range_of(arguments, context.now), agent)
    return FacetList([record for facet in found for record in _records_of(facet)])


def _records_of(facet: Facet) -> list[FacetRecord]:
    return [FacetRecord(value.key, facet.name, facet.scope, value.value, value.count or 0) for value in facet.values]


class TraceInput(Input):
    trace: str = Field(description="Trace ID, 32 hexadecimal digits.")
    limit: Limit = Field(200, description="Maximum number of spans.")


@dataclass(frozen=True, slots=True)
class SpanSummary:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    span_id: str
    parent_span_id: str | None
    start_time: datetime
    kind: str
    name: str
    status: str
    status_message: str
    duration_us: int | None
    model: str
    tool: str
    input_tokens: int | None
    output_tokens: int | None
    cost: Decimal | None

    @classmethod
    def of(cls, span: SpanRecord) -> "SpanSummary":
        return cls(
            span_id=hex_span_id(span.span_id),
            parent_span_id=hex_span_id(span.parent_id) if span.parent_id is not None else None,
            start_time=span.start_time,
            kind=span.kind,
            name=span.name,
            status=span.status,
            status_message=span.status_message,
            duration_us=span.duration_us,
            model=span.model,
            tool=span.tool,
            input_tokens=span.input_tokens,
            output_tokens=span.output_tokens,
            cost=span.cost,
        )


@dataclass(frozen=True, slots=True)
class TraceDetail:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    trace: TraceRecord
    service: str
    service_version: str
    environment: str
    labels: list[GivenLabel]
    """Labels of the trace as a whole."""
    # The first ones, in order of start.
    spans: list[SpanSummary]


@operation("traces.show", Scope.READ, Effect.READS)
def show_trace(context: Context, arguments: TraceInput) -> TraceDetail:
    """Show a trace with its spans."""
    trace = trace_of(context, arguments.trace)
    spans = conversations.spans_of(trace)[: arguments.limit]
    labels = label_sources.pills_for_trace(context.project, trace.trace_id).own
    return TraceDetail(
        trace=TraceRecord.of(trace),
        service=trace.service,
        service_version=trace.service_version,
        environment=trace.environment,
        labels=[GivenLabel.of(label) for label in labels],
        spans=[SpanSummary.of(span) for span in spans],
    )


class SpanInput(Input):
    trace: str = Field(description="Trace ID, 32 hexadecimal digits.")
    span: str = Field(description="Span ID, 16 hexadecimal digits.")


@dataclass(frozen=True, slots=True)
class SpanDetail:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    span: SpanSummary
    labels: list[GivenLabel]
    input: str | None
    output: str | None
    input_messages: list[dict[str, Any]] | None
    output_messages: list[dict[str, Any]] | None
    # The files of its messages and tool calls. Texts only mention them.
    attachments: list[AttachmentRecord]
    attributes: dict[str, Any]
    events: list[dict[str, Any]] | None
    links: list[dict[str, Any]] | None
    # Attributes of the sender.
    resource: dict[str, Any] | None


@operation("traces.span", Scope.READ, Effect.READS)
def show_span(context: Context, arguments: SpanInput) -> SpanDetail:
    """Show a span with its text, attributes, events and labels."""
    trace = trace_of(context, arguments.trace)
    span = span_of(trace, conversations.spans_of(trace), arguments.span)
    payload = conversations.payload_of(trace, span)
    resource = Resource.objects.of(context.project, payload.resource_digest)
    pills = label_sources.pills_for_span(context.project, trace.trace_id, span.span_id)
    labels = pills.by_span.get(span.span_id, [])
    files = conversations.files_of(span, payload)
    payload = conversations.without_files(payload)
    return SpanDetail(
        span=SpanSummary.of(span),
        labels=[GivenLabel.of(label) for label in labels],
        input=payload.input,
        output=payload.output,
        input_messages=payload.input_messages,
        output_messages=payload.output_messages,
        attachments=attachment_records(files[:MAX_FILES]),
        attributes=payload.attributes,
        events=payload.events,
        links=payload.links,
        resource=resource.attributes if resource else None,
    )
