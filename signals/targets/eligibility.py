"""Stored targets with the facts that decide which signals evaluate them."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, QuerySet

from signals.definitions.choices import Scope
from signals.targets import target
from signals.targets.pause import Pause
from signals.targets.target import Target, agents_of, judged_spans
from traces.facts import facts_of_sessions, facts_of_traces
from traces.filters import Facts, Filter, facts_of_span
from traces.models import Session, Trace, Unsettled
from traces.models.span import hex_span_id
from traces.records import SpanRecord
from traces.store.reads import spans_of


@dataclass(frozen=True, slots=True)
class TargetEligibility:
    """One target. `settles_at` returns when it settles for a signal with this quiet time if no more spans arrive, None
    once it has.

    `agent` owns the signals that evaluate it. `ignored` is why no signal of its scope does, in words.
    """

    match: Target
    agent: int | None
    received_at: datetime
    settles_at: Callable[[timedelta], datetime | None]
    facts: Callable[[Collection[Filter]], Facts]
    ignored: str = ""


def of_trace(trace: Trace) -> TargetEligibility:
    return TargetEligibility(
        target.of_trace(trace),
        trace.agent_id,
        trace.last_received_at,
        _for_all(_rows([Scope.TRACE], trace.pk)),
        lambda filters: facts_of_traces([trace], filters)[trace.pk],
    )


def of_session(session: Session) -> TargetEligibility:
    row = _rows([Scope.SESSION], session.pk).first()
    return TargetEligibility(
        target.of_session(session),
        session.agent_id,
        session.last_received_at,
        Pause(session, row).settles_at if row else _has_settled,
        lambda filters: facts_of_sessions([session], filters)[session.pk],
    )


def of_span(trace: Trace, hex_id: str) -> TargetEligibility | None:
    """Returns None if the span is not stored."""
    spans = spans_of([trace])[trace.pk]
    span = next((span for span in spans if hex_span_id(span.span_id) == hex_id), None)
    if span is None:
        return None
    return TargetEligibility(
        target.of_span(trace, span),
        agents_of(spans, trace.agent_id)[span.span_id],
        span.received_at,
        # Only rows that cover the time at which it was received.
        _for_all(_rows([Scope.SPAN, Scope.TRACE], trace.pk).filter(since__lte=span.received_at)),
        lambda _: facts_of_span(span),
        _ignored(span, spans),
    )


def _rows(scopes: Iterable[str], target_id: int) -> QuerySet[Unsettled]:
    return Unsettled.objects.filter(scope__in=list(scopes), target_id=target_id)


def _for_all(rows: QuerySet[Unsettled]) -> Callable[[timedelta], datetime | None]:
    due: datetime | None = rows.aggregate(due=Max("due_at"))["due"]
    return lambda _: due


def _has_settled(_: timedelta) -> None:
    return None


def _ignored(span: SpanRecord, spans: Sequence[SpanRecord]) -> str:
    if span in judged_spans(spans):
        return ""
    if not span.ended:
        return "This span has not ended yet."
    if any(other.kind == "LLM" for other in spans):
        return "Signals about spans look at model calls, and this is none."
    return "No span of this trace is a model call, so signals about spans look at its root alone."
