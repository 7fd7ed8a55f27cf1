"""Small requests share commits. While a group is written, the next one gathers, without a thread or an added delay."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError

from traces.ingest.pipeline import IngestResult, SpanBatch

# Larger requests are written at once, beside the groups.
MAX_GROUP_SPANS = 2_000

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

    def __init__(self, write: Write, max_spans: int) -> None:
        self._write = write
        self._max_spans = max_spans
        self._waiting: deque[QueuedBatch] = deque()
        self._spans = 0
        self._writing: asyncio.Task[None] | None = None

    async def write(self, arrival: SpanBatch) -> IngestResult:
        """Returns after the commit. Raises QueueFull, or the error of the write.

        If the caller is cancelled, its spans are still written.
        """
        if not 0 < len(arrival.readings) < MAX_GROUP_SPANS:
            return (await self._write([arrival]))[0]
        if self._spans + len(arrival.readings) > self._max_spans:
            raise QueueFull
        queued = QueuedBatch(arrival, asyncio.get_running_loop().create_future())
        self._spans += queued.spans
        self._waiting.append(queued)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_groups())
        return await queued.stored

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
                self._spans -= sum(batch.spans for batch in group)

    def _next_group(self) -> list[QueuedBatch]:
        project_id, room = self._waiting[0].arrival.project_id, MAX_GROUP_SPANS
        group: list[QueuedBatch] = []
        remaining: deque[QueuedBatch] = deque()
        for batch in self._waiting:
            if batch.arrival.project_id == project_id and batch.spans <= room:
                room -= batch.spans
                group.append(batch)
            else:
                remaining.append(batch)
        self._waiting = remaining
        return group

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
