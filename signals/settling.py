"""From targets that are due to labels that wait for a judge, in one transaction.

Ingest queues every trace and session that received spans, with the time at which it counts as settled. Here the due
ones leave that queue and those that an active signal samples get a Label. A crash rolls both back; two settlers at once
never see the same target; a target that settles again only raises what is wanted.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched

from django.db import transaction
from django.db.models import Q

from signals import backlog
from signals.models import Label, Scope, Signal
from signals.querysets import Wanted
from signals.sampling import is_sampled, span_key, trace_key
from signals.targets import spans_of
from traces.models import Session, Trace, Unsettled
from traces.store.base import SpanRecord
from traces.summary import with_named_agent

LIMIT = 500
TRACES_AT_ONCE = 50

type Signals = Mapping[tuple[int, str], Sequence[Signal]]
"""Active signals by agent and scope."""


@dataclass(frozen=True, slots=True)
class Settled:
    """How many targets left the settle queue, and how many labels were queued for them."""

    targets: int
    labels: int


@transaction.atomic
def settle(now: datetime, limit: int = LIMIT) -> Settled:
    """Settle up to `limit` due targets, the longest due first."""
    backlog.keep_signals()  # before any row is locked, so that ingest never waits for a change of a signal
    due = Unsettled.objects.filter(due_at__lte=now).order_by("due_at", "id")
    rows = list(due.select_for_update(skip_locked=True)[:limit])
    if not rows:
        return Settled(0, 0)
    Unsettled.objects.filter(id__in=[row.id for row in rows]).delete()
    signals = _live_signals()
    wanted = [*_traces(rows, signals), *_spans(rows, signals), *_sessions(rows, signals)] if signals else []
    return Settled(len(rows), Label.objects.want(wanted, now))


def judged_spans(spans: Sequence[SpanRecord]) -> list[SpanRecord]:
    """The spans of one trace that span-scoped signals look at: its ended model calls.

    They hold what went in and came out; tools and chains repeat it in part. Of a trace that has settled without any
    model call it is the ended roots, so that agents instrumented by a single span are judged too.
    """
    calls = [span for span in spans if span.kind == "LLM"]
    return [span for span in calls or spans if span.ended and (calls or span.parent_id is None)]


def agents_of(spans: Iterable[SpanRecord], trace_agent: int | None) -> dict[int, int | None]:
    """The agent of each span: the one it names, else that of the nearest span above it, else the trace's."""
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


def _live_signals() -> Signals:
    signals = defaultdict(list)
    for signal in Signal.objects.live().select_related("current_version"):
        signals[signal.agent_id, signal.scope].append(signal)
    return signals


def _ids(rows: Iterable[Unsettled], scope: str) -> dict[int, Unsettled]:
    return {row.target_id: row for row in rows if row.scope == scope}


def _traces(rows: Sequence[Unsettled], signals: Signals) -> Iterator[Wanted]:
    for trace in Trace.objects.filter(id__in=_ids(rows, Scope.TRACE)):
        for signal in _asking(signals, trace.agent_id, Scope.TRACE, trace.last_received_at, trace_key(trace.trace_id)):
            yield Wanted(
                version_id=signal.current_version_id or 0,
                signal_id=signal.id,
                project_id=trace.project_id,
                scope=Scope.TRACE,
                target_key=trace_key(trace.trace_id),
                trace_id=trace.trace_id,
                span_id=None,
                session_key="",
                target_time=trace.start_time,
                wanted_revision=trace.revision,
            )


def _sessions(rows: Sequence[Unsettled], signals: Signals) -> Iterator[Wanted]:
    for session in Session.objects.filter(id__in=_ids(rows, Scope.SESSION)):
        for signal in _asking(signals, session.agent_id, Scope.SESSION, session.last_received_at, session.key):
            yield Wanted(
                version_id=signal.current_version_id or 0,
                signal_id=signal.id,
                project_id=session.project_id,
                scope=Scope.SESSION,
                target_key=session.key,
                trace_id=None,
                span_id=None,
                session_key=session.key,
                target_time=session.start_time,
                wanted_revision=session.revision,
            )


def _spans(rows: Sequence[Unsettled], signals: Signals) -> Iterator[Wanted]:
    """Before their trace has settled, only spans whose agent can't change any more."""
    if not any(scope == Scope.SPAN for _, scope in signals):
        return
    early, settled = _ids(rows, Scope.SPAN), _ids(rows, Scope.TRACE)
    is_due = Q(id__in=settled) | Q(id__in=early, llm_count__gt=0)
    traces = Trace.objects.filter(is_due).order_by("project_id", "start_time", "id")
    for some in batched(traces, TRACES_AT_ONCE, strict=False):
        spans = spans_of(some)
        for trace in some:
            since = min(found[trace.id].since for found in (early, settled) if trace.id in found)
            ready = judged_spans(spans[trace.id])
            if trace.id not in settled:
                named = with_named_agent(spans[trace.id])
                ready = [span for span in ready if span.span_id in named]
            agents = agents_of(spans[trace.id], trace.agent_id)
            yield from _of_trace(trace, [span for span in ready if span.received_at >= since], agents, signals)


def _of_trace(
    trace: Trace, spans: Sequence[SpanRecord], agents: Mapping[int, int | None], signals: Signals
) -> Iterator[Wanted]:
    for span in spans:
        key = span_key(trace.trace_id, span.span_id)
        for signal in _asking(signals, agents[span.span_id], Scope.SPAN, span.received_at, key):
            yield Wanted(
                version_id=signal.current_version_id or 0,
                signal_id=signal.id,
                project_id=trace.project_id,
                scope=Scope.SPAN,
                target_key=key,
                trace_id=trace.trace_id,
                span_id=span.span_id,
                session_key="",
                target_time=span.start_time,
                wanted_revision=span.revision,
            )


def _asking(
    signals: Signals, agent_id: int | None, scope: str, received_at: datetime, target_key: str
) -> Iterator[Signal]:
    """The signals that look at this target: of its agent and scope, active when it was received, and sampling it."""
    for signal in signals.get((agent_id, scope), ()) if agent_id is not None else ():
        version, since = signal.current_version, signal.activated_at
        if version and since and received_at >= since and is_sampled(target_key, version.sample_rate):
            yield signal
