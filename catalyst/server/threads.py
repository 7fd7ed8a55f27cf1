"""Blocking work for views on the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import ContextVar

from asgiref.sync import sync_to_async

from catalyst import database

# The threads of the web process. Django's own handlers and test client set none, then asgiref's are used.
request_executor: ContextVar[Executor | None] = ContextVar("request_executor", default=None)


async def in_thread[*Arguments, T](work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """Run `work` in a thread, then release its database connection."""

    def run() -> T:
        try:
            return work(*arguments)
        finally:
            database.release()

    executor = request_executor.get()
    if executor is None:
        return await sync_to_async(run)()
    return await asyncio.get_running_loop().run_in_executor(executor, run)
