"""Small requests share commits: whoever comes first writes for all that wait, and everybody is answered after that.

There is no thread of its own and no added delay: while one group is written, the next one gathers.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock

from django.db import InterfaceError, OperationalError

from traces.ingest import Arrival, Stored

GROUP_SPANS = 2_000
"""A group is closed when it has this many."""
ALONE_SPANS = 500
"""A request with this many gains nothing from company."""

type Write = Callable[[Sequence[Arrival]], Sequence[Stored]]


class Full(Exception):
    """As many spans wait as may; nothing of the request was stored."""


@dataclass(slots=True)
class Waiting:
    """A request that waits to be written or, with `leads`, to write."""

    arrival: Arrival
    woken: Event = field(default_factory=Event)
    leads: bool = False
    stored: Stored = field(default_factory=Stored)
    error: Exception | None = field(default_factory=lambda: RuntimeError("The group ended before this was written."))
    """Why it is not stored; None once it is."""


class GroupCommit:
    """Writes arrivals in groups, one group at a time, each of one project."""

    def __init__(self, write: Write, most_spans: int) -> None:
        self._write = write
        self._most_spans = most_spans
        self._lock = Lock()
        self._waiting: deque[Waiting] = deque()
        self._spans = 0
        self._busy = False

    def write(self, arrival: Arrival) -> Stored:
        """Return when the arrival is committed, and what became of it. Raises Full, or what writing it raised."""
        if not 0 < len(arrival.readings) < ALONE_SPANS:
            return self._write([arrival])[0]
        mine = Waiting(arrival)
        with self._lock:
            if self._spans + len(arrival.readings) > self._most_spans:
                raise Full
            self._spans += len(arrival.readings)
            self._waiting.append(mine)
            mine.leads = not self._busy
            self._busy = True
        if not mine.leads:
            mine.woken.wait()
        if mine.leads:
            self._lead()
        if mine.error is not None:
            raise mine.error
        return mine.stored

    @property
    def waiting_spans(self) -> int:
        """Spans that are not committed yet, those of the group that is being written included."""
        return self._spans

    def _lead(self) -> None:
        group = self._next_group()
        try:
            self._write_all(group)
        finally:
            with self._lock:
                self._spans -= sum(len(each.arrival.readings) for each in group)
                self._busy = bool(self._waiting)
                if self._waiting:
                    self._waiting[0].leads = True
                    self._waiting[0].woken.set()
            for each in group:
                each.woken.set()

    def _next_group(self) -> list[Waiting]:
        """The first that waits, and those of its project that fit in with it."""
        with self._lock:
            first = self._waiting[0].arrival
            group: list[Waiting] = []
            room = GROUP_SPANS
            for each in self._waiting:
                if each.arrival.project_id == first.project_id and len(each.arrival.readings) <= room:
                    room -= len(each.arrival.readings)
                    group.append(each)
            taken = {id(each) for each in group}
            self._waiting = deque(each for each in self._waiting if id(each) not in taken)
        return group

    def _write_all(self, group: Sequence[Waiting]) -> None:
        """Write a group. One that fails is written one by one, so that nobody fails for another's spans.

        A database that does not answer fails them all.
        """
        try:
            for each, stored in zip(group, self._write([each.arrival for each in group]), strict=True):
                each.stored, each.error = stored, None
        except (OperationalError, InterfaceError) as error:
            for each in group:
                each.error = error
        except Exception as error:  # noqa: BLE001
            if len(group) == 1:
                group[0].error = error
            else:
                for each in group:
                    self._write_all([each])
