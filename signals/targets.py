"""What a judge is shown of a label's target: its spans and their text out of the store, as a transcript.

Bounded whatever the target: of very many turns or very much text the start, the end and everything that failed is read,
and `left_out` says what was not.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from signals.models import Label, Scope
from signals.sampling import trace_key
from traces.models import Session, Trace
from traces.store.base import SpanRecord
from traces.store.postgres import PostgresSpanStore
from traces.transcript import Transcript, session_transcript, span_transcript, trace_transcript

MOST_TURNS = 200
MOST_CHARACTERS = 4_000_000
"""Of one trace. More than any budget shows, since model calls resend their history."""

STORE = PostgresSpanStore()


@dataclass(frozen=True, slots=True)
class Target:
    """A target as a judge is shown it. `revision` is what it had at least; `spans` are all of it."""

    transcript: Transcript
    spans: Sequence[SpanRecord]
    revision: int
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class _Turns:
    """The traces of a session, in order: how many there are, and the ones that are read."""

    count: int = 0
    read: Sequence[Trace] = ()


def targets(labels: Sequence[Label]) -> Iterator[tuple[Label, Callable[[], Target | None]]]:
    """Each label with the function that reads its target: None where that is not stored any more.

    Rows and spans are read for all labels at once, text when the function is called, one target at a time.
    """
    traces = _traces_of(labels)
    sessions = _sessions_of(labels)
    turns = _turns_of(sessions.values())
    spans = spans_of([*traces.values(), *(trace for some in turns.values() for trace in some.read)])
    for label in labels:
        if label.scope == Scope.SESSION:
            session = sessions.get((label.project_id, label.session_key))
            yield label, partial(_session, session, turns[session.pk], spans) if session is not None else _gone
            continue
        trace = traces.get((label.project_id, label.target_key.partition(":")[0]))
        if trace is None:
            yield label, _gone
        elif label.scope == Scope.TRACE:
            yield label, partial(_trace, trace, spans[trace.pk])
        else:
            yield label, partial(_span, trace, spans[trace.pk], label.span_id)


def spans_of(traces: Iterable[Trace]) -> dict[int, list[SpanRecord]]:
    """The spans of each trace, by the trace's primary key; one query per project."""
    by_project: dict[int, list[Trace]] = defaultdict(list)
    for trace in traces:
        by_project[trace.project_id].append(trace)
    found: dict[int, list[SpanRecord]] = {}
    for project_id, some in by_project.items():
        spans = STORE.spans(project_id, [trace.extent for trace in some])
        found |= {trace.pk: spans.get(trace.trace_id, []) for trace in some}
    return found


def within[Item](
    items: Sequence[Item], room: int, size: Callable[[Item], int], is_urgent: Callable[[Item], bool]
) -> list[Item]:
    """As many items as there is room for, in their order: urgent ones first, then from both ends to the middle."""
    count = len(items)
    wanted = sorted(range(count), key=lambda n: (not is_urgent(items[n]), min(n, count - 1 - n)))
    kept: set[int] = set()
    for number in wanted:
        if size(items[number]) <= room or not kept:
            kept.add(number)
            room -= size(items[number])
    return [item for number, item in enumerate(items) if number in kept]


def _traces_of(labels: Iterable[Label]) -> dict[tuple[int, str], Trace]:
    """Traces by project and trace id in hexadecimal, of labels of spans and traces."""
    wanted: dict[int, set[UUID]] = defaultdict(set)
    for label in labels:
        if label.trace_id is not None:
            wanted[label.project_id].add(label.trace_id)
    return {
        (project_id, trace_key(trace.trace_id)): trace
        for project_id, ids in wanted.items()
        for trace in Trace.objects.filter(project_id=project_id, trace_id__in=ids)
    }


def _sessions_of(labels: Iterable[Label]) -> dict[tuple[int, str], Session]:
    wanted: dict[int, set[str]] = defaultdict(set)
    for label in labels:
        if label.session_key:
            wanted[label.project_id].add(label.session_key)
    return {
        (project_id, session.key): session
        for project_id, keys in wanted.items()
        for session in Session.objects.filter(project_id=project_id, key__in=keys)
    }


def _turns_of(sessions: Iterable[Session]) -> dict[int, _Turns]:
    """By the session's primary key."""
    by_session: dict[int, list[Trace]] = {session.pk: [] for session in sessions}
    for trace in Trace.objects.filter(session_id__in=by_session).in_order() if by_session else ():
        by_session[trace.session_id or 0].append(trace)
    return {
        pk: _Turns(len(traces), within(traces, MOST_TURNS, lambda _: 1, lambda trace: trace.error_count > 0))
        for pk, traces in by_session.items()
    }


def _gone() -> None:
    return None


def _span(trace: Trace, spans: Sequence[SpanRecord], span_id: int | None) -> Target | None:
    span = next((span for span in spans if span.span_id == span_id), None)
    if span is None:
        return None
    payload = STORE.payloads(trace.project_id, trace.extent, [span.span_id]).get(span.span_id)
    return Target(span_transcript(span, payload) if payload else Transcript(), [span], span.revision)


def _trace(trace: Trace, spans: Sequence[SpanRecord]) -> Target:
    transcript, hidden = _transcript(trace, spans)
    return Target(transcript, spans, trace.revision, f"the text of {hidden:,} steps" if hidden else "")


def _session(session: Session, turns: _Turns, spans: Mapping[int, list[SpanRecord]]) -> Target:
    transcript = session_transcript(_transcript(trace, spans[trace.pk])[0] for trace in turns.read)
    hidden = turns.count - len(turns.read)
    every = [span for trace in turns.read for span in spans[trace.pk]]
    return Target(transcript, every, session.revision, f"{hidden:,} of {turns.count:,} turns" if hidden else "")


def _transcript(trace: Trace, spans: Sequence[SpanRecord]) -> tuple[Transcript, int]:
    """A turn's transcript, and how many of its spans had too much text to be read."""
    read = within(
        spans,
        MOST_CHARACTERS,
        lambda span: span.input_size + span.output_size,
        lambda span: span.status == "error" or span.parent_id is None,
    )
    payloads = STORE.payloads(trace.project_id, trace.extent, [span.span_id for span in read])
    return trace_transcript(spans, payloads), len(spans) - len(read)
