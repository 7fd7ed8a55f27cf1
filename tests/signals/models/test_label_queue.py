"""The life of a label: every event in every state, against what the table says that it writes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import F

from catalyst.core.models import Project
from catalyst.llms.availability import Outage
from signals.judging import claims, worker
from signals.judging.calls import CallResult
from signals.models import Label
from signals.models.label_queue import LabelRequest
from signals.models.label_states import GIVEN, TRANSITIONS, Event, Status
from tests.factories import make_agent, make_connection, make_labels, make_signal

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
EARLIER = timedelta(hours=-5)


class Life:
    """One label in any state, and what can happen to it."""

    def __init__(self, label: Label, now: datetime) -> None:
        self.label, self.now = label, now
        assert label.version.connection_id
        self.connection_id = label.version.connection_id

    def put(self, status: Status, event: Event) -> None:
        """Give every column a value that no event writes, as far as the state allows."""
        is_running = status == Status.RUNNING
        has_value = status == Status.DONE or event == Event.KEEP_VALUE
        is_clamped = event == Event.CLAMP_FUTURE_TIMES
        waits = event in {Event.CLAMP_FUTURE_TIMES, Event.RESUME}
        future = self.now + timedelta(days=1)
        lease = future if is_clamped else self.now + MINUTE / 2
        Label.objects.filter(pk=self.label.pk).update(
            status=status,
            attempts=2,
            outages=1,
            wanted_revision=self.label.wanted_revision,
            judged_revision=1,
            error="Before.",
            tried_at=self.now - MINUTE,
            not_before=future if waits else self.now - MINUTE,
            lease_until=lease if is_running else None,
            reserved=Decimal("0.5") if is_running else Decimal(0),
            value="no" if has_value else "",
            labelled_at=self.now - MINUTE if has_value else None,
        )
        self.label.refresh_from_db()

    def happen(self, event: Event) -> None:
        events: dict[Event, Callable[[], object]] = {
            Event.ENQUEUE: self.enqueue,
            Event.LEASE: self.lease,
            Event.EXTEND_LEASE: lambda: Label.objects.extend_leases([self.label], self.now + MINUTE),
            Event.RELEASE: lambda: Label.objects.release([self.label]),
            Event.RETRY_LATER: lambda: self.end(Status.QUEUED, error="Again."),
            Event.WAIT_FOR_JUDGE: lambda: self.end(Status.QUEUED, outage=Outage("m", "Down.", self.now, None, True)),
            Event.FINISH: lambda: self.end(Status.DONE, value="yes", reason="So it is."),
            Event.SKIP: lambda: self.end(Status.SKIPPED, error="Nothing there."),
            Event.FAIL: lambda: self.end(Status.FAILED, error="Refused."),
            Event.JUDGE_AGAIN: self.judge_again,
            Event.GIVE_UP: lambda: Label.objects.give_up(self.claimable()),
            Event.RETRY: lambda: Label.objects.filter(pk=self.label.pk).retry(self.now),
            Event.CANCEL: self.dequeue,
            Event.KEEP_VALUE: self.dequeue,
            Event.RESUME: lambda: Label.objects.resume(self.connection_id, self.now),
            Event.CLAMP_FUTURE_TIMES: lambda: Label.objects.clamp_future_times(self.now),
        }
        events[event]()

    def enqueue(self) -> None:
        names = [*LabelRequest.__dataclass_fields__]
        about = {name: getattr(self.label, name) for name in names}
        about |= {"wanted_revision": self.label.wanted_revision + 1, "target_time": self.now + EARLIER}
        Label.objects.enqueue([LabelRequest(**about)], self.now)

    def claimable(self) -> list[Label]:
        return list(Label.objects.claimable(self.now + MINUTE))

    def lease(self) -> None:
        found = self.claimable()
        Label.objects.lease(found, {label.pk: Decimal(2) for label in found}, self.now + 2 * MINUTE)

    def end(self, status: Status, **how: Any) -> None:
        worker.finish([CallResult(self.label, status, self.label.wanted_revision, **how)], self.now)

    def judge_again(self) -> None:
        """What follows when the target had grown: only an ended label is judged again."""
        if (self.label.status, Event.JUDGE_AGAIN) in TRANSITIONS:
            self.label._apply(Event.JUDGE_AGAIN)
            Label.objects.write([self.label])

    def dequeue(self) -> None:
        Label.objects.dequeue(Label.objects.filter(pk=self.label.pk).lock_next_queued())


def stored(label: Label) -> dict[str, Any]:
    row = Label.objects.filter(pk=label.pk).values().get()
    return {name: value for name, value in row.items() if name != "is_effective"}


@pytest.fixture
def life(project: Project, now: datetime) -> Life:
    connection = make_connection(project, now=now)
    signal = make_signal(make_agent(project), connection=connection.name, active_since=now)
    return Life(make_labels(signal, project, 1, now=now)[0], now)


def applied(before: dict[str, Any], value: Any) -> Any:
    """A value of the table, with an expression worked out on the row as it was."""
    if isinstance(value, F):
        return before[str(vars(value)["name"])]
    if value == F("attempts") + 1:
        return before["attempts"] + 1
    return value


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("status", Status)
def test_an_event_writes_what_the_table_lists_and_nothing_else(life: Life, status: Status, event: Event) -> None:
    life.put(status, event)
    before = stored(life.label)
    life.happen(event)
    after = stored(life.label)
    written = TRANSITIONS.get((status, event), {})
    expected = {name: applied(before, value) for name, value in written.items() if value is not GIVEN}
    assert {name: after[name] for name in expected} == expected
    given = {name for name, value in written.items() if value is GIVEN}
    assert {name for name in after if after[name] != before[name]} <= given | expected.keys()
    if given:
        assert any(after[name] != before[name] for name in given)


def test_a_label_that_grew_while_it_was_judged_is_judged_again(life: Life) -> None:
    life.put(Status.RUNNING, Event.FINISH)
    life.enqueue()
    life.happen(Event.FINISH)
    after = stored(life.label)
    assert (after["status"], after["attempts"], after["value"]) == ("queued", 0, "yes")


def test_a_label_that_was_never_tried_is_deleted_when_it_is_dequeued(life: Life) -> None:
    life.dequeue()
    assert not Label.objects.exists()


def test_every_label_begins_in_the_queue(life: Life) -> None:
    assert (life.label.status, life.label.attempts, life.label.value) == (Status.QUEUED, 0, "")


LEASE = timedelta(seconds=30)


def claim(at: datetime) -> list[Label]:
    return sorted(claims.claim(9, LEASE, at), key=lambda label: label.pk)


def leases() -> list[tuple[str, int, datetime | None]]:
    return list(Label.objects.order_by("pk").values_list("status", "attempts", "lease_until"))


@pytest.fixture
def overtaken(project: Project, now: datetime) -> tuple[list[Label], datetime]:
    """What a worker holds, of which another one has taken the first label over, and when."""
    make_labels(make_signal(make_agent(project), active_since=now), project, 2, now=now)
    at = now + timedelta(hours=3)
    ours = claim(at)
    Label.objects.filter(pk=ours[0].pk).update(lease_until=at - MINUTE)
    assert [label.pk for label in claim(at + MINUTE / 4)] == [ours[0].pk]
    return ours, at + MINUTE / 4


def test_a_worker_extends_only_the_leases_that_it_has(overtaken: tuple[list[Label], datetime]) -> None:
    ours, at = overtaken
    Label.objects.extend_leases(ours, at + MINUTE)
    assert leases() == [("running", 2, at + LEASE), ("running", 1, at + MINUTE)]
    Label.objects.filter(pk=ours[1].pk).update(status="queued")
    Label.objects.extend_leases(ours, at + 2 * MINUTE)
    assert leases() == [("running", 2, at + LEASE), ("queued", 1, at + MINUTE)]


def test_a_worker_gives_back_only_what_it_has(overtaken: tuple[list[Label], datetime]) -> None:
    ours, at = overtaken
    assert Label.objects.release(ours) == [ours[1].pk]
    assert leases() == [("running", 2, at + LEASE), ("queued", 1, None)]
    assert Label.objects.release(ours) == []


def test_a_worker_writes_only_what_it_has(overtaken: tuple[list[Label], datetime]) -> None:
    ours, at = overtaken
    worker.finish([CallResult(label, Status.DONE, 1, value="yes", reason="So it is.") for label in ours], at)
    assert leases() == [("running", 2, at + LEASE), ("done", 1, None)]


def test_an_answer_counts_for_its_own_lease_though_the_tries_are_as_many(project: Project, now: datetime) -> None:
    make_labels(make_signal(make_agent(project), active_since=now), project, 1, now=now)
    at = now + timedelta(hours=3)
    (first,) = claim(at)
    worker.finish([CallResult(first, Status.QUEUED, 1, outage=Outage("judge-1", "Down.", at, None, False))], at)
    Label.objects.update(not_before=at)
    (second,) = claim(at + MINUTE)
    assert second.attempts == first.attempts
    worker.finish([CallResult(first, Status.DONE, 1, value="yes", reason="Late.")], at + MINUTE)
    assert leases() == [("running", 1, at + MINUTE + LEASE)]
