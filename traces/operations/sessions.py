"""The operations `traces.sessions` and `traces.session`."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from pydantic import ConfigDict, Field

from catalyst.core.operation_context import Context
from catalyst.operations import CAMEL, Effect, Input, Limit, Page, Scope, cursor_of, operation
from catalyst.pagination import Cursor
from traces import label_sources
from traces.models import Session
from traces.operations.inputs import ListInput, filter_of, range_of, session_of
from traces.operations.traces import GivenLabel, TraceRecord


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
def list_sessions(context: Context, arguments: ListInput) -> Page[SessionRecord]:
    """List sessions, last active first."""
    known = context.project.sessions.with_traces().matching(filter_of(context, arguments))
    found = known.within(range_of(arguments, context.now)).newest(cursor_of(arguments.after))
    sessions = list(found.for_list(context.project.traces.all())[: arguments.limit + 1])
    return Page.of(sessions, arguments.limit, SessionRecord.of, lambda session: Cursor(session.end_time, session.pk))


class SessionInput(Input):
    session: str = Field(description="Session ID, as spans carry it.")
    limit: Limit = Field(50, description="Maximum number of traces.")


@dataclass(frozen=True, slots=True)
class SessionDetail:
    session: SessionRecord
    labels: list[GivenLabel]
    # The first ones, in order of start.
    traces: list[TraceRecord]


@operation("traces.session", Scope.READ, Effect.READS)
def show_session(context: Context, arguments: SessionInput) -> SessionDetail:
    """Show a session with its traces."""
    session = session_of(context, arguments.session)
    labels = label_sources.pills_for_sessions(context.project, [session.key]).get(session.key, [])
    traces = context.project.traces.filter(session=session).in_order().for_list()[: arguments.limit]
    return SessionDetail(
        SessionRecord.of(session),
        [GivenLabel.of(label) for label in labels],
        [TraceRecord.of(trace) for trace in traces],
    )
