"""Small requests share commits, and nobody fails for another's spans."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from django.db import DataError, OperationalError

from tests.traces.sent import sent_span
from traces.ingest import group_commit, pipeline
from traces.ingest.group_commit import GroupCommit, QueueFull
from traces.ingest.pipeline import IngestResult, SpanBatch

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
STORED = IngestResult


def arrival(spans: int = 1, project: int = 1) -> SpanBatch:
    return pipeline.read(project, [sent_span(number, start=NOW) for number in range(1, spans + 1)], NOW)


class Database:
    """Takes groups, the first one only when it is let; refuses those with a poisoned arrival, or all."""

    def __init__(self) -> None:
        self.groups: list[list[SpanBatch]] = []
        self.begun, self.let = asyncio.Event(), asyncio.Event()
        self.poisoned: list[SpanBatch] = []
        self.down = False

    async def write(self, arrivals: Sequence[SpanBatch]) -> list[IngestResult]:
        self.groups.append(list(arrivals))
        self.begun.set()
        await self.let.wait()
        if self.down:
            raise OperationalError("gone")
        if any(poisoned is each for poisoned in self.poisoned for each in arrivals):
            raise DataError("a value it can't take")
        return [IngestResult(inserted=len(each.readings)) for each in arrivals]

    def sizes(self) -> list[int]:
        return [len(group) for group in self.groups]


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def writer(database: Database) -> GroupCommit:
    return GroupCommit(database.write, 1_000)


type Outcome = IngestResult | BaseException


async def submit(writer: GroupCommit, database: Database, *arrivals: SpanBatch) -> list[asyncio.Task[IngestResult]]:
    """Hand in arrivals behind one that is being written."""
    tasks = [asyncio.create_task(writer.write(arrival()))]
    await database.begun.wait()
    tasks += [asyncio.create_task(writer.write(each)) for each in arrivals]
    await asyncio.sleep(0)  # each begins to wait
    return tasks


def outcomes(writer: GroupCommit, database: Database, *arrivals: SpanBatch) -> list[Outcome]:
    """What comes of arrivals behind one that is being written, when the database goes on."""

    async def hand_in() -> list[Outcome]:
        tasks = await submit(writer, database, *arrivals)
        database.let.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(hand_in())


def kinds(found: Sequence[Outcome]) -> list[type]:
    return [type(each) for each in found]


def test_it_writes_together_what_came_meanwhile(writer: GroupCommit, database: Database) -> None:
    assert kinds(outcomes(writer, database, *(arrival() for _ in range(5)))) == [STORED] * 6
    assert database.sizes() == [1, 5]


def test_it_closes_a_group_that_is_large(
    writer: GroupCommit, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MAX_GROUP_SPANS", 10)
    found = outcomes(writer, database, arrival(6), arrival(4), arrival(6), arrival(9))
    assert kinds(found) == [STORED] * 5
    assert database.sizes() == [1, 2, 1, 1]
    assert [len(each.readings) for each in database.groups[1]] == [6, 4]


def test_it_keeps_projects_apart(writer: GroupCommit, database: Database) -> None:
    outcomes(writer, database, arrival(project=1), arrival(project=2), arrival(project=1))
    assert [{each.project_id for each in group} for group in database.groups] == [{1}, {2}, {1}]


def test_it_writes_several_projects_at_the_same_time(writer: GroupCommit, database: Database) -> None:
    async def hand_in() -> list[int]:
        tasks = await submit(writer, database, *(arrival(project=project) for project in range(2, 8)))
        while len(database.groups) < group_commit.MAX_WRITES:
            await asyncio.sleep(0)
        begun = [group[0].project_id for group in database.groups]
        database.let.set()
        await asyncio.gather(*tasks)
        return begun

    assert asyncio.run(hand_in()) == [1, 2, 3, 4]


def test_projects_take_turns(writer: GroupCommit, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MAX_WRITES", 1)
    monkeypatch.setattr(group_commit, "MAX_GROUP_SPANS", 10)
    busy = [arrival(10, project=2) for _ in range(4)]
    assert kinds(outcomes(writer, database, *busy, arrival(project=3), arrival(project=3))) == [STORED] * 7
    assert [(group[0].project_id, len(group)) for group in database.groups] == [
        (1, 1), (2, 1), (3, 2), (2, 1), (2, 1), (2, 1)
    ]  # fmt: skip


def test_a_project_that_fills_the_queue_leaves_the_others_their_share(writer: GroupCommit, database: Database) -> None:
    busy = [arrival(100, project=2) for _ in range(12)]
    found = outcomes(writer, database, *busy, *(arrival(90, project=3) for _ in range(4)), arrival(1, project=2))
    # 1,000 spans may wait, one of project 1 does; three projects share them.
    assert kinds(found[1:13]) == [STORED] * 9 + [QueueFull] * 3
    assert kinds(found[13:]) == [STORED, STORED, STORED, QueueFull, QueueFull]
    assert writer.waiting_spans == 0


def test_it_fails_only_who_sent_the_poison(writer: GroupCommit, database: Database) -> None:
    database.poisoned = [poison := arrival()]
    assert kinds(outcomes(writer, database, arrival(), poison, arrival())) == [STORED, STORED, DataError, STORED]
    assert database.sizes() == [1, 3, 1, 1, 1]


def test_it_asks_a_database_that_is_down_only_once(writer: GroupCommit, database: Database) -> None:
    database.down = True
    assert kinds(outcomes(writer, database, arrival(), arrival())) == [OperationalError] * 3
    assert database.sizes() == [1, 2]


def test_it_takes_no_more_than_may_wait(writer: GroupCommit, database: Database) -> None:
    found = outcomes(writer, database, arrival(499), arrival(499), arrival(2), arrival(1))
    assert kinds(found) == [STORED, STORED, STORED, QueueFull, STORED]
    assert writer.waiting_spans == 0
    assert asyncio.run(writer.write(arrival(2))) == IngestResult(inserted=2)


def test_it_goes_on_after_a_failure(writer: GroupCommit, database: Database) -> None:
    database.poisoned = [poison := arrival()]
    assert kinds(outcomes(writer, database, poison)) == [STORED, DataError]
    assert asyncio.run(writer.write(arrival())) == IngestResult(inserted=1)
    assert database.sizes()[-1] == 1


def test_a_large_request_is_a_group_of_its_own(database: Database) -> None:
    roomy = GroupCommit(database.write, 2 * group_commit.MAX_GROUP_SPANS)
    found = outcomes(roomy, database, arrival(), arrival(group_commit.MAX_GROUP_SPANS), arrival())
    assert kinds(found) == [STORED] * 4
    assert [len(group[0].readings) for group in database.groups] == [1, 1, group_commit.MAX_GROUP_SPANS, 1]


def test_a_request_of_any_size_finds_room_behind_others(database: Database) -> None:
    roomy = GroupCommit(database.write, 2 * group_commit.MAX_GROUP_SPANS)
    assert kinds(outcomes(roomy, database, arrival(10), arrival(3 * group_commit.MAX_GROUP_SPANS))) == [STORED] * 3


def test_it_tells_each_what_became_of_its_own(writer: GroupCommit, database: Database) -> None:
    assert outcomes(writer, database, arrival(3), arrival(5)) == [IngestResult(1), IngestResult(3), IngestResult(5)]


def test_it_writes_for_who_is_gone_and_answers_the_others(writer: GroupCommit, database: Database) -> None:
    async def leave() -> list[Outcome]:
        tasks = await submit(writer, database, arrival(), arrival())
        tasks[0].cancel()
        tasks[1].cancel()
        database.let.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert kinds(asyncio.run(leave())) == [asyncio.CancelledError, asyncio.CancelledError, STORED]
    assert database.sizes() == [1, 2]
    assert writer.waiting_spans == 0
