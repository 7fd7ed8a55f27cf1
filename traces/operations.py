"""Operations on traces, sessions and agents."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from catalyst import timerange
from catalyst.core.operation_context import Context
from catalyst.json_value import InvalidValue
from catalyst.operations import (
    CAMEL,
    Effect,
    Input,
    InvalidInput,
    Limit,
    NotFound,
    Page,
    Scope,
    UtcTime,
    cursor_of,
    operation,
)
from catalyst.params import MAX_OFFSET
from catalyst.querysets import Cursor
from catalyst.timerange import RangeName, TimeRange
from traces import label_sources
from traces.analytics import runs
from traces.filters import EVERYTHING, Filter, fields_by_name
from traces.list_params import MAX_LABELS, MAX_TEXT_CHARACTERS, trace_id
from traces.models import Session, Trace
from traces.models.span import hex_span_id
from traces.models.trace import TraceFilter
from traces.records import SpanRecord
from traces.transcripts import conversations

FILTER: JsonDict = {"properties": Filter.model_json_schema()["properties"]}

Text = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS)]


class RangeInput(Input):
    range: RangeName = Field("1d", description="Only what began in this time.")
    start: UtcTime | None = Field(None, alias="from", description="Instead of a range: start, ISO 8601, in UTC.")
    end: UtcTime | None = Field(None, alias="to", description="End, exclusive (default: now).")


class FilterInput(RangeInput):
    agent: str | None = Field(None, description="Identity of an agent.")
    search: Text = Field("", description="Part of the name or of the first message.")
    filter: dict[str, Any] | None = Field(
        None,
        description=f"All must hold. Fields: {', '.join(Filter.model_fields)}. Attributes as attribute.KEY.",
        json_schema_extra=FILTER,
    )
    labels: Annotated[list[Text], Field(max_length=MAX_LABELS)] = Field(
        [], description="Only what has these labels, as the URL of the list names them."
    )
    limit: Limit = 30
    after: str | None = Field(None, description="Continue a list: `next` of the page before.")


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
    # True until the root has ended.
    is_open: bool
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
def list_traces(context: Context, given: FilterInput) -> Page[TraceRecord]:
    """List traces, newest first."""
    found = context.project.traces.matching(_wanted(context, given)).within(_range(given, context.now))
    traces = list(found.newest(cursor_of(given.after)).for_list()[: given.limit + 1])
    return Page.of(traces, given.limit, TraceRecord.of, lambda trace: Cursor(trace.start_time, trace.pk))


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
    """A trace with its first spans, in order of start."""

    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    trace: TraceRecord
    spans: list[SpanSummary]


@operation("traces.show", Scope.READ, Effect.READS)
def show_trace(context: Context, given: TraceInput) -> TraceDetail:
    """Show a trace with its spans."""
    wanted = trace_id(given.trace)
    if wanted is None:
        raise InvalidInput({"trace": "A trace ID has 32 hexadecimal digits."})
    trace = context.project.traces.for_detail().filter(trace_id=wanted).first()
    if trace is None:
        raise NotFound(f"The project {context.project.slug} has no trace {given.trace}.")
    spans = conversations.spans_of(trace)[: given.limit]
    return TraceDetail(TraceRecord.of(trace), [SpanSummary.of(span) for span in spans])


@dataclass(frozen=True, slots=True)
class SessionRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    session_id: str
    start_time: datetime
    end_time: datetime
    user: str
    trace_count: int
    error_trace_count: int
    input_tokens: int
    output_tokens: int
    cost: Decimal
    unpriced_count: int

    @classmethod
    def of(cls, session: Session) -> "SessionRecord":
        return cls(
            session_id=session.key,
            start_time=session.start_time,
            end_time=session.end_time,
            user=session.user,
            trace_count=session.trace_count,
            error_trace_count=session.error_trace_count,
            input_tokens=session.input_tokens,
            output_tokens=session.output_tokens,
            cost=session.cost,
            unpriced_count=session.unpriced_count,
        )


@operation("traces.sessions", Scope.READ, Effect.READS)
def list_sessions(context: Context, given: FilterInput) -> Page[SessionRecord]:
    """List sessions, last active first."""
    known = context.project.sessions.with_traces().matching(_wanted(context, given))
    found = known.within(_range(given, context.now)).newest(cursor_of(given.after))
    sessions = list(found.for_list(context.project.traces.all())[: given.limit + 1])
    return Page.of(sessions, given.limit, SessionRecord.of, lambda session: Cursor(session.end_time, session.pk))


class SessionInput(Input):
    session: str = Field(description="Session ID, as spans carry it.")
    limit: Limit = Field(50, description="Maximum number of traces.")


@dataclass(frozen=True, slots=True)
class SessionDetail:
    """A session with its first traces, in order of start."""

    session: SessionRecord
    traces: list[TraceRecord]


@operation("traces.session", Scope.READ, Effect.READS)
def show_session(context: Context, given: SessionInput) -> SessionDetail:
    """Show a session with its traces."""
    session = context.project.sessions.with_traces().filter(key=given.session).first()
    if session is None:
        raise NotFound(f"The project {context.project.slug} has no session {given.session}.")
    traces = context.project.traces.filter(session=session).in_order().for_list()[: given.limit]
    return SessionDetail(SessionRecord.of(session), [TraceRecord.of(trace) for trace in traces])


class AgentsInput(RangeInput):
    limit: Limit = 200
    after: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = Field(0, description="Continue a list: `next` of the page.")


@dataclass(frozen=True, slots=True)
class AgentRecord:
    __pydantic_config__: ClassVar[ConfigDict] = CAMEL

    id: str
    identity: str
    source: str
    name: str
    # In the hours that the range touches.
    run_count: int
    first_run: datetime
    last_run: datetime | None


@operation("traces.agents", Scope.READ, Effect.READS)
def list_agents(context: Context, given: AgentsInput) -> Page[AgentRecord]:
    """List agents, busiest first."""
    found = runs.busiest(context.project, _range(given, context.now))
    rows = list(found[given.after : given.after + given.limit + 1])
    records = [
        AgentRecord(
            id=str(agent.pk),
            identity=agent.identity,
            source=agent.source,
            name=agent.name,
            run_count=getattr(agent, "runs", 0),
            first_run=agent.first_run,
            last_run=agent.last_run,
        )
        for agent in rows[: given.limit]
    ]
    more = given.after + given.limit
    return Page(records, str(more) if len(rows) > given.limit and more <= MAX_OFFSET else None)


def _range(given: RangeInput, now: datetime) -> TimeRange:
    if given.start is None:
        if given.end is not None:
            raise InvalidInput({"from": "Give a start with an end."})
        return timerange.named(given.range, now)
    end = given.end or now + timerange.MINUTE
    if given.start >= end:
        raise InvalidInput({"from": "The time must begin before it ends."})
    return timerange.between(given.start, end)


def _wanted(context: Context, given: FilterInput) -> TraceFilter:
    agent = None
    if given.agent is not None:
        agent = context.project.agents.filter(identity=given.agent).values_list("pk", flat=True).first()
        if agent is None:
            raise InvalidInput({"agent": f"The project {context.project.slug} has no agent {given.agent}."})
    labels = label_sources.conditions(context.project, given.labels) if given.labels else ()
    return TraceFilter(
        context.project.pk, agent=agent, text=given.search.strip(), traffic_filter=_filter(given), labels=labels
    )


def _filter(given: FilterInput) -> Filter:
    if not given.filter:
        return EVERYTHING
    try:
        return Filter.parse(fields_by_name(given.filter))
    except InvalidValue as error:
        texts = [f"{name}: {text}" for name, text in error.errors.items()]
        raise InvalidInput({"filter": " ".join(texts)}) from error
