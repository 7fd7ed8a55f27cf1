"""Which label of a target counts: always that of the newest version that has one, whatever happens at once."""

import random
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib import import_module
from uuid import UUID

import pytest
from django.db import connection, transaction

from catalyst.core.models import Project
from catalyst.timerange import named
from signals import operations
from signals.definitions.definition import Definition, version_columns
from signals.judging import worker
from signals.judging.calls import CallResult
from signals.models import Label, SignalVersion
from signals.models.label_queue import LabelRequest
from signals.models.label_states import Status
from signals.results.rollups import sums
from tests.factories import make_agent, make_signal
from tests.processes import eventually

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)


def by_definition() -> set[int]:
    """Of each target the label with a value of the newest version, else that of the newest version."""
    best: dict[tuple[int, str], tuple[bool, int, int]] = {}
    for label in Label.objects.filter(version__is_candidate=False):
        place = (label.value != "", label.version_id, label.pk)
        target = label.signal_id, label.target_key
        best[target] = max(place, best.get(target, place))
    return {pk for _, _, pk in best.values()}


def effective() -> set[int]:
    return set(Label.objects.effective().values_list("pk", flat=True))


class Versions:
    """A signal with some versions, each of which may judge any target at any time."""

    def __init__(self, project: Project, now: datetime, versions: int = 3, candidates: int = 0) -> None:
        self.now = now
        self.signal = make_signal(make_agent(project), active_since=now - HOUR)
        for number in range(2, versions + 1):
            operations.publish_version(self.signal, Definition("binary", f"Question {number}?", 100))
        for number in range(versions + 1, versions + candidates + 1):
            columns = version_columns(Definition("binary", f"Question {number}?", 100), None)
            self.signal.versions.create(number=number, is_candidate=True, **columns)
        self.versions = list(SignalVersion.objects.order_by("number"))

    def want(self, version: int, targets: list[int], revision: int = 1) -> None:
        about = (self.versions[version - 1].pk, self.signal.pk, self.signal.project_id, "trace")
        requests = [
            LabelRequest(*about, UUID(int=n).hex, UUID(int=n), None, "", self.now - HOUR / 2, revision) for n in targets
        ]
        with transaction.atomic():
            Label.objects.enqueue(requests, self.now)

    def of(self, version: int, target: int = 1) -> Label:
        return Label.objects.get(version=self.versions[version - 1], target_key=UUID(int=target).hex)

    def end(self, labels: list[Label], status: Status = Status.DONE, value: str = "yes") -> None:
        """Judge these labels, as a worker would that has claimed them."""
        Label.objects.filter(pk__in=[label.pk for label in labels]).update(status="running", lease_until=self.now)
        held = Label.objects.filter(pk__in=[label.pk for label in labels])
        value = value if status == Status.DONE else ""
        worker.finish([CallResult(label, status, label.wanted_revision, value) for label in held], self.now)


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_one_of_the_definition_after_any_history(seed: int, project: Project, now: datetime) -> None:
    chance = random.Random(seed)
    versions = Versions(project, now, versions=3, candidates=1)
    for revision in range(1, 40):
        targets = chance.sample(range(1, 7), 3)
        labels = list(Label.objects.order_by("?")[: chance.choice([1, 2, 5])])
        history: list[Callable[[], object]] = [
            lambda: versions.want(chance.randint(1, 4), targets, revision),  # noqa: B023
            lambda: versions.want(chance.randint(1, 4), targets, revision),  # noqa: B023
            lambda: versions.end(labels, chance.choice([Status.DONE, Status.DONE, Status.FAILED])),  # noqa: B023
            lambda: versions.end(labels),  # noqa: B023
            lambda: Label.objects.filter(pk__in=[label.pk for label in labels]).delete(),  # noqa: B023
            lambda: Label.objects.dequeue([label for label in labels if label.status == "queued"]),  # noqa: B023
        ]
        chance.choice(history)()
        assert effective() == by_definition()


@pytest.fixture
def versions(project: Project, now: datetime) -> Versions:
    return Versions(project, now)


@pytest.mark.django_db
def test_a_value_counts_before_a_newer_version_without_one(versions: Versions) -> None:
    versions.want(1, [1])
    versions.want(2, [1])
    assert effective() == {versions.of(2).pk}
    versions.end([versions.of(1)])
    assert effective() == {versions.of(1).pk}
    versions.end([versions.of(2)], Status.FAILED)
    assert effective() == {versions.of(1).pk}


@pytest.mark.django_db
def test_an_older_label_counts_again_when_the_newest_is_deleted(versions: Versions) -> None:
    for number in (1, 2, 3):
        versions.want(number, [1])
        versions.end([versions.of(number)])
    versions.of(3).delete()
    assert effective() == {versions.of(2).pk}
    Label.objects.filter(pk=versions.of(1).pk).delete()
    assert effective() == {versions.of(2).pk}


@pytest.mark.django_db
def test_a_candidate_never_counts(project: Project, now: datetime) -> None:
    versions = Versions(project, now, versions=1, candidates=1)
    versions.want(2, [1, 2])
    versions.end([versions.of(2)])
    assert effective() == set()
    versions.want(1, [1])
    assert effective() == {versions.of(1).pk}


@pytest.mark.django_db
def test_counts_of_several_versions_are_exact(versions: Versions, now: datetime) -> None:
    versions.want(1, [1, 2, 3])
    versions.end(list(Label.objects.all()), value="yes")
    versions.want(2, [1, 2])
    versions.end([versions.of(2, 1)], value="no")
    found = sums(signal=versions.signal).totals(named("7d", now))
    counts: dict[str, int] = {}
    for cell in found:
        counts[cell.value] = counts.get(cell.value, 0) + cell.count
    assert counts == {"yes": 2, "no": 1, "": 0}
    assert sum(cell.waiting for cell in found) == 1
    every = sums(signal=versions.signal).including_superseded().totals(named("7d", now))
    assert sum(cell.count for cell in every) == 5


@pytest.mark.django_db
def test_it_is_known_of_labels_that_are_there_already(versions: Versions) -> None:
    for number in (1, 2, 3):
        versions.want(number, [1, 2, 3])
    versions.end([versions.of(1, 1), versions.of(2, 2), versions.of(1, 2)])
    Label.objects.update(is_effective=True)
    with connection.schema_editor() as editor:
        import_module("signals.migrations.0019_label_is_effective").fill(None, editor)
    assert effective() == by_definition()


def meanwhile(holds: Callable[[], object], other: Callable[[], object]) -> None:
    """Have one transaction hold its locks until another waits for them, or has ended."""

    def work() -> None:
        try:
            other()
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    with transaction.atomic():
        holds()
        thread.start()
        eventually(lambda: _waits() or not thread.is_alive())
    thread.join(20)
    assert not thread.is_alive()


def _waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype IN ('transactionid', 'tuple') AND NOT granted")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", [1, 2])
def test_two_versions_may_end_at_once(versions: Versions, first: int) -> None:
    versions.want(1, [1, 2])
    versions.want(2, [1, 2])
    one, other = ([versions.of(number, n) for n in (1, 2)] for number in (first, 3 - first))
    meanwhile(lambda: versions.end(one), lambda: versions.end(other))
    assert effective() == by_definition() == {versions.of(2, n).pk for n in (1, 2)}


@pytest.mark.django_db(transaction=True)
def test_workers_that_judge_targets_crosswise_wait_for_each_other_once(versions: Versions) -> None:
    versions.want(1, [1, 2])
    versions.want(2, [1, 2])
    one = [versions.of(1, 1), versions.of(2, 2)]
    other = [versions.of(2, 1), versions.of(1, 2)]
    meanwhile(lambda: versions.end(one), lambda: versions.end(other))
    assert effective() == by_definition()
    assert Label.objects.filter(status="done").count() == 4


@pytest.mark.django_db(transaction=True)
def test_a_newer_version_may_be_queued_while_an_older_one_ends(versions: Versions) -> None:
    versions.want(1, [1])
    label = versions.of(1)
    meanwhile(lambda: versions.end([label]), lambda: versions.want(2, [1]))
    assert effective() == by_definition() == {label.pk}


@pytest.mark.django_db(transaction=True)
def test_an_older_version_may_end_while_a_newer_one_is_queued(versions: Versions) -> None:
    versions.want(1, [1])
    label = versions.of(1)
    meanwhile(lambda: versions.want(2, [1]), lambda: versions.end([label]))
    assert effective() == by_definition() == {label.pk}


@pytest.mark.django_db(transaction=True)
def test_the_newest_may_be_deleted_while_a_newer_one_ends(versions: Versions) -> None:
    for number in (1, 2, 3):
        versions.want(number, [1])
    versions.end([versions.of(1)])
    versions.end([versions.of(2)])
    ending = versions.of(3)
    meanwhile(lambda: versions.of(2).delete(), lambda: versions.end([ending]))
    assert effective() == by_definition() == {ending.pk}


@pytest.mark.django_db(transaction=True)
def test_it_holds_with_many_workers_at_once(versions: Versions) -> None:
    targets = list(range(1, 9))
    for number in (1, 2, 3):
        versions.want(number, targets)
    chance = random.Random(4)
    labels = list(Label.objects.all())
    Label.objects.update(status="running", lease_until=versions.now)
    labels = list(Label.objects.all())
    chance.shuffle(labels)

    def work(batches: list[list[Label]]) -> None:
        try:
            for batch in batches:
                worker.finish([CallResult(label, Status.DONE, 1, "yes") for label in batch], versions.now)
        finally:
            connection.close()

    parts = [[labels[at : at + 3] for at in range(start, len(labels), 9)] for start in (0, 3, 6)]
    threads = [threading.Thread(target=work, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert Label.objects.filter(status="done").count() == len(labels)
    assert effective() == by_definition()
