"""Small requests share commits, and nobody fails for another's spans."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from threading import Event

import pytest
from django.db import DataError, OperationalError

from tests.processes import eventually
from tests.traces.sent import sent_span
from traces import group_commit, ingest
from traces.group_commit import Full, GroupCommit
from traces.ingest import Arrival, Stored

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def arrival(spans: int = 1, project: int = 1) -> Arrival:
    return ingest.read(project, [sent_span(number, start=NOW) for number in range(1, spans + 1)], NOW)


class Database:
    """Takes groups, the first one only when it is let; refuses those with a poisoned arrival, or all."""

    def __init__(self) -> None:
        self.groups: list[list[Arrival]] = []
        self.begun, self.let = Event(), Event()
        self.poisoned: list[Arrival] = []
        self.down = False

    def write(self, arrivals: Sequence[Arrival]) -> list[Stored]:
        self.groups.append(list(arrivals))
        self.begun.set()
        assert self.let.wait(30)
        if self.down:
            raise OperationalError("gone")
        if any(poisoned is each for poisoned in self.poisoned for each in arrivals):
            raise DataError("a value it can't take")
        return [Stored(inserted=len(each.readings)) for each in arrivals]

    def sizes(self) -> list[int]:
        return [len(group) for group in self.groups]


type Submit = Callable[..., list[Future[Stored]]]


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def writer(database: Database) -> GroupCommit:
    return GroupCommit(database.write, 1_000)


@pytest.fixture
def submit(database: Database, writer: GroupCommit) -> Iterator[Submit]:
    """Hand in arrivals behind one that is being written, each in a thread of its own."""
    with ThreadPoolExecutor(20) as threads:

        def waiting(spans: int) -> bool:
            return writer.waiting_spans == spans

        def behind_one(*arrivals: Arrival) -> list[Future[Stored]]:
            futures, spans = [threads.submit(writer.write, arrival())], 1
            assert database.begun.wait(30)
            for each in arrivals:
                futures.append(threads.submit(writer.write, each))
                spans += len(each.readings)
                eventually(partial(waiting, spans))
            return futures

        yield behind_one
        database.let.set()


def results(database: Database, futures: Sequence[Future[Stored]]) -> list[type]:
    """Let the database go on; what each arrival came to: an error, or nothing."""
    database.let.set()
    return [type(future.exception(30)) for future in futures]


STORED = type(None)


def test_it_writes_together_what_came_meanwhile(submit: Submit, database: Database) -> None:
    assert results(database, submit(*(arrival() for _ in range(5)))) == [STORED] * 6
    assert database.sizes() == [1, 5]


def test_it_closes_a_group_that_is_large(submit: Submit, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "GROUP_SPANS", 10)
    assert results(database, submit(arrival(6), arrival(6), arrival(4), arrival(9))) == [STORED] * 5
    assert database.sizes() == [1, 2, 1, 1]
    assert [len(each.readings) for each in database.groups[1]] == [6, 4]


def test_it_keeps_projects_apart(submit: Submit, database: Database) -> None:
    results(database, submit(arrival(project=1), arrival(project=2), arrival(project=1)))
    assert [{each.project_id for each in group} for group in database.groups] == [{1}, {1}, {2}]


def test_it_fails_only_who_sent_the_poison(submit: Submit, database: Database) -> None:
    database.poisoned = [poison := arrival()]
    assert results(database, submit(arrival(), poison, arrival())) == [STORED, STORED, DataError, STORED]
    assert database.sizes() == [1, 3, 1, 1, 1]


def test_it_asks_a_database_that_is_down_only_once(submit: Submit, database: Database) -> None:
    database.down = True
    assert results(database, submit(arrival(), arrival())) == [OperationalError] * 3
    assert database.sizes() == [1, 2]


def test_it_takes_no_more_than_may_wait(submit: Submit, writer: GroupCommit, database: Database) -> None:
    futures = submit(arrival(499), arrival(499))
    with pytest.raises(Full):
        writer.write(arrival(2))
    assert results(database, futures) == [STORED] * 3
    assert writer.waiting_spans == 0
    writer.write(arrival(2))


def test_it_goes_on_after_a_failure(submit: Submit, writer: GroupCommit, database: Database) -> None:
    database.poisoned = [poison := arrival()]
    assert results(database, submit(poison)) == [STORED, DataError]
    writer.write(arrival())
    assert database.sizes()[-1] == 1


def test_it_writes_large_requests_at_once(submit: Submit, writer: GroupCommit, database: Database) -> None:
    small = submit()
    with ThreadPoolExecutor(1) as threads:
        large = threads.submit(writer.write, arrival(group_commit.ALONE_SPANS))
        eventually(lambda: len(database.groups) == 2)
        assert results(database, [*small, large]) == [STORED, STORED]


def test_it_tells_each_what_became_of_its_own(submit: Submit, database: Database) -> None:
    futures = submit(arrival(3), arrival(5))
    results(database, futures)
    assert [future.result() for future in futures] == [Stored(1), Stored(3), Stored(5)]
