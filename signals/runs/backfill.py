"""Manual runs: a version judges stored targets of a past window.

The row is the job. Each step locks it, does one piece of work and stores its progress in one transaction, so that a
crash loses and repeats nothing. Live traffic is judged first. Targets that the version labelled keep their label.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import Count, Exists, OuterRef

from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.audit import record
from catalyst.formats import roughly
from catalyst.pagination import Cursor
from catalyst.timerange import MINUTE, ceil, iso, kept_since
from signals.judging.calls import OWN_FAULT
from signals.models import Label, LabelHour, Signal, SignalRun, SignalVersion
from signals.models.label import LabelQuerySet
from signals.models.label_rollup import Coverage
from signals.models.run import SignalRunQuerySet
from signals.sampling import is_sampled
from signals.targets import requeue
from signals.targets.base import Targets
from signals.targets.sampler import sample_and_enqueue
from signals.targets.scopes import targets_of
from signals.targets.target import Target

logger = logging.getLogger(__name__)

# Larger previews show expected counts.
MAX_EXACT_TARGETS = 20_000
# Targets that one click may judge.
MAX_UNPRICED_TARGETS = 100
OPEN = (Label.Status.QUEUED, Label.Status.RUNNING)
CHANGED = "The signal was changed or archived."

State = SignalRun.State
Purpose = SignalRun.Purpose


@dataclass(frozen=True, slots=True)
class Preview:
    """Counts of a run before it starts. `is_exact`: False if sampled and known are expected values.

    `known`: sampled targets that the version has judged or queued. The run leaves them as they are.
    """

    matched: int
    sampled: int
    known: Coverage
    is_exact: bool
    examples: Sequence[Target]

    @property
    def to_judge(self) -> int:
        return self.sampled - self.known.sampled


@dataclass(frozen=True, slots=True)
class Progress:
    run: SignalRun
    covered: Coverage
    # From start to end, or until now.
    seconds: float

    @property
    def ended(self) -> int:
        return self.covered.sampled - self.covered.waiting

    @property
    def query(self) -> str:
        """Of the results of this run: all its targets began in its window."""
        window = {"from": iso(self.run.window_start), "to": iso(ceil(self.run.window_end, MINUTE))}
        return urlencode({"run": self.run.pk, **window})

    @property
    def percent(self) -> int:
        return 100 * self.ended // self.covered.sampled if self.covered.sampled else 0

    @property
    def per_second(self) -> float:
        return self.ended / self.seconds if self.seconds else 0

    @property
    def left(self) -> timedelta | None:
        is_known = self.run.state == State.JUDGING and self.per_second
        return timedelta(seconds=round(self.covered.waiting / self.per_second)) if is_known else None

    @property
    def left_text(self) -> str:
        return roughly(self.left)


def progress(runs: Iterable[SignalRun], now: datetime) -> list[Progress]:
    """Return the progress of these runs, with one query."""
    runs = list(runs)
    hours = LabelHour.objects.filter(signal__in={run.version.signal_id for run in runs})
    coverage = hours.coverage_by_run(runs)
    progress = []
    for run in runs:
        seconds = ((run.ended_at or now) - run.created_at).total_seconds()
        progress.append(Progress(run, coverage.get(run.pk, Coverage()), seconds))
    return progress


def traffic(version: SignalVersion, start: datetime, end: datetime) -> Targets:
    """Return the targets of this window that the version matches, without those that live judging takes."""
    signal = version.signal
    is_asked = signal.is_live and signal.current_version_id == version.pk
    live_since = signal.activated_at if is_asked else None
    return targets_of(signal.scope)(signal.agent, start, end, version.traffic_filter, live_since, signal.quiet_time)


def preview(version: SignalVersion, start: datetime, end: datetime, sample_rate: int) -> Preview:
    targets = traffic(version, start, end)
    matched, examples = targets.count(), targets.newest(10)
    labels = Label.objects.filter(version=version)
    if matched > MAX_EXACT_TARGETS:
        expected = matched * sample_rate // 100
        known = _known(labels.filter(target_time__gte=start, target_time__lt=end), at_most=expected)
        return Preview(matched, expected, known, is_exact=False, examples=examples)
    matches = [match for chunk in targets.chunks() for match in chunk.targets]
    sampled = [match.target_key for match in matches if is_sampled(match.target_key, sample_rate)]
    known = _known(labels.filter(target_key__in=sampled), at_most=len(sampled))
    return Preview(len(matches), len(sampled), known, is_exact=True, examples=examples)


def _known(labels: LabelQuerySet, *, at_most: int) -> Coverage:
    counts = Counter[str]()
    for status, count in labels.order_by().values_list("status").annotate(n=Count("pk")):
        counts["waiting" if status in OPEN else status] += count
    total = counts.total()
    if total <= at_most:
        return Coverage(**counts)
    # A window may hold more labels than a lower rate samples. The smallest shares are rounded up.
    left, known = at_most, {}
    for state, count in reversed(counts.most_common()):
        known[state] = min(left, math.ceil(count * at_most / total))
        left -= known[state]
    return Coverage(**known)


@dataclass(frozen=True, slots=True)
class StoredTargets:
    """Targets that a backfill at 100% over all stored traffic would judge, if nothing has a label yet."""

    count: int
    start: datetime
    end: datetime

    @property
    def is_few(self) -> bool:
        """Few enough to judge them without a look at the cost."""
        return self.count <= MAX_UNPRICED_TARGETS


def stored_targets(signal: Signal, now: datetime) -> StoredTargets | None:
    """Return None for an archived signal and during a backfill."""
    version = signal.current_version
    runs = SignalRun.objects.for_signal(signal).open()
    if version is None or signal.archived_at is not None or runs.exists():
        return None
    start, end = kept_since(now, signal.project.kept_days), ceil(now, MINUTE)
    return StoredTargets(traffic(version, start, end).count(), start, end)


def check(start: datetime, end: datetime, sample_rate: int, now: datetime) -> None:
    """Raise ValidationError, by field, for an invalid window or rate."""
    if start >= min(end, now):
        raise ValidationError({"start": "From must be before To and in the past"})
    if not 0 <= sample_rate <= 100:
        raise ValidationError({"sample_rate": "Enter a sample rate from 0 to 100"})


@transaction.atomic
def start(
    signal: Signal, *, start: datetime, end: datetime, sample_rate: int, now: datetime, by: Actor = SYSTEM
) -> SignalRun:
    """Start a backfill of the current version over [start, end). The signal need not be active.

    Raises ValidationError like `check`, for an archived signal, and during another backfill of it.
    """
    version, end = _lock(signal), min(end, now)
    check(start, end, sample_rate, now)
    if SignalRun.objects.for_signal(signal).open().filter(purpose=Purpose.BACKFILL).exists():
        raise ValidationError("A backfill is already running. Wait until it ends, or cancel it.")
    window = {"window_start": start, "window_end": end, "sample_rate": sample_rate}
    return _create(SignalRun(version=version, **window, **by.as_creator()), by)


@transaction.atomic
def start_comparison(
    version: SignalVersion, *, start: datetime, end: datetime, sample_rate: int, now: datetime, by: Actor = SYSTEM
) -> SignalRun:
    """Start a run of any version, candidates included, over [start, min(end, now)) to compare it.

    Raises ValidationError like `check`, for an archived signal, and while the version is being compared.
    """
    _lock(version.signal)
    end = min(end, now)
    check(start, end, sample_rate, now)
    if version.runs.open().filter(purpose=Purpose.COMPARISON).exists():
        raise ValidationError("This version is being compared. Wait until its run has ended, or cancel it.")
    window = {"window_start": start, "window_end": end, "sample_rate": sample_rate}
    return _create(SignalRun(version=version, purpose=Purpose.COMPARISON, **window, **by.as_creator()), by)


def _lock(signal: Signal) -> SignalVersion:
    signals = Signal.objects.select_for_update(of=("self",), no_key=True)
    locked = signals.select_related("current_version").get(pk=signal.pk)
    if locked.archived_at is not None or locked.current_version is None:
        raise ValidationError("An archived signal judges nothing. Unarchive it first.")
    return locked.current_version


def _create(run: SignalRun, by: Actor) -> SignalRun:
    run.save(force_insert=True)
    window = f"{run.window_start:%Y-%m-%d %H:%M} to {run.window_end:%Y-%m-%d %H:%M} UTC"
    detail = f"backfill {run.pk} of version {run.version.number}: {window} at {run.sample_rate} %"
    record(by, "started a backfill of", run.version.signal, detail=detail)
    return run


@transaction.atomic
def cancel(run: SignalRun, now: datetime, by: Actor = SYSTEM) -> None:
    """Dequeue the run's labels. Calls under way finish; finished labels stay."""
    locked = SignalRun.objects.select_for_update(of=("self",)).select_related("version__signal").get(pk=run.pk)
    if locked.is_open:
        _end(locked, State.CANCELLED, now)
        record(by, "cancelled a backfill of", locked.version.signal, detail=f"backfill {run.pk}")
        _dequeue_batch(locked)
    run.refresh_from_db()


def has_work(_: datetime) -> bool:
    """Return whether `step` may have work."""
    return (SignalRun.objects.open() | _stopped_with_queued()).exists()


def step(now: datetime) -> bool:
    """Do one piece of work. Return False if there was none."""
    # Stopped runs are dequeued first, or another run would take their labels for its own.
    return _end_overtaken(now) or _dequeue_stopped() or _collect(now) or _finish_judged(now)


@transaction.atomic
def _end_overtaken(now: datetime) -> bool:
    overtaken = SignalRun.objects.overtaken().select_for_update(of=("self",), skip_locked=True)
    runs = list(overtaken)
    for run in runs:
        _end(run, State.CANCELLED, now, CHANGED)
    return bool(runs)


@transaction.atomic
def _collect(now: datetime) -> bool:
    unlocked_runs = SignalRun.objects.collecting().select_for_update(of=("self",), skip_locked=True)
    run = unlocked_runs.select_related("version__signal__agent").first()
    if run is None:
        return False
    try:
        with transaction.atomic():
            _queue_chunk(run, now)
    except DatabaseError:
        raise
    except Exception:
        logger.exception("Run %s can't collect its targets", run.pk)
        _end(run, State.FAILED, now, OWN_FAULT)
    return True


def _queue_chunk(run: SignalRun, now: datetime) -> None:
    after = Cursor(run.after_time, run.after_id) if run.after_time and run.after_id else None
    targets = traffic(run.version, run.window_start, run.window_end)
    chunk = next(islice(targets.chunks(after), 1), None)
    if chunk is None:
        run.state = State.JUDGING
        run.save(update_fields=["state"])
        return
    requeue.take_signal_lock()
    matching = [match.request_for(run.version, run) for match in chunk.targets]
    result = sample_and_enqueue(matching, {run.version_id: run.sample_rate}, now)
    run.matched += len(matching)
    run.sampled += result.sampled
    run.queued += result.queued
    run.after_time, run.after_id = chunk.last.time, chunk.last.id
    run.save(update_fields=["queued", "matched", "sampled", "after_time", "after_id"])


@transaction.atomic
def _dequeue_stopped() -> bool:
    run = _stopped_with_queued().select_for_update(of=("self",), skip_locked=True).first()
    return run is not None and _dequeue_batch(run)


def _stopped_with_queued() -> SignalRunQuerySet:
    waits = Label.objects.filter(run=OuterRef("pk"), status=Label.Status.QUEUED)
    return SignalRun.objects.stopped().filter(Exists(waits))


def _dequeue_batch(run: SignalRun) -> bool:
    waiting = Label.objects.lock_next_queued(run)
    Label.objects.dequeue(waiting)
    return bool(waiting)


def _finish_judged(now: datetime) -> bool:
    open_labels = Label.objects.filter(run=OuterRef("pk"), status__in=OPEN)
    finished = SignalRun.objects.filter(state=State.JUDGING).exclude(Exists(open_labels))
    return bool(finished.update(state=State.DONE, ended_at=now))


def _end(run: SignalRun, state: SignalRun.State, now: datetime, error: str = "") -> None:
    run.state, run.ended_at, run.error = state, now, error
    run.save(update_fields=["state", "ended_at", "error"])
