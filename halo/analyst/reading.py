"""Fills what rules read: rows of traces first, then their spans in batches."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, TextField
from django.db.models.functions import MD5, Cast, Left

from halo import focus
from halo.analyst.material import Step, TraceRun, Window
from halo.analyst.wording import counted
from halo.focus import FAILED, Volume, volume_of
from halo.models import Run
from traces.models.trace import TraceQuerySet
from traces.records import Extent, PayloadRecord
from traces.span_store import span_store

MAX_SPANS = 1_000_000
# Spans that are held at once, unless one trace has more.
BATCH_SPANS = 10_000
# Traces with more are left out: one of them would fill the memory.
MAX_SPANS_OF_A_TRACE = 50_000
BATCH_TEXTS = 250
ROWS_AT_ONCE = 5_000
MODELS = TraceRun._fields.index("model_names")
SHARED = [
    TraceRun._fields.index(name)
    for name in ("name", "status", "outcome", "service_version", "environment", "model_names", "cost")
]


class Interrupted(Exception):
    """Somebody asked to end the reading."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The window of a run of Halo, and the spans of its runs and of those before.

    `list_query`: parameters of the list of its traces. Reading ends soon after `is_over` says so.
    """

    window: Window
    volume: Volume
    list_query: str
    is_over: Callable[[], bool]

    @property
    def read_span_count(self) -> int:
        return sum(run.span_count for run in self.window.runs)

    def texts(self) -> "StoredTexts":
        return StoredTexts(self.window)

    def runs(self) -> Iterator[tuple[TraceRun, Sequence[Step]]]:
        """Runs of the window, session by session, with their spans. Raises Interrupted."""
        return self._with_steps(self.window.runs)

    def prior_runs(self) -> Iterator[tuple[TraceRun, Sequence[Step]]]:
        """Like `runs`, for the window before."""
        return self._with_steps(self.window.prior)

    def _with_steps(self, runs: Sequence[TraceRun]) -> Iterator[tuple[TraceRun, Sequence[Step]]]:
        for batch in _batches(by_session(runs)):
            if self.is_over():
                raise Interrupted
            extents = [_extent(run) for run in batch]
            values = span_store().span_values(self.window.project_id, extents, Step._fields)
            for run in batch:
                yield run, [Step._make(span) for span in values.get(run.trace_id, ())]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was read, in sentences."""
        read, total = len(self.window.runs), self.volume.trace_count
        if read == total:
            return (f"All {counted(total, 'trace')} were read." if total > 1 else "The only trace was read.",)
        return (
            f"{read:,} of {total:,} traces were read: first those that failed, then a sample of the others, which is "
            "the same each time.",
            "Counts are of the traces that were read, so there may be more.",
        )


class StoredTexts:
    """Texts of runs of a window, from the store."""

    def __init__(self, window: Window) -> None:
        self._project_id = window.project_id
        self._runs = {run.trace_id: run for run in window.runs}

    def of(self, span_ids: Mapping[UUID, Collection[int]]) -> Mapping[UUID, Mapping[int, PayloadRecord]]:
        """Texts by trace and span."""
        found: dict[UUID, Mapping[int, PayloadRecord]] = {}
        known = [trace_id for trace_id in span_ids if trace_id in self._runs]
        for first in range(0, len(known), BATCH_TEXTS):
            batch = {_extent(self._runs[each]): list(span_ids[each]) for each in known[first : first + BATCH_TEXTS]}
            found.update(span_store().payloads_of(self._project_id, batch))
        return found


def read(run: Run, now: datetime, is_over: Callable[[], bool], max_spans: int = MAX_SPANS) -> Reading:
    """Read the rows of the traces that a run of Halo is about, and of the window before, up to so many spans each."""
    traces, before = focus.traces_of(run), focus.traces_before(run)
    volume, volume_before = volume_of(traces), volume_of(before)
    window = Window(
        project_id=run.project_id,
        agent_id=run.agent_id,
        start=run.window_start,
        end=min(run.window_end, now),
        runs=_rows(traces, volume, max_spans),
        prior=_rows(before, volume_before, max_spans),
        total=volume.trace_count,
        prior_total=volume_before.trace_count,
    )
    return Reading(window, volume, focus.list_query(run), is_over)


def compare(run: Run, first: Sequence[TraceRun], second: Sequence[TraceRun], start: datetime, end: datetime) -> Reading:
    """Read a window with these runs, with others as those of the window before."""
    failed = [each for each in second if each.failed]
    spans, failed_spans = (sum(each.span_count for each in runs) for runs in (second, failed))
    window = Window(project_id=run.project_id, agent_id=run.agent_id, start=start, end=end, runs=second, prior=first)
    return Reading(window, Volume(len(second), len(failed), spans, failed_spans), "", lambda: False)


def oldest(traces: TraceQuerySet, max_spans: int) -> tuple[list[TraceRun], datetime | None]:
    """The rows of the first of these traces with so many spans, oldest first; the start of the next one, if any."""
    return _while_there_is_room(traces.order_by("start_time", "pk"), max_spans)


def newest(traces: TraceQuerySet, max_spans: int) -> tuple[list[TraceRun], datetime | None]:
    """Like `oldest`, from the end of the window; oldest first, too."""
    rows, following = _while_there_is_room(traces.order_by("-start_time", "-pk"), max_spans)
    return rows[::-1], following


def _while_there_is_room(ordered: TraceQuerySet, max_spans: int) -> tuple[list[TraceRun], datetime | None]:
    rows: list[TraceRun] = []
    known: dict[Any, Any] = {}
    spans = 0
    readable = ordered.filter(span_count__lte=MAX_SPANS_OF_A_TRACE).values_list(*TraceRun._fields)
    for row in readable.iterator(ROWS_AT_ONCE):
        run = _run(row, known)
        spans += run.span_count
        if spans > max_spans and rows:
            return rows, run.start_time
        rows.append(run)
    return rows, None


def _rows(traces: TraceQuerySet, volume: Volume, max_spans: int) -> list[TraceRun]:
    """Runs, oldest first: all of them, or those that failed and a sample of the others."""
    wanted = traces.filter(span_count__lte=MAX_SPANS_OF_A_TRACE)
    if volume.span_count > max_spans:
        left = max(max_spans - volume.failed_span_count, 0)
        failed = FAILED & _sampled(max_spans, volume.failed_span_count)
        others = ~FAILED & _sampled(left, volume.span_count - volume.failed_span_count)
        hashed = Left(MD5(Cast("trace_id", TextField())), 8)
        wanted = wanted.alias(hashed=hashed).filter(failed | others)
    rows = wanted.order_by("start_time", "pk").values_list(*TraceRun._fields)
    known: dict[Any, Any] = {}
    return [_run(row, known) for row in rows.iterator(ROWS_AT_ONCE)]


def _sampled(room: int, spans: int) -> Q:
    """Traces whose hash is below the part of their spans that there is room for."""
    return Q() if spans <= room else Q(hashed__lt=f"{int(room / spans * (1 << 32)):08x}")


def _run(row: tuple[Any, ...], known: dict[Any, Any]) -> TraceRun:
    """A run that shares equal texts with others: a window of very many would not fit otherwise."""
    values = list(row)
    values[MODELS] = tuple(values[MODELS])
    for at in SHARED:
        values[at] = known.setdefault(values[at], values[at])
    return TraceRun._make(values)


def by_session(runs: Sequence[TraceRun]) -> list[TraceRun]:
    """Sessions by their first run, each oldest first. A run without a session is one of its own."""
    first: dict[int | None, datetime] = {}
    for run in runs:
        first.setdefault(run.session_id, run.start_time)
    # Sorting keeps the order of runs of a session.
    return sorted(
        runs,
        key=lambda run: (run.start_time, 0) if run.session_id is None else (first[run.session_id], run.session_id),
    )


def _batches(runs: Sequence[TraceRun]) -> Iterator[list[TraceRun]]:
    batch: list[TraceRun] = []
    spans = 0
    for run in runs:
        if batch and spans + run.span_count > BATCH_SPANS:
            yield batch
            batch, spans = [], 0
        batch.append(run)
        spans += run.span_count
    if batch:
        yield batch


def _extent(run: TraceRun) -> Extent:
    return Extent(run.trace_id, run.start_time, run.end_time)
