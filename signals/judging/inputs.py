"""What a judge is shown of each target."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import dropwhile
from uuid import UUID

from signals.definitions.choices import Scope
from signals.definitions.judge_view import JudgeView
from signals.models import Job
from signals.sampling import trace_key
from traces.models import Session, Trace
from traces.records import Extent, PayloadRecord, SpanRecord
from traces.span_store import span_store
from traces.store.reads import spans_of
from traces.transcripts.transcript import Transcript, session_transcript, span_transcript, trace_transcript

logger = logging.getLogger(__name__)

MAX_TURNS = 200
MAX_CHARACTERS = 4_000_000
"""Of one trace. More than any budget shows, since model calls resend their history."""


@dataclass(frozen=True, slots=True)
class JudgeInput:
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


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A trace, or one span of it, and the spans whose text is read for it."""

    trace: Trace
    spans: Sequence[SpanRecord]


def load_inputs(labels: Sequence[Job]) -> Iterator[tuple[Job, Callable[[], JudgeInput | None]]]:
    """Each label with the function that reads its target: None where that is not stored any more.

    Rows and spans are read for all labels at once, text when the functions are called, that of several targets at once.
    """
    traces = _traces_of(labels)
    sessions = _sessions_of(labels)
    turns = _turns_of(sessions.values())
    spans = spans_of([*traces.values(), *(trace for some in turns.values() for trace in some.read)])
    parts = {_about(label): part for label in labels if (part := _part_of(label, traces, spans))}
    texts = _Texts(parts.values())
    for label in labels:
        view = label.version.judge_view
        if label.scope == Scope.SESSION:
            session = sessions.get((label.project_id, label.session_key))
            yield (
                label,
                partial(_session, session, turns[session.pk], spans, view) if session is not None else _not_stored,
            )
        elif _about(label) not in parts:
            yield label, _not_stored
        elif label.scope == Scope.TRACE:
            yield label, partial(_trace, parts[_about(label)], spans, texts, view)
        else:
            yield label, partial(_span, parts[_about(label)], texts, view)


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


def _traces_of(labels: Iterable[Job]) -> dict[tuple[int, str], Trace]:
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


def _sessions_of(labels: Iterable[Job]) -> dict[tuple[int, str], Session]:
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
        pk: _Turns(len(traces), within(traces, MAX_TURNS, lambda _: 1, lambda trace: trace.error_count > 0))
        for pk, traces in by_session.items()
    }


def _about(label: Job) -> tuple[int, str, str]:
    return label.project_id, label.scope, label.target_key


def _part_of(
    label: Job, traces: Mapping[tuple[int, str], Trace], spans: Mapping[int, list[SpanRecord]]
) -> _Part | None:
    """What a label of a span or trace is about; None of a session, and where nothing is stored any more."""
    trace = traces.get((label.project_id, label.target_key.partition(":")[0]))
    if trace is None:
        return None
    if label.scope == Scope.TRACE:
        return _Part(trace, _read(spans[trace.pk]))
    span = next((span for span in spans[trace.pk] if span.span_id == label.span_id), None)
    return _Part(trace, [span]) if span else None


def _not_stored() -> None:
    return None


def _span(part: _Part, texts: "_Texts", view: JudgeView) -> JudgeInput:
    (span,) = part.spans
    payload = texts.of(part).get(span.span_id)
    transcript = view.narrowed(span_transcript(span, payload)) if payload else Transcript()
    return JudgeInput(transcript, part.spans, span.revision)


def _trace(part: _Part, every: Mapping[int, list[SpanRecord]], texts: "_Texts", view: JudgeView) -> JudgeInput:
    spans = every[part.trace.pk]
    hidden = len(spans) - len(part.spans)
    transcript = view.narrowed(trace_transcript(view.spans(spans), texts.of(part)))
    return JudgeInput(transcript, spans, part.trace.revision, f"the text of {hidden:,} steps" if hidden else "")


def _session(session: Session, turns: _Turns, spans: Mapping[int, list[SpanRecord]], view: JudgeView) -> JudgeInput:
    parts = [_Part(trace, _read(spans[trace.pk])) for trace in turns.read]
    texts = _Texts(parts)
    shown = (trace_transcript(view.spans(spans[part.trace.pk]), texts.of(part)) for part in parts)
    transcript = view.narrowed(session_transcript(shown))
    hidden = turns.count - len(turns.read)
    every = [span for trace in turns.read for span in spans[trace.pk]]
    return JudgeInput(transcript, every, session.revision, f"{hidden:,} of {turns.count:,} turns" if hidden else "")


def _read(spans: Sequence[SpanRecord]) -> list[SpanRecord]:
    """The spans of a trace whose text is read: as many as is reasonable."""
    return within(spans, MAX_CHARACTERS, _size, lambda span: span.status == "error" or span.parent_id is None)


def _size(span: SpanRecord) -> int:
    return span.input_size + span.output_size


class _Texts:
    """The text of parts, read for several at once as they are asked for in their order, as much as is reasonable."""

    def __init__(self, parts: Iterable[_Part]) -> None:
        self._parts = list(parts)
        self._at_hand: dict[_Part, Mapping[int, PayloadRecord]] = {}

    def of(self, part: _Part) -> Mapping[int, PayloadRecord]:
        """The text of a part, by span id. One that can't be read harms no other: each may be read alone."""
        if part not in self._at_hand:
            some = self._from(part)
            try:
                self._at_hand = self._texts(some)
            except Exception:
                logger.exception("The texts of %s targets can't be read together", len(some))
                self._at_hand = self._texts([part])
        return self._at_hand[part]

    def _from(self, first: _Part) -> list[_Part]:
        """This part and those after it in its project, up to the most characters."""
        some, room = [first], MAX_CHARACTERS
        after = dropwhile(lambda part: part is not first, self._parts)
        for part in (part for part in after if part.trace.project_id == first.trace.project_id):
            room -= sum(map(_size, part.spans))
            if part is not first and room >= 0:
                some.append(part)
        return some

    def _texts(self, some: Sequence[_Part]) -> dict[_Part, Mapping[int, PayloadRecord]]:
        wanted: dict[Extent, set[int]] = defaultdict(set)
        for part in some:
            wanted[part.trace.extent].update(span.span_id for span in part.spans)
        found = span_store().payloads_of(
            some[0].trace.project_id, {extent: list(ids) for extent, ids in wanted.items()}
        )
        return {part: _of_spans(found.get(part.trace.trace_id, {}), part.spans) for part in some}


def _of_spans(texts: Mapping[int, PayloadRecord], spans: Iterable[SpanRecord]) -> dict[int, PayloadRecord]:
    return {span.span_id: texts[span.span_id] for span in spans if span.span_id in texts}
