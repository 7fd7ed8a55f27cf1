"""From targets that are due to labels that wait for a judge, in one transaction.

Ingest queues every trace and session that received spans, with the time at which it counts as settled. Here the due
ones leave that queue; those that an active signal samples get a Label, and what else it looked at is noted. A crash
rolls all back; two settlers at once never see the same target; a target that settles again only raises what is wanted.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched

from django.db import transaction
from django.db.models import Q

from signals.definitions.choices import Scope
from signals.models import Signal, SignalVersion
from signals.models.label_queue import LabelRequest
from signals.targets import requeue
from signals.targets.sampler import sample_and_enqueue
from signals.targets.target import Target, agents_of, judged_spans, of_session, of_span, of_trace
from traces.facts import facts_of_sessions, facts_of_traces
from traces.filters import Facts, Filter, facts_of_span
from traces.models import Session, Trace, Unsettled
from traces.records import SpanRecord
from traces.store.reads import spans_of
from traces.summary import with_named_agent

LIMIT = 500
TRACES_AT_ONCE = 50

type Signals = Mapping[tuple[int, str], Sequence[ActiveVersion]]
"""What is asked, by agent and scope."""


@dataclass(frozen=True, slots=True)
class ActiveVersion:
    """The version that an active signal asks, about what it got since when it asks it, and passes."""

    version: SignalVersion
    since: datetime
    traffic_filter: Filter


@dataclass(frozen=True, slots=True)
class Settled:
    """How many targets left the settle queue, and how many labels were queued for them."""

    targets: int
    labels: int


def has_work(now: datetime) -> bool:
    """Whether any target is due."""
    return Unsettled.objects.filter(due_at__lte=now).exists()


@transaction.atomic
def settle(now: datetime, limit: int = LIMIT) -> Settled:
    """Settle up to `limit` due targets, the longest due first."""
    requeue.share_signal_lock()  # before any row is locked, so that ingest never waits for a change of a signal
    due = Unsettled.objects.filter(due_at__lte=now).order_by("due_at", "id")
    rows = list(due.select_for_update(skip_locked=True)[:limit])
    if not rows:
        return Settled(0, 0)
    Unsettled.objects.filter(id__in=[row.id for row in rows]).delete()
    signals = _live_signals()
    matching = [*_traces(rows, signals), *_spans(rows, signals), *_sessions(rows, signals)] if signals else []
    rates = {each.version.pk: each.version.sample_rate for asking in signals.values() for each in asking}
    return Settled(len(rows), sample_and_enqueue(matching, rates, now).queued)


def _live_signals() -> Signals:
    asking = defaultdict(list)
    for signal in Signal.objects.live().select_related("current_version"):
        if (version := signal.current_version) and signal.activated_at:
            asking[signal.agent_id, signal.scope].append(
                ActiveVersion(version, signal.activated_at, version.traffic_filter)
            )
    return asking


def _filters(signals: Signals, scope: str) -> list[Filter]:
    return [each.traffic_filter for (_, of), asking in signals.items() if of == scope for each in asking]


def _ids(rows: Iterable[Unsettled], scope: str) -> dict[int, Unsettled]:
    return {row.target_id: row for row in rows if row.scope == scope}


def _traces(rows: Sequence[Unsettled], signals: Signals) -> Iterator[LabelRequest]:
    traces = list(Trace.objects.filter(id__in=_ids(rows, Scope.TRACE)))
    facts = facts_of_traces(traces, _filters(signals, Scope.TRACE))
    for trace in traces:
        yield from _wanted(signals, trace.agent_id, of_trace(trace), facts[trace.pk], trace.last_received_at)


def _sessions(rows: Sequence[Unsettled], signals: Signals) -> Iterator[LabelRequest]:
    sessions = list(Session.objects.filter(id__in=_ids(rows, Scope.SESSION)))
    facts = facts_of_sessions(sessions, _filters(signals, Scope.SESSION))
    for session in sessions:
        yield from _wanted(signals, session.agent_id, of_session(session), facts[session.pk], session.last_received_at)


def _spans(rows: Sequence[Unsettled], signals: Signals) -> Iterator[LabelRequest]:
    """Before their trace has settled, only spans whose agent can't change any more."""
    if Scope.SPAN not in {scope for _, scope in signals}:
        return
    early, settled = _ids(rows, Scope.SPAN), _ids(rows, Scope.TRACE)
    is_due = Q(id__in=settled) | Q(id__in=early, llm_count__gt=0)
    traces = Trace.objects.filter(is_due).order_by("project_id", "start_time", "id")
    for some in batched(traces, TRACES_AT_ONCE, strict=False):
        spans = spans_of(some)
        for trace in some:
            since = min(found[trace.id].since for found in (early, settled) if trace.id in found)
            ready = _ready(spans[trace.id], since, is_settled=trace.id in settled)
            yield from _wanted_of_spans(signals, trace, ready, agents_of(spans[trace.id], trace.agent_id))


def _wanted_of_spans(
    signals: Signals, trace: Trace, ready: Iterable[SpanRecord], agents: Mapping[int, int | None]
) -> Iterator[LabelRequest]:
    for span in ready:
        match, facts = of_span(trace, span), facts_of_span(span)
        yield from _wanted(signals, agents[span.span_id], match, facts, span.received_at)


def _ready(spans: Sequence[SpanRecord], since: datetime, *, is_settled: bool) -> list[SpanRecord]:
    """The spans of a trace to judge that were received since then."""
    ready = [span for span in judged_spans(spans) if span.received_at >= since]
    if is_settled or not ready:
        return ready
    named = with_named_agent(spans)
    return [span for span in ready if span.span_id in named]


def _wanted(
    signals: Signals, agent_id: int | None, match: Target, facts: Facts, received_at: datetime
) -> Iterator[LabelRequest]:
    """The target for each that asks: of its agent and scope, active when it came, and letting it pass."""
    for asking in signals.get((agent_id, match.scope), ()) if agent_id is not None else ():
        if received_at >= asking.since and asking.traffic_filter.passes(facts):
            yield match.request_for(asking.version)
