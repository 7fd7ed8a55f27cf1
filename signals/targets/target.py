"""Identity of a trace, session or span as a target."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from catalyst.core.user_hashes import user_hash
from signals.definitions.choices import Scope
from signals.models import Label, SignalRun, SignalVersion
from signals.models.label_queue import LabelRequest
from signals.sampling import span_key, trace_key
from traces.models import Session, Trace
from traces.records import SpanRecord


@dataclass(frozen=True, slots=True)
class Target:
    """A target that signals may label. The fields but `user` are named as in `Label`."""

    project_id: int
    scope: str
    target_key: str
    trace_id: UUID | None
    span_id: int | None
    session_key: str
    target_time: datetime
    wanted_revision: int
    # Of the end user. Labels keep a hash of it, which outlives the spans.
    user: str = ""

    def label_of(self, version: SignalVersion) -> Label:
        """An unsaved label, to read what a judge would see."""
        return Label(version=version, signal=version.signal, **self.columns)

    def request_for(self, version: SignalVersion, run: SignalRun | None = None) -> LabelRequest:
        run_id = run.pk if run else None
        hashed = user_hash(self.project_id, self.user)
        return LabelRequest(
            version_id=version.pk, signal_id=version.signal_id, run_id=run_id, user_hash=hashed, **self.columns
        )

    @property
    def columns(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _NAMES}


_NAMES = tuple(field.name for field in fields(Target) if field.name != "user")


def of_trace(trace: Trace) -> Target:
    return Target(
        project_id=trace.project_id,
        scope=Scope.TRACE,
        target_key=trace_key(trace.trace_id),
        trace_id=trace.trace_id,
        span_id=None,
        session_key="",
        target_time=trace.start_time,
        wanted_revision=trace.revision,
        user=trace.user,
    )


def of_label(label: Label) -> Target:
    return Target(**{name: getattr(label, name) for name in _NAMES})


def of_session(session: Session) -> Target:
    return Target(
        project_id=session.project_id,
        scope=Scope.SESSION,
        target_key=session.key,
        trace_id=None,
        span_id=None,
        session_key=session.key,
        target_time=session.start_time,
        wanted_revision=session.revision,
        user=session.user,
    )


def of_span(trace: Trace, span: SpanRecord) -> Target:
    return Target(
        project_id=trace.project_id,
        scope=Scope.SPAN,
        target_key=span_key(trace.trace_id, span.span_id),
        trace_id=trace.trace_id,
        span_id=span.span_id,
        session_key="",
        target_time=span.start_time,
        wanted_revision=span.revision,
        user=span.user or trace.user,
    )


def judged_spans(spans: Sequence[SpanRecord]) -> list[SpanRecord]:
    """Ended model calls of one trace, or its ended roots if it has no model call."""
    # Tools and chains repeat parts of model calls. Agents instrumented by a single span have only a root.
    calls = [span for span in spans if span.kind == "LLM"]
    return [span for span in calls or spans if span.ended and (calls or span.parent_id is None)]


def agents_of(spans: Iterable[SpanRecord], trace_agent: int | None) -> dict[int, int | None]:
    """The agent of each span: its own, else the nearest ancestor's, else the trace's."""
    by_id: dict[int | None, SpanRecord] = {span.span_id: span for span in spans}
    found: dict[int, int | None] = {}
    for span in by_id.values():
        path: list[int] = []
        at: SpanRecord | None = span
        while at is not None and at.agent_id is None and at.span_id not in found:
            found[at.span_id] = trace_agent  # ends the walk where parents form a circle
            path.append(at.span_id)
            at = by_id.get(at.parent_id)
        agent = trace_agent if at is None else at.agent_id if at.agent_id is not None else found[at.span_id]
        found |= dict.fromkeys([*path, span.span_id], agent)
    return found
