"""Inputs of judges: spans and texts, read for several targets at once."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from uuid import UUID

from signals.models import Job
from traces.models import Session, Trace
from traces.records import Extent, PayloadRecord, SpanRecord
from traces.span_store import span_store
from traces.transcripts.transcript import Transcript

logger = logging.getLogger(__name__)

# Of one trace. More than any budget shows, because model calls resend their history.
MAX_CHARACTERS = 4_000_000


@dataclass(frozen=True, slots=True)
class JudgeInput:
    """A target as a judge sees it. `revision` is a lower bound. `spans` are all of the target's."""

    transcript: Transcript
    spans: Sequence[SpanRecord]
    revision: int
    left_out: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    trace: Trace
    spans: Sequence[SpanRecord]
    read: Sequence[SpanRecord]


def within[Item](
    items: Sequence[Item], room: int, size: Callable[[Item], int], is_urgent: Callable[[Item], bool]
) -> list[Item]:
    """Items that fit into `room`, at least one, in order. Urgent items and both ends have priority."""
    count = len(items)
    wanted = sorted(range(count), key=lambda n: (not is_urgent(items[n]), min(n, count - 1 - n)))
    kept: set[int] = set()
    for number in wanted:
        if size(items[number]) <= room or not kept:
            kept.add(number)
            room -= size(items[number])
    return [item for number, item in enumerate(items) if number in kept]


def traces_of(jobs: Iterable[Job]) -> dict[tuple[int, UUID | None], Trace]:
    """Stored traces by project and trace id."""
    wanted: dict[int, set[UUID]] = defaultdict(set)
    for job in jobs:
        if job.trace_id is not None:
            wanted[job.project_id].add(job.trace_id)
    return {
        (project_id, trace.trace_id): trace
        for project_id, ids in wanted.items()
        for trace in Trace.objects.filter(project_id=project_id, trace_id__in=ids)
    }


def sessions_of(jobs: Iterable[Job]) -> dict[tuple[int, str], Session]:
    """Stored sessions by project and key."""
    wanted: dict[int, set[str]] = defaultdict(set)
    for job in jobs:
        if job.session_key:
            wanted[job.project_id].add(job.session_key)
    return {
        (project_id, session.key): session
        for project_id, keys in wanted.items()
        for session in Session.objects.filter(project_id=project_id, key__in=keys)
    }


def not_stored() -> None:
    return None


def readable(spans: Sequence[SpanRecord]) -> list[SpanRecord]:
    # Errors and roots are read first.
    return within(spans, MAX_CHARACTERS, _size, lambda span: span.status == "error" or span.parent_id is None)


def _size(span: SpanRecord) -> int:
    return span.input_size + span.output_size


class Texts:
    """Texts by span id. In order, several parts are read at once, up to MAX_CHARACTERS."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self._parts = list(parts)
        self._at_hand: dict[Part, Mapping[int, PayloadRecord]] = {}

    def of(self, part: Part) -> Mapping[int, PayloadRecord]:
        if part not in self._at_hand:
            parts = self._from(part)
            try:
                self._at_hand = _read(parts)
            except Exception:
                logger.exception("The texts of %s targets can't be read together", len(parts))
                # One unreadable part must not fail the others.
                self._at_hand = _read([part])
        return self._at_hand[part]

    def _from(self, first: Part) -> list[Part]:
        parts, room = [first], MAX_CHARACTERS
        after = dropwhile(lambda part: part is not first, self._parts)
        for part in (part for part in after if part.trace.project_id == first.trace.project_id):
            room -= sum(map(_size, part.read))
            if part is not first and room >= 0:
                parts.append(part)
        return parts


def _read(parts: Sequence[Part]) -> dict[Part, Mapping[int, PayloadRecord]]:
    # All parts are of one project.
    span_ids: dict[Extent, set[int]] = defaultdict(set)
    for part in parts:
        span_ids[part.trace.extent].update(span.span_id for span in part.read)
    wanted = {extent: list(ids) for extent, ids in span_ids.items()}
    texts = span_store().payloads_of(parts[0].trace.project_id, wanted)
    return {part: _of_spans(texts.get(part.trace.trace_id, {}), part.read) for part in parts}


def _of_spans(texts: Mapping[int, PayloadRecord], spans: Iterable[SpanRecord]) -> dict[int, PayloadRecord]:
    return {span.span_id: texts[span.span_id] for span in spans if span.span_id in texts}
