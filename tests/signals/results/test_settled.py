"""What became of the targets that settled in a window: against a plain list of requests, and step by step."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.conf import settings
from django.db import transaction

from catalyst.core.models import Project
from catalyst.timerange import MINUTE, floor
from signals import operations, retention, tasks
from signals.definitions.definition import Definition
from signals.judging import claims, worker
from signals.judging.calls import CallResult
from signals.models import Label, SettledMinute, SignalRun, SignalVersion
from signals.models.label_queue import LabelRequest
from signals.models.label_states import Status
from signals.results.settled import SettledCounts, SettledWindow, settled_counts
from tests.factories import make_agent, make_signal

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
HOUR = timedelta(hours=1)
LEASE = timedelta(seconds=30)


class Queue:
    """Two versions of a signal, asked about a few targets by live traffic and by runs."""

    def __init__(self, project: Project, now: datetime) -> None:
        self.now = self.start = floor(now, MINUTE)
        self.signal = make_signal(make_agent(project), active_since=now - HOUR)
        operations.publish_version(self.signal, Definition("binary", "Question 2?", 100))
        self.versions = list(SignalVersion.objects.order_by("number"))
        window = {"window_start": now, "window_end": now, "sample_rate": 100}
        self.runs = {version.pk: SignalRun.objects.create(version=version, **window) for version in self.versions}

    def request(self, revision: int, *, target: int = 1, version: int = 1, live: bool = True) -> int:
        pk = self.versions[version - 1].pk
        about = (pk, self.signal.pk, self.signal.project_id, "trace", UUID(int=target).hex, UUID(int=target), None, "")
        run = None if live else self.runs[pk].pk
        request = LabelRequest(*about, self.start - HOUR, revision, run)
        return Label.objects.enqueue([request], self.now)

    def claim(self, limit: int = 100) -> list[Label]:
        return claims.claim(limit, LEASE, self.now)

    def end(self, claimed: list[Label], status: Status = Status.DONE, value: str = "yes", revision: int = 0) -> None:
        value = value if status == Status.DONE else ""
        results = [CallResult(label, status, revision or label.wanted_revision, value) for label in claimed]
        worker.finish(results, self.now)

    def judge(self, value: str = "yes") -> None:
        self.end(self.claim(), value=value)

    def later(self, minutes: int = 1) -> None:
        self.now += minutes * MINUTE

    def counts(self, minute: int, *, version: int = 1, is_live: bool | None = None) -> SettledCounts:
        """Of the minute after so many from the start."""
        start = self.start + minute * MINUTE
        window = SettledWindow(self.versions[version - 1].pk, start, start + MINUTE)
        return settled_counts([window], is_live=is_live)[window]


@pytest.fixture
def queue(project: Project, now: datetime) -> Queue:
    return Queue(project, now)


def test_it_counts_what_settled_in_the_window_by_value(queue: Queue) -> None:
    for target in (1, 2, 3):
        queue.request(1, target=target)
    assert queue.counts(0) == SettledCounts({}, waiting=3)
    queue.later()
    first, second, third = queue.claim()
    queue.end([first])
    queue.end([second], Status.FAILED)
    queue.end([third], Status.SKIPPED)
    assert queue.counts(0) == SettledCounts({"yes": 1}, failed=1, skipped=1)
    assert queue.counts(1) == SettledCounts({})


def test_a_session_that_grew_counts_in_the_minute_of_each_time_that_it_settled(queue: Queue) -> None:
    queue.request(1)
    queue.judge("yes")
    queue.later(5)
    queue.request(2)
    assert (queue.counts(0), queue.counts(5)) == (SettledCounts({"yes": 1}), SettledCounts({}, waiting=1))
    queue.later()
    queue.judge("no")
    assert (queue.counts(0), queue.counts(5)) == (SettledCounts({"yes": 1}), SettledCounts({"no": 1}))


def test_each_request_keeps_its_own_origin(queue: Queue) -> None:
    queue.request(1, live=False)
    queue.judge("yes")
    queue.later()
    queue.request(2)
    queue.judge("no")
    assert queue.counts(0, is_live=False) == SettledCounts({"yes": 1})
    assert queue.counts(0, is_live=True) == SettledCounts({})
    assert queue.counts(1, is_live=True) == SettledCounts({"no": 1})


def test_a_run_over_what_live_traffic_had_judged_adds_nothing(queue: Queue) -> None:
    queue.request(1)
    queue.judge()
    queue.later()
    assert queue.request(1, live=False) == 0
    assert queue.counts(1) == SettledCounts({})


def test_a_target_that_grew_before_it_was_judged_counts_once(queue: Queue) -> None:
    queue.request(1)
    queue.later()
    queue.request(2)
    queue.judge()
    assert (queue.counts(0), queue.counts(1)) == (SettledCounts({}), SettledCounts({"yes": 1}))


def test_a_target_that_grew_while_it_was_judged_counts_for_both(queue: Queue) -> None:
    queue.request(1)
    claimed = queue.claim()
    queue.later()
    queue.request(2)
    queue.end(claimed, value="yes")
    assert (queue.counts(0), queue.counts(1)) == (SettledCounts({"yes": 1}), SettledCounts({}, waiting=1))
    queue.judge("no")
    assert (queue.counts(0), queue.counts(1)) == (SettledCounts({"yes": 1}), SettledCounts({"no": 1}))


def test_a_worker_that_dies_leaves_no_request_waiting_for_ever(queue: Queue) -> None:
    queue.request(1)
    lost = queue.claim()
    queue.later()
    queue.request(2)
    queue.later()
    queue.judge("no")
    queue.end(lost, value="yes")
    assert (queue.counts(0), queue.counts(1)) == (SettledCounts({}), SettledCounts({"no": 1}))


def test_a_crash_leaves_all_or_nothing(queue: Queue) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        queue.request(1)
        raise RuntimeError
    assert queue.counts(0) == SettledCounts({})
    queue.request(1)
    with pytest.raises(RuntimeError), transaction.atomic():
        queue.judge()
        raise RuntimeError
    assert queue.counts(0) == SettledCounts({}, waiting=1)


@pytest.mark.usefixtures("judge")
def test_a_retry_gives_the_same_request_another_outcome(queue: Queue) -> None:
    queue.request(1, version=2)
    queue.end(queue.claim(), Status.FAILED)
    queue.later()
    operations.retry_failed(queue.signal, queue.now)
    assert queue.counts(0, version=2) == SettledCounts({}, waiting=1)
    queue.judge("no")
    assert (queue.counts(0, version=2), queue.counts(1, version=2)) == (SettledCounts({"no": 1}), SettledCounts({}))


def test_what_leaves_the_queue_counts_nowhere(queue: Queue) -> None:
    queue.request(1, target=1)
    queue.judge()
    queue.later()
    queue.request(2, target=1)
    queue.request(1, target=2)
    Label.objects.dequeue(Label.objects.lock_next_queued())
    assert (queue.counts(0), queue.counts(1)) == (SettledCounts({"yes": 1}), SettledCounts({}))


def test_another_version_that_takes_over_counts_when_the_target_settled(queue: Queue) -> None:
    queue.request(1, version=2)
    queue.later(3)
    # Only stored spans pass a filter, so the target must exist for the edit to take it over.
    (label,) = Label.objects.all()
    about = {name: getattr(label, name) for name in LabelRequest.__dataclass_fields__}
    Label.objects.enqueue([LabelRequest(**about | {"version_id": queue.versions[0].pk})], queue.now)
    assert (queue.counts(0), queue.counts(3)) == (SettledCounts({}, waiting=1), SettledCounts({}))


def test_counts_outlive_their_labels_until_they_expire_themselves(queue: Queue) -> None:
    queue.request(1)
    queue.judge()
    tasks.fold.call()
    Label.objects.all().delete()
    assert queue.counts(0) == SettledCounts({"yes": 1})
    retention.delete_expired_labels(queue.now + timedelta(days=settings.KEEP_LABELS_DAYS - 1))
    assert queue.counts(0) == SettledCounts({"yes": 1})
    retention.delete_expired_labels(queue.now + timedelta(days=settings.KEEP_LABELS_DAYS + 1))
    assert not SettledMinute.objects.exists()


@dataclass
class Entry:
    """One request in the plain list."""

    version: int
    minute: datetime
    live: bool
    outcome: str = "waiting"
    value: str = ""


@dataclass
class Known:
    """What the plain list knows of a label."""

    entry: Entry
    wanted: int
    judged: int = 0
    status: str = "queued"
    value: str = ""


class PlainList:
    """The same history kept in Python: every request is an entry, and an entry ends once unless a person retries it."""

    def __init__(self, queue: Queue, chance: random.Random) -> None:
        self.queue, self.chance = queue, chance
        self.entries: list[Entry] = []
        self.known: dict[int, Known] = {}
        self.claimed: list[tuple[Label, Entry]] = []

    def request(self) -> None:
        version, target, live = self.chance.randint(1, 2), self.chance.randint(1, 4), self.chance.random() < 0.6
        revision = self.chance.randint(1, 40)
        if not self.queue.request(revision, target=target, version=version, live=live):
            return
        label = Label.objects.get(version=self.queue.versions[version - 1], target_key=UUID(int=target).hex)
        entry = Entry(label.version_id, floor(self.queue.now, MINUTE), live)
        self.entries.append(entry)
        known = self.known.get(label.pk)
        if known is None:
            self.known[label.pk] = Known(entry, revision)
            return
        if known.status in {"queued", "running"}:
            known.entry.outcome = "superseded"
        known.entry, known.wanted = entry, revision
        known.status = "running" if known.status == "running" else "queued"

    def claim(self) -> None:
        for label in self.queue.claim(3):
            known = self.known[label.pk]
            if label.status == Status.FAILED:
                known.status = known.entry.outcome = "failed"
                known.judged = known.wanted
                continue
            known.status = "running"
            self.claimed.append((label, known.entry))

    def end(self) -> None:
        self.chance.shuffle(self.claimed)
        ended, self.claimed = self.claimed[:2], self.claimed[2:]
        for label, entry in ended:
            status = self.chance.choice([Status.DONE, Status.DONE, Status.FAILED, Status.SKIPPED, Status.QUEUED])
            value = self.chance.choice(["yes", "no"]) if status == Status.DONE else ""
            revision = label.wanted_revision + self.chance.choice([0, 0, 1])
            stored = Label.objects.filter(pk=label.pk, status="running", attempts=label.attempts)
            is_held = stored.filter(lease_until=label.lease_until).exists()
            self.queue.end([label], status, value, revision)
            if is_held:
                self.ended(self.known[label.pk], entry, status, value, revision)

    def ended(self, known: Known, claimed: Entry, status: Status, value: str, revision: int) -> None:
        if status == Status.QUEUED:
            known.status = "queued"
            return
        known.judged = max(known.judged, revision)
        known.value = value or known.value
        is_answered = revision >= known.wanted
        known.status = status.value if is_answered else "queued"
        answered = known.entry if is_answered else claimed
        answered.outcome, answered.value = status.value, value

    def retry(self) -> None:
        Label.objects.all().retry(self.queue.now)
        for known in self.known.values():
            if known.status == "failed":
                known.status, known.entry.outcome = "queued", "waiting"

    def dequeue(self) -> None:
        batch = list(Label.objects.filter(status="queued").order_by("?")[:2])
        Label.objects.dequeue(batch)
        left = set(Label.objects.values_list("pk", flat=True))
        for label in batch:
            known = self.known[label.pk]
            had_failed = known.judged >= known.wanted and not known.value and label.pk in left
            known.entry.outcome = "failed" if had_failed else "cancelled"
            if label.pk not in left:
                del self.known[label.pk]
            elif known.value:
                known.status, known.wanted = "done", known.judged
            else:
                known.status = "failed"

    def delete(self) -> None:
        for label in Label.objects.order_by("?")[:1]:
            known = self.known.pop(label.pk)
            label.delete()
            if known.status in {"queued", "running"}:
                known.entry.outcome = "cancelled"

    def crash(self) -> None:
        self.claimed.clear()
        self.queue.now += 2 * LEASE

    def step(self) -> None:
        self.queue.now += timedelta(seconds=self.chance.choice([1, 20]))
        events: list[Callable[[], None]] = [self.request, self.request, self.request, self.claim, self.claim, self.end]
        events += [self.end, self.end, self.retry, self.dequeue, self.delete, self.crash]
        self.chance.choice(events)()

    def counted(self) -> Counter[tuple[object, ...]]:
        return Counter(
            (entry.version, entry.minute, entry.live, entry.outcome, entry.value if entry.outcome == "done" else "")
            for entry in self.entries
        )


def stored() -> Counter[tuple[object, ...]]:
    found: Counter[tuple[object, ...]] = Counter()
    rows = SettledMinute.objects.values_list("version_id", "minute", "is_live", "outcome", "value", "count")
    for *kind, count in rows:
        found[tuple(kind)] += count
    return Counter({kind: count for kind, count in found.items() if count})


@pytest.mark.parametrize("seed", range(4))
def test_it_counts_as_a_plain_list_of_requests_does(seed: int, queue: Queue) -> None:
    history = PlainList(queue, random.Random(seed))
    for step in range(120):
        history.step()
        if step % 10 == 0:
            SettledMinute.objects.fold(7)
        assert stored() == history.counted()
    tasks.fold.call()
    assert stored() == history.counted()
    assert not SettledMinute.objects.filter(folded=False).exists()
