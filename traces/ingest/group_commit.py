"""Small requests share commits. While a group is written, the next one gathers, without a thread or an added delay."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError

from catalyst.fairness import FairShare
from traces.ingest.pipeline import IngestResult, SpanBatch

# A larger request is a group of its own.
MAX_GROUP_SPANS = 2_000
MAX_WRITES = 4

type Write = Callable[[Sequence[SpanBatch]], Awaitable[Sequence[IngestResult]]]


class QueueFull(Exception):
    """Too many spans are queued. Nothing of the request was stored."""


@dataclass(slots=True, frozen=True, eq=False)
class QueuedBatch:
    arrival: SpanBatch
    stored: asyncio.Future[IngestResult]

    @property
    def spans(self) -> int:
        return len(self.arrival.readings)

    @property
    def weight(self) -> int:
        """Its part of the queue. A request of any size must find room, and its body counts as memory already."""
        return min(self.spans, MAX_GROUP_SPANS)

    def succeed(self, stored: IngestResult) -> None:
        if not self.stored.done():
            self.stored.set_result(stored)

    def fail(self, error: Exception) -> None:
        if not self.stored.done():
            self.stored.set_exception(error)


class GroupCommit:
    """Writes batches in groups of one project. Belongs to one event loop.

    Projects take turns. Up to MAX_WRITES of them are written at the same time, each one group at a time. So a slow
    write of one project does not delay the others. They share `max_spans` (`catalyst.fairness.FairShare`).
    """

    def __init__(self, write: Write, max_spans: int) -> None:
        self._write = write
        self._queued = FairShare[int](max_spans)
        # By project. Their order is the order of their turns.
        self._waiting: dict[int, deque[QueuedBatch]] = {}
        self._writing: dict[int, asyncio.Task[None]] = {}

    async def write(self, arrival: SpanBatch) -> IngestResult:
        """Returns after the commit. Raises QueueFull, or the error of the write.

        If the caller is cancelled, its spans are still written.
        """
        if not arrival.readings:
            return (await self._write([arrival]))[0]
        queued = QueuedBatch(arrival, asyncio.get_running_loop().create_future())
        if not self._queued.take(arrival.project_id, queued.weight):
            raise QueueFull
        self._waiting.setdefault(arrival.project_id, deque()).append(queued)
        self._start_writes()
        return await queued.stored

    @property
    def waiting_spans(self) -> int:
        """Spans not yet committed. A request counts as at most MAX_GROUP_SPANS."""
        return self._queued.sum

    def _start_writes(self) -> None:
        for project_id in list(self._waiting):
            if len(self._writing) == MAX_WRITES:
                return
            if project_id not in self._writing:
                group = self._next_group(project_id)
                self._writing[project_id] = asyncio.create_task(self._take_turn(project_id, group))

    def _next_group(self, project_id: int) -> list[QueuedBatch]:
        waiting = self._waiting.pop(project_id)
        group = [waiting.popleft()]
        room = MAX_GROUP_SPANS - group[0].spans
        while waiting and waiting[0].spans <= room:
            room -= waiting[0].spans
            group.append(waiting.popleft())
        if waiting:
            self._waiting[project_id] = waiting
        return group

    async def _take_turn(self, project_id: int, group: Sequence[QueuedBatch]) -> None:
        try:
            await self._write_group(group)
        finally:
            self._queued.give_back(project_id, sum(batch.weight for batch in group))
            del self._writing[project_id]
            self._start_writes()

    async def _write_group(self, group: Sequence[QueuedBatch]) -> None:
        try:
            results = await self._write([batch.arrival for batch in group])
        # The database does not respond: single writes would fail too.
        except (OperationalError, InterfaceError) as error:
            _fail(group, error)
        except Exception as error:  # noqa: BLE001
            if len(group) == 1:
                _fail(group, error)
                return
            # One bad batch must not fail the others.
            for batch in group:
                await self._write_group([batch])
        else:
            for batch, result in zip(group, results, strict=True):
                batch.succeed(result)


def _fail(group: Sequence[QueuedBatch], error: Exception) -> None:
    for batch in group:
        batch.fail(error)
