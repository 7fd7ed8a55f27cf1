"""Blocking work for views that run on the event loop: such a view awaits `in_thread`, and holds no thread otherwise."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import ContextVar

from asgiref.sync import sync_to_async

from catalyst import database

lent: ContextVar[Executor | None] = ContextVar("lent", default=None)
"""The threads of the web process; without any, as under Django's own handlers and test client, asgiref's are used."""


async def in_thread[*Arguments, T](work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """What the work returns or raises, done elsewhere; its connection to the database goes back to the pool then."""

    def done() -> T:
        try:
            return work(*arguments)
        finally:
            database.release()

    threads = lent.get()
    if threads is None:
        return await sync_to_async(done)()
    return await asyncio.get_running_loop().run_in_executor(threads, done)
