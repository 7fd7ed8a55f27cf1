"""Shared arguments of trace operations, and the rows that they name."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from pydantic.config import JsonDict

from catalyst import timerange
from catalyst.agents.models import Agent
from catalyst.core.operation_context import Context
from catalyst.json_value import InvalidValue
from catalyst.operations import Input, InvalidInput, Limit, NotFound, UtcTime
from catalyst.timerange import RangeName, TimeRange
from traces import label_sources
from traces.filters import EVERYTHING, NAMES, Filter, fields_by_name
from traces.list_params import MAX_LABELS, MAX_TEXT_CHARACTERS, trace_id
from traces.models import Session, Trace
from traces.models.span import hex_span_id
from traces.models.trace import TraceFilter
from traces.records import SpanRecord

MAX_NAMED = 20
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
        description=f"All must hold. Fields: {', '.join(Filter.model_fields)}. Attributes as attribute.KEY. "
        f"Of several values of {', '.join(NAMES[:-1])} or {NAMES[-1]}, any may match.",
        json_schema_extra=FILTER,
    )
    labels: Annotated[list[Text], Field(max_length=MAX_LABELS)] = Field(
        [], description="Only what has these labels: keys, as `facets` shows them."
    )


class ListInput(FilterInput):
    limit: Limit = 30
    after: str | None = Field(None, description="Continue a list: `next` of the page before.")


Skewed = Annotated[
    bool,
    Field(description="Only traces whose clock is far off, by when they arrived instead of when they began."),
]


class TracesInput(FilterInput):
    skewed: Skewed = False


class TraceListInput(ListInput):
    skewed: Skewed = False


def range_of(arguments: RangeInput, now: datetime) -> TimeRange:
    if arguments.start is None:
        if arguments.end is not None:
            raise InvalidInput({"from": "Give a start with an end."})
        return timerange.named(arguments.range, now)
    end = arguments.end or now + timerange.MINUTE
    if arguments.start >= end:
        raise InvalidInput({"from": "The time must begin before it ends."})
    return timerange.between(arguments.start, end)


def filter_of(context: Context, arguments: FilterInput) -> TraceFilter:
    agent = agent_of(context, arguments.agent).pk if arguments.agent is not None else None
    labels = label_sources.conditions(context.project, arguments.labels) if arguments.labels else ()
    return TraceFilter(
        context.project.pk,
        agent=agent,
        text=arguments.search.strip(),
        traffic_filter=_traffic_filter(arguments),
        labels=labels,
    )


def _traffic_filter(arguments: FilterInput) -> Filter:
    if not arguments.filter:
        return EVERYTHING
    try:
        return Filter.parse(fields_by_name(arguments.filter))
    except InvalidValue as error:
        texts = [f"{name}: {text}" for name, text in error.errors.items()]
        raise InvalidInput({"filter": " ".join(texts)}) from error


def trace_of(context: Context, hex_id: str) -> Trace:
    """Raises InvalidInput or NotFound."""
    wanted = trace_id(hex_id)
    if wanted is None:
        raise InvalidInput({"trace": "A trace ID has 32 hexadecimal digits."})
    trace = context.project.traces.for_detail().filter(trace_id=wanted).first()
    if trace is None:
        raise NotFound(f"The project {context.project.slug} has no trace {hex_id}.")
    return trace


def span_of(trace: Trace, spans: list[SpanRecord], hex_id: str) -> SpanRecord:
    """Raises NotFound."""
    for span in spans:
        if hex_span_id(span.span_id) == hex_id:
            return span
    raise NotFound(f"The trace {trace.hex_id} has no span {hex_id}.")


def session_of(context: Context, key: str) -> Session:
    """Raises NotFound."""
    session = context.project.sessions.with_traces().filter(key=key).first()
    if session is None:
        raise NotFound(f"The project {context.project.slug} has no session {key}.")
    return session


def agent_of(context: Context, identity: str) -> Agent:
    """Raises InvalidInput."""
    agents = context.project.agents.order_by("identity")
    agent = agents.filter(identity=identity).first()
    if agent is None:
        known = ", ".join(agents.values_list("identity", flat=True)[:MAX_NAMED]) or "none yet"
        text = f"The project {context.project.slug} has no agent {identity}. Use one of: {known}."
        raise InvalidInput({"agent": text})
    return agent
