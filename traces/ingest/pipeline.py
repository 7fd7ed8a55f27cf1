"""Stores decoded spans in one transaction (docs/adr/0005). Repeated, late and unordered spans give the same result.

Locks the rows of traces first, in key order. A changed trace is summarized again from all of its spans, and the
difference is applied to every rollup.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.conf import settings
from django.db import OperationalError, transaction
from psycopg.errors import DeadlockDetected

from catalyst import timerange
from traces.conventions.span_mapping import NormalizedSpan, ResourceContext, read_span
from traces.conventions.usage import add_price
from traces.ingest import cardinality, deploys, rollups, settle_queue, trace_rows
from traces.ingest.agents import agent_ids, other_agent
from traces.ingest.identities import keep_resources, session_ids
from traces.ingest.rollups import Change
from traces.ingest.trace_rows import LockedTrace, TraceRow
from traces.models import ExpiredDay
from traces.otlp import DecodedSpan, Source
from traces.records import PayloadRecord, SpanRecord
from traces.span_store import ShortRead, SpanStore, span_store
from traces.summary import Summary, named_call, span_end, summarize, with_named_agent
from traces.transcripts.transcript import input_preview, output_preview

logger = logging.getLogger(__name__)

MAX_TRIES = 3

type Preview = Callable[[PayloadRecord], str]


class Refusal(StrEnum):
    """Why a span is not stored. `reason` is for its sender."""

    EXPIRED = "expired"
    FULL = "full"

    @property
    def reason(self) -> str:
        if self is Refusal.EXPIRED:
            return "some spans of its trace were deleted at the end of their retention"
        return f"its trace has {settings.MAX_TRACE_SPANS:,} spans, the most that a trace may have"


@dataclass(slots=True, frozen=True)
class IngestResult:
    """Numbers of new spans, replaced versions, duplicates, and spans that were refused, by reason."""

    inserted: int = 0
    replaced: int = 0
    duplicate: int = 0
    # New or replaced, and received after their trace had settled or long after they had ended.
    late: int = 0
    # New or replaced, and of the agent (other) or counted under (other).
    other: int = 0
    refused: Mapping[Refusal, int] = field(default_factory=dict)


@dataclass(slots=True)
class SpanBatch:
    """The spans of a request. `sources` by digest."""

    project_id: int
    received_at: datetime
    readings: list[NormalizedSpan]
    sources: dict[int, Source]
    unreadable: int


@dataclass(slots=True)
class TraceBatch:
    """The received spans of a trace, and the stored ones."""

    arriving: dict[int, NormalizedSpan] = field(default_factory=dict)
    stored: dict[int, SpanRecord] = field(default_factory=dict)
    refused: dict[int, Refusal] = field(default_factory=dict)

    def add(self, reading: NormalizedSpan) -> None:
        other = self.arriving.get(reading.span.span_id)
        if other is None or version_precedence(reading.span) > version_precedence(other.span):
            self.arriving[reading.span.span_id] = reading

    def merge_stored(self, stored: Sequence[SpanRecord]) -> None:
        """Add stored spans, and drop received versions that are not fuller."""
        self.stored = {span.span_id: span for span in stored}
        for span_id, old in self.stored.items():
            new = self.arriving.get(span_id)
            if new is not None and not supersedes(new, old):
                del self.arriving[span_id]
            elif new is not None:
                new.span.revision = old.revision + 1

    def refuse(self, span_ids: Iterable[int], why: Refusal) -> None:
        for span_id in list(span_ids):
            del self.arriving[span_id]
            self.refused[span_id] = why

    def refuse_beyond(self, most: int) -> None:
        """Refuse new spans beyond so many of the trace, the last ones received."""
        new = [span_id for span_id in self.arriving if span_id not in self.stored]
        self.refuse(new[max(0, most - len(self.stored)) :], Refusal.FULL)

    def final(self) -> list[SpanRecord]:
        """All spans of the trace after this batch."""
        return list((self.stored | {span_id: new.span for span_id, new in self.arriving.items()}).values())


def version_precedence(span: SpanRecord) -> tuple[bool, datetime, int, int, int]:
    """The order of versions of a span; the greatest is kept. The digest makes the order total."""
    return span.ended, span_end(span), len(span.attribute_tokens), span.input_size + span.output_size, span.digest


def supersedes(new: NormalizedSpan, old: SpanRecord) -> bool:
    """Whether a version takes the place of the stored one."""
    if new.is_regrouped:
        return version_precedence(new.span) == version_precedence(old)
    return version_precedence(new.span) > version_precedence(old)


def read(project_id: int, sent: Sequence[DecodedSpan], now: datetime) -> SpanBatch:
    """Normalize decoded spans, without the database. `now` is when they were received."""
    senders: dict[int, ResourceContext] = {}
    readings: list[NormalizedSpan] = []
    kept_since = timerange.kept_since(now, settings.RETENTION_DAYS)
    for span in sent:
        sender = senders.get(id(span.source)) or senders.setdefault(id(span.source), ResourceContext(span.source))
        try:
            readings.append(read_span(span, sender, project_id=project_id, now=now, kept_since=kept_since))
        except (TypeError, ValueError, OverflowError):
            logger.exception("A span of trace %s can't be read", span.trace_id)
    for reading in readings:
        if reading.is_split:
            add_price(reading.span)
    sources = {sender.digest: sender.source for sender in senders.values()}
    return SpanBatch(project_id, now, readings, sources, len(sent) - len(readings))


def write(arrivals: Sequence[SpanBatch]) -> list[IngestResult]:
    """Store spans of one project, all or none; returns a result for each batch.

    Raises django.db.Error, or ShortRead if the store misses spans that have not expired. Retrying may help.
    """
    if not any(arrival.readings for arrival in arrivals):
        return [IngestResult() for _ in arrivals]
    store = span_store()
    store.ensure_current(max(arrival.received_at for arrival in arrivals))
    return _write_patiently(arrivals, store, settles=True)


def rewrite(stored: SpanBatch) -> IngestResult:
    """Store spans again that are stored, under the agents that they count as now. Signals do not judge them again.

    Raises as `write` does.
    """
    return _write_patiently([stored], span_store(), settles=False)[0]


def store(project_id: int, sent: Sequence[DecodedSpan], now: datetime) -> IngestResult:
    """Read and write a batch."""
    return write([read(project_id, sent, now)])[0]


def _write_patiently(arrivals: Sequence[SpanBatch], store: SpanStore, *, settles: bool) -> list[IngestResult]:
    for _ in range(MAX_TRIES - 1):
        try:
            return _write(arrivals, store, settles=settles)
        except (OperationalError, ShortRead) as error:
            if not _may_pass(error):
                raise
    return _write(arrivals, store, settles=settles)


def _may_pass(error: OperationalError | ShortRead) -> bool:
    return isinstance(error, ShortRead) or isinstance(error.__cause__, DeadlockDetected)


@transaction.atomic
def _write(arrivals: Sequence[SpanBatch], store: SpanStore, *, settles: bool) -> list[IngestResult]:
    project_id = arrivals[0].project_id
    received = [arrival.received_at for arrival in arrivals]
    since, now = min(received), max(received)
    _clear_imported(arrivals, store)
    batches = _batches(project_id, arrivals, now)
    summaries = {trace_id: summarize(batch.final()) for trace_id, batch in batches.items()}
    sessions = session_ids(project_id, summaries.values(), now)
    rows = [_new_row(trace_id, batches[trace_id], summary, sessions) for trace_id, summary in summaries.items()]
    locked = trace_rows.lock(project_id, rows, since, now)
    _merge_stored(project_id, batches, [trace for trace in locked.values() if not trace.created], store)
    changes = {
        trace_id: Change(None, summaries[trace_id], None, sessions.get(summaries[trace_id].session_key))
        for trace_id, trace in locked.items()
        if trace.created
    }
    changes |= _revise(project_id, batches, locked, store, now)
    inserted, replaced = _write_spans(store, [batches[trace_id] for trace_id in changes])
    rollups.apply(project_id, list(changes.values()), now)
    deploys.keep(project_id, changes.values(), now)
    settled = _enqueue(project_id, batches, locked, changes, since, now) if settles else set()
    return [_outcome_of(arrival, batches, inserted, replaced, settled) for arrival in arrivals]


def _clear_imported(arrivals: Sequence[SpanBatch], store: SpanStore) -> None:
    """A start before the retention is right if its day was made for an import."""
    skewed = [reading.span for arrival in arrivals for reading in arrival.readings if reading.span.skewed]
    old = [span for span in skewed if span.start_time < span.received_at]
    if not old:
        return
    made = store.made({span.start_time.date() for span in old})
    for span in old:
        span.skewed = span.start_time.date() not in made


def _merge_stored(
    project_id: int, batches: Mapping[UUID, TraceBatch], existing: Sequence[LockedTrace], store: SpanStore
) -> None:
    # A full trace is not read at all, so that it delays nobody.
    full = [trace for trace in existing if trace.span_count >= settings.MAX_TRACE_SPANS]
    for trace in full:
        batches[trace.trace_id].refuse(batches[trace.trace_id].arriving, Refusal.FULL)
    growing = [trace for trace in existing if trace.span_count < settings.MAX_TRACE_SPANS]
    stored = store.spans(project_id, [trace.extent for trace in growing])
    incomplete = []
    for trace in growing:
        batch = batches[trace.trace_id]
        batch.merge_stored(stored.get(trace.trace_id, []))
        batch.refuse_beyond(settings.MAX_TRACE_SPANS)
        if len(batch.stored) < trace.span_count:
            incomplete.append(trace)
            # Its sums can't be computed again without all of its spans.
            batch.refuse(batch.arriving, Refusal.EXPIRED)
    if incomplete:
        _require_expired(project_id, incomplete)


def _require_expired(project_id: int, incomplete: Sequence[LockedTrace]) -> None:
    days = ExpiredDay.objects.overlapping([trace.extent for trace in incomplete])
    for trace in incomplete:
        if not any(day.took_from(trace.pk, trace.extent) for day in days):
            raise ShortRead(
                f"The store does not return all {trace.span_count} spans of trace {trace.trace_id.hex} "
                f"of project {project_id}."
            )


def _outcome_of(
    arrival: SpanBatch,
    batches: Mapping[UUID, TraceBatch],
    inserted: Set[int],
    replaced: Set[int],
    settled: Set[UUID],
) -> IngestResult:
    late_before = arrival.received_at - settings.SETTLE_ROOTLESS
    new = fuller = late = other = 0
    refused = _refused(arrival, batches)
    for reading in arrival.readings:
        span = reading.span
        if id(span) in inserted:
            new += 1
        elif id(span) in replaced:
            fuller += 1
        else:
            continue
        other += reading.is_other
        if (settled and span.trace_id in settled) or (
            span.start_time < late_before and span.ended and span_end(span) < late_before
        ):
            late += 1
    return IngestResult(new, fuller, len(arrival.readings) - new - fuller - refused.total(), late, other, refused)


def _refused(arrival: SpanBatch, batches: Mapping[UUID, TraceBatch]) -> Counter[Refusal]:
    refused: Counter[Refusal] = Counter()
    if any(batch.refused for batch in batches.values()):
        for reading in arrival.readings:
            why = batches[reading.span.trace_id].refused.get(reading.span.span_id)
            if why is not None:
                refused[why] += 1
    return refused


def _batches(project_id: int, arrivals: Sequence[SpanBatch], now: datetime) -> dict[UUID, TraceBatch]:
    keep_resources(project_id, {digest: source for arrival in arrivals for digest, source in arrival.sources.items()})
    readings = [reading for arrival in arrivals for reading in arrival.readings]
    _resolve_names(project_id, readings, now)
    batches: dict[UUID, TraceBatch] = defaultdict(TraceBatch)
    for reading in readings:
        reading.span.revision = 1
        batches[reading.span.trace_id].add(reading)
    for batch in batches.values():
        batch.refuse_beyond(settings.MAX_TRACE_SPANS)
    return batches


def _resolve_names(project_id: int, readings: Sequence[NormalizedSpan], now: datetime) -> None:
    """Set the agents of spans, and whether they count under their own model or tool."""
    limited = not any(reading.is_regrouped for reading in readings)
    _resolve_agents(project_id, readings, now, limited=limited)
    names = (named_call(reading.span) for reading in readings if reading.span.model or reading.span.tool)
    refused = cardinality.keep_call_names(project_id, names, now, limited=limited)
    if refused:
        for reading in readings:
            reading.span.counts_as_other = named_call(reading.span) in refused
            reading.is_other |= reading.span.counts_as_other


def _resolve_agents(project_id: int, readings: Sequence[NormalizedSpan], now: datetime, *, limited: bool) -> None:
    agents = agent_ids(project_id, readings, now, limited=limited)
    is_beyond = any(reading.agent is not None and reading.agent.identity not in agents for reading in readings)
    other = other_agent(project_id, now) if is_beyond else None
    for reading in readings:
        if reading.is_other:
            # A try before this one found that.
            reading.is_other = reading.span.counts_as_other = False
        if reading.agent is not None:
            reading.span.agent_id = agents.get(reading.agent.identity, other)
            reading.is_other = reading.span.agent_id == other


def _new_row(trace_id: UUID, batch: TraceBatch, summary: Summary, sessions: Mapping[str, int]) -> TraceRow:
    def text(span: SpanRecord | None, preview: Preview) -> str:
        return preview(batch.arriving[span.span_id].payload) if span is not None else ""

    return TraceRow(
        trace_id,
        summary,
        sessions.get(summary.session_key),
        text(summary.input_span, input_preview),
        text(summary.output_span, output_preview),
    )


def _revise(
    project_id: int,
    batches: Mapping[UUID, TraceBatch],
    locked: Mapping[UUID, LockedTrace],
    store: SpanStore,
    now: datetime,
) -> dict[UUID, Change]:
    revised = [trace for trace in locked.values() if not trace.created and batches[trace.trace_id].arriving]
    after = {trace.trace_id: summarize(batches[trace.trace_id].final()) for trace in revised}
    sessions = session_ids(project_id, after.values(), now)
    changes, rows = {}, []
    for trace in revised:
        batch, summary = batches[trace.trace_id], after[trace.trace_id]
        before = summarize(list(batch.stored.values())) if batch.stored else None
        session = sessions.get(summary.session_key)
        changes[trace.trace_id] = Change(before, summary, trace.session_id, session)
        previews = _previews(project_id, batch, trace, before, summary, store)
        rows.append(TraceRow(trace.trace_id, summary, session, *previews))
    trace_rows.update(project_id, rows, now)
    return changes


def _previews(
    project_id: int, batch: TraceBatch, trace: LockedTrace, before: Summary | None, after: Summary, store: SpanStore
) -> tuple[str, str]:
    def text(span: SpanRecord | None, old: SpanRecord | None, old_preview: str, preview: Preview) -> str:
        if span is None:
            return ""
        if span.span_id in batch.arriving:
            return preview(batch.arriving[span.span_id].payload)
        if old is not None and old.span_id == span.span_id:
            return old_preview
        payload = store.payloads(project_id, trace.extent, [span.span_id]).get(span.span_id)
        return preview(payload) if payload is not None else ""

    old_input, old_output = (before.input_span, before.output_span) if before else (None, None)
    return (
        text(after.input_span, old_input, trace.input_preview, input_preview),
        text(after.output_span, old_output, trace.output_preview, output_preview),
    )


def _write_spans(store: SpanStore, batches: Sequence[TraceBatch]) -> tuple[set[int], set[int]]:
    arriving = [(batch.stored.get(span_id), new) for batch in batches for span_id, new in batch.arriving.items()]
    inserts = [(new.span, new.text) for old, new in arriving if old is None]
    replaces = [(old, new.span, new.text) for old, new in arriving if old is not None]
    if replaces:
        store.replace(replaces)
    if inserts:
        store.insert(inserts)
    return {id(span) for span, _ in inserts}, {id(span) for _, span, _ in replaces}


def _enqueue(
    project_id: int,
    batches: Mapping[UUID, TraceBatch],
    locked: Mapping[UUID, LockedTrace],
    changes: Mapping[UUID, Change],
    since: datetime,
    now: datetime,
) -> set[UUID]:
    """Enqueue changed traces and sessions until they settle. Returns the traces that had settled before."""
    if not changes:
        return set()
    ordered = list(changes.values())
    queued = [
        _settle_request(batches[trace_id], locked[trace_id], change.after, since)
        for trace_id, change in changes.items()
    ]
    newly_queued = settle_queue.enqueue_traces(project_id, queued, since, now)
    touched = {change.session_after for change in ordered} | {change.session_before for change in ordered}
    settle_queue.enqueue_sessions(sorted(pk for pk in touched if pk is not None), now)
    return {trace_id for trace_id in changes if locked[trace_id].pk in newly_queued and not locked[trace_id].created}


def _settle_request(
    batch: TraceBatch, trace: LockedTrace, summary: Summary, since: datetime
) -> settle_queue.ChangedTrace:
    arriving = [new.span for new in batch.arriving.values()]
    named = with_named_agent(batch.final())
    is_ready = any(span.ended and span.span_id in named for span in arriving)
    names_agent = any(span.agent_id is not None for span in arriving)
    spans_since = min(trace.first_received_at, since) if names_agent else since
    return settle_queue.ChangedTrace(trace.pk, summary, is_ready, spans_since, is_new=trace.created)
