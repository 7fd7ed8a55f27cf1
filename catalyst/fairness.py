"""Limits and turns that owners share, so that a busy one does not stop the others. An owner is usually a project."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from threading import Lock
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery


class FairShare[Owner: Hashable]:
    """An amount that owners share. Thread-safe.

    While the limit is reached, an owner may still take up to the limit divided by the number of owners, and one that
    holds nothing may take anything. So the sum can exceed the limit: fairness is worth that.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[Owner, int] = {}
        self._sum = 0
        self._lock = Lock()

    @property
    def sum(self) -> int:
        """The sum of what all owners hold."""
        return self._sum

    def take(self, owner: Owner, amount: int) -> bool:
        """Return False, and take nothing, if the owner must wait."""
        with self._lock:
            held = self._held.get(owner, 0)
            share = self._limit // (len(self._held) + (owner not in self._held))
            if held and self._sum + amount > self._limit and held + amount > share:
                return False
            self._held[owner] = held + amount
            self._sum += amount
            return True

    def give_back(self, owner: Owner, amount: int) -> None:
        with self._lock:
            held = self._held.pop(owner) - amount
            if held:
                self._held[owner] = held
            self._sum -= amount


class Turns[Owner: Hashable]:
    """Lets `at_once` holders work at the same time. Waiting owners take turns, however much each has waiting.

    Belongs to one event loop.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        # The order of the owners is the order of their turns.
        self._waiting: dict[Owner, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, owner: Owner) -> AsyncIterator[None]:
        """Wait for a turn of this owner, and hold it."""
        await self._wait(owner)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, owner: Owner) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            owner = next(iter(self._waiting))
            turns = self._waiting.pop(owner)
            turn = turns.popleft()
            if turns:
                self._waiting[owner] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def divide[Owner: Hashable, Row](
    capacity: int, owners: Sequence[Owner], take: Callable[[Owner, int], Sequence[Row]], held: Mapping[Owner, int]
) -> list[Row]:
    """Take rows of waiting owners up to this capacity, and return them. `take` gets an owner and at most how many.

    `held` counts what owners already hold of the capacity. Those that hold the least go first. An owner below its
    share of the capacity gets rows although others hold all of it, so the sum can exceed the capacity.
    """
    share = max(1, capacity // max(1, len({*owners, *held})))
    free = capacity - sum(held.values())
    rows: list[Row] = []
    for position, owner in enumerate(sorted(owners, key=lambda owner: held.get(owner, 0))):
        part_of_free = -(-free // (len(owners) - position))
        limit = max(part_of_free, share - held.get(owner, 0))
        if limit > 0:
            taken = take(owner, limit)
            free -= len(taken)
            rows += taken
    return rows


def waiting_projects(due: str, *queues: QuerySet[Any]) -> dict[int, datetime]:
    """Projects with rows in these queues, and the earliest `due` of each. The project that waits longest comes first.

    Reads one row per project and queue, if an index begins with the project and `due`.
    """
    waiting: dict[int, datetime] = {}
    for queue in queues:
        first = queue.filter(project=OuterRef("pk")).order_by(due).values(due)[:1]
        projects = queue.model._meta.get_field("project").related_model._default_manager.order_by()
        rows = projects.values("pk").annotate(oldest=Subquery(first)).filter(oldest__isnull=False)
        for project, oldest in rows.values_list("pk", "oldest"):
            waiting[project] = min(oldest, waiting.get(project, oldest))
    return dict(sorted(waiting.items(), key=lambda item: item[1]))
