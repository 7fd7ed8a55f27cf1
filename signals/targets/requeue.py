"""Dequeue or requeue waiting live labels when a signal is changed or disabled.

Settling enqueues labels of active signals, and a change dequeues them. Concurrent transactions would miss each other's
rows, so settlers share a lock that a change takes alone.
"""

from collections.abc import Sequence
from dataclasses import replace

from django.db import connection, transaction

from signals.models import Label, Signal, SignalVersion
from signals.models.label import LabelQuerySet
from signals.models.label_queue import LabelRequest
from signals.targets.sampler import sample_and_enqueue
from signals.targets.scopes import targets_of
from signals.targets.target import of_label
from traces.filters import Filter

# The key of the advisory lock: any number that nothing else in this database locks.
SIGNALS_LOCK = 0x7369676E616C73


def share_signal_lock() -> None:
    """Block changes of signals until the transaction ends."""
    _execute("SELECT pg_advisory_xact_lock_shared(%s)")


def take_signal_lock() -> None:
    """Wait for holders of the shared lock, and block others until the transaction ends."""
    _execute("SELECT pg_advisory_xact_lock(%s)")


def dequeue_superseded(signal: Signal, labels: LabelQuerySet) -> None:
    """Dequeue the waiting live labels of a signal, unless its active version has them.

    An active signal requeues targets that its current version samples and its filter passes, at the same place in the
    queue. Call this in a transaction, with the signal as that transaction sees it.
    """
    version = signal.current_version if signal.is_live else None
    waiting = labels.filter(signal=signal)
    if version is not None:
        waiting = waiting.exclude(version=version)
    while batch := waiting.lock_next_queued():
        Label.objects.dequeue(batch)
        if version is not None:
            _enqueue_anew(batch, version)


def _enqueue_anew(batch: Sequence[Label], version: SignalVersion) -> None:
    anew = [_anew(label, version) for label in _passing(batch, version.traffic_filter)]
    sample_and_enqueue(anew, {version.pk: version.sample_rate}, min(label.not_before for label in batch))


def _passing(labels: Sequence[Label], wanted: Filter) -> list[Label]:
    if wanted.is_empty or not labels:
        return list(labels)
    passing = targets_of(labels[0].scope).passing(labels, wanted)
    return [label for label in labels if label.target_key in passing]


def drop_superseded(labels: Sequence[Label]) -> list[Label]:
    """The claimed labels that are still to be judged.

    Dequeues live labels that were tried before and whose version is not active now. Untried ones were dequeued with
    the change, or were enqueued by hand since.
    """
    tried = [label for label in labels if label.run_id is None and _was_tried(label)]
    if not tried:
        return list(labels)
    asking = Signal.objects.live().filter(current_version__in={label.version_id for label in tried})
    asked = {signal.current_version_id for signal in asking}
    superseded = {label.pk: label for label in tried if label.version_id not in asked}
    if superseded:
        _give_back(list(superseded.values()))
    return [label for label in labels if label.pk not in superseded]


def _was_tried(label: Label) -> bool:
    return label.attempts > 1 or label.tried_at is not None


@transaction.atomic
def _give_back(labels: Sequence[Label]) -> None:
    share_signal_lock()
    returned = Label.objects.filter(id__in=Label.objects.release(labels))
    signals = Signal.objects.filter(id__in={label.signal_id for label in labels}).select_related("current_version")
    for signal in signals.order_by("id"):
        dequeue_superseded(signal, returned)


def _anew(label: Label, version: SignalVersion) -> LabelRequest:
    return replace(of_label(label).request_for(version), settled_at=label.settled_at)


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, [SIGNALS_LOCK])
