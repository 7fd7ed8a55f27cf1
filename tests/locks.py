"""Locks that another connection holds, and work that waits for them."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import Queue
from typing import Any

from django.db import connection

SECONDS = 30


class Holder:
    """A transaction of another connection."""

    def __init__(self) -> None:
        self._connection = connection.copy()
        self._connection.set_autocommit(False)

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows. Raises OperationalError if NOWAIT finds a row locked."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def commit(self) -> None:
        """Let go of what it holds."""
        self._connection.commit()

    def close(self) -> None:
        """Undo what it did, and let go."""
        self._connection.rollback()
        self._connection.close()


@contextmanager
def held(statement: str, parameters: Sequence[Any] = ()) -> Iterator[Holder]:
    """Hold what a statement locks, in another connection."""
    holder = Holder()
    try:
        holder.execute(statement, parameters)
        yield holder
    finally:
        holder.close()


@contextmanager
def nobody_waits() -> Iterator[None]:
    """Have statements of this connection fail where they would wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '1s'")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")


@contextmanager
def waiting(work: Callable[[], object], settings: str = "") -> Iterator[Future[object]]:
    """Start work in a thread of its own and wait until it waits for a lock, or is done.

    `settings`: SQL that the connection of the thread begins with.
    """
    backend: Queue[int] = Queue()

    def run() -> object:
        try:
            with connection.cursor() as cursor:
                if settings:
                    cursor.execute(settings)
                cursor.execute("SELECT pg_backend_pid()")
                backend.put(int(cursor.fetchone()[0]))
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(run)
        wait_until_blocked(backend.get(timeout=SECONDS), started)
        yield started


def wait_until_blocked(pid: int, work: Future[Any]) -> None:
    """Until a backend waits for a lock, or its work is over."""
    with connection.cursor() as cursor:
        while not work.done():
            cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [pid])
            if cursor.fetchone()[0]:
                return
