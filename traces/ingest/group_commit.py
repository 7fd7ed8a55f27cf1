"""Small requests share commits. While a group is written, the next one gathers, without a thread or an added delay."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError

from traces.ingest.pipeline import IngestResult, SpanBatch

# Larger requests are written at once, beside the groups.
GROUP_SPANS = 2_000

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

    def succeed(self, stored: IngestResult) -> None:
        if not self.stored.done():
            self.stored.set_result(stored)

    def fail(self, error: Exception) -> None:
        if not self.stored.done():
            self.stored.set_exception(error)


class GroupCommit:
    """Writes batches in groups of one project, one group at a time. Belongs to one event loop."""

    def __init__(self, write: Write, most_spans: int) -> None:
        self._write = write
        self._most_spans = most_spans
        self._waiting: deque[QueuedBatch] = deque()
        self._spans = 0
        self._writing: asyncio.Task[None] | None = None

    async def write(self, arrival: SpanBatch) -> IngestResult:
        """Returns after the commit. Raises QueueFull, or the error of the write.

        If the caller is cancelled, its spans are still written.
        """
        if not 0 < len(arrival.readings) < GROUP_SPANS:
            return (await self._write([arrival]))[0]
        if self._spans + len(arrival.readings) > self._most_spans:
            raise QueueFull
        mine = QueuedBatch(arrival, asyncio.get_running_loop().create_future())
        self._spans += mine.spans
        self._waiting.append(mine)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_groups())
        return await mine.stored

    @property
    def waiting_spans(self) -> int:
        """Spans not yet committed."""
        return self._spans

    async def _write_groups(self) -> None:
        while self._waiting:
            group = self._next_group()
            try:
                await self._write_group(group)
            finally:
                self._spans -= sum(each.spans for each in group)

    def _next_group(self) -> list[QueuedBatch]:
        project_id, room = self._waiting[0].arrival.project_id, GROUP_SPANS
        group: list[QueuedBatch] = []
        left: deque[QueuedBatch] = deque()
        for each in self._waiting:
            if each.arrival.project_id == project_id and each.spans <= room:
                room -= each.spans
                group.append(each)
            else:
                left.append(each)
        self._waiting = left
        return group

    async def _write_group(self, group: Sequence[QueuedBatch]) -> None:
        try:
            stored = await self._write([each.arrival for each in group])
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
            for batch, own in zip(group, stored, strict=True):
                batch.succeed(own)


def _fail(group: Sequence[QueuedBatch], error: Exception) -> None:
    for batch in group:
        batch.fail(error)
