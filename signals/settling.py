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
from signals.matching import Match, agents_of, judged_spans, of_session, of_span, of_trace
from signals.models import Label, Scope, Signal
from signals.querysets import Wanted
from signals.sampling import is_sampled
from signals.targets import spans_of
from traces.models import Session, Trace, Unsettled
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


def _live_signals() -> Signals:
    signals = defaultdict(list)
    for signal in Signal.objects.live().select_related("current_version"):
        signals[signal.agent_id, signal.scope].append(signal)
    return signals


def _ids(rows: Iterable[Unsettled], scope: str) -> dict[int, Unsettled]:
    return {row.target_id: row for row in rows if row.scope == scope}


def _traces(rows: Sequence[Unsettled], signals: Signals) -> Iterator[Wanted]:
    for trace in Trace.objects.filter(id__in=_ids(rows, Scope.TRACE)):
        yield from _wanted(signals, trace.agent_id, of_trace(trace), trace.last_received_at)


def _sessions(rows: Sequence[Unsettled], signals: Signals) -> Iterator[Wanted]:
    for session in Session.objects.filter(id__in=_ids(rows, Scope.SESSION)):
        yield from _wanted(signals, session.agent_id, of_session(session), session.last_received_at)


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
            for span in (span for span in ready if span.received_at >= since):
                yield from _wanted(signals, agents[span.span_id], of_span(trace, span), span.received_at)


def _wanted(signals: Signals, agent_id: int | None, match: Match, received_at: datetime) -> Iterator[Wanted]:
    """The target for each signal that looks at it: of its agent and scope, active when it came, and sampling it."""
    for signal in signals.get((agent_id, match.scope), ()) if agent_id is not None else ():
        version, since = signal.current_version, signal.activated_at
        if version and since and received_at >= since and is_sampled(match.target_key, version.sample_rate):
            yield match.wanted_by(version)
