"""The clients of a run of the judging worker: the environment's, and one for each connection.

A connection is read again every two seconds, and its client is replaced when it has changed. So a new key, address
or limit needs no restart, also for labels that are claimed already.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from catalyst.env import env
from catalyst.llm import LLM, ChatMessage, Json, LLMError, Reply
from catalyst.llms.endpoints import ConnectedModel, client_of, endpoint_of, wait_for_rate
from catalyst.llms.models import ModelConnection
from signals.judging.judges import unusable

REFRESH = timedelta(seconds=2)


@dataclass(slots=True)
class _Client:
    connection: ModelConnection
    llm: LLM
    slots: asyncio.Semaphore


class Clients:
    """Belongs to one event loop. `concurrency`: calls at once of the environment's endpoint."""

    def __init__(self, concurrency: int, clock: Callable[[], datetime]) -> None:
        timeout = env.judge_timeout_seconds
        self._clock = clock
        self._instance = LLM(endpoint_of(None), concurrency=concurrency, timeout=timeout)
        self._connections: dict[int, ModelConnection] = {}
        self._clients: dict[int, _Client] = {}
        self._stack = AsyncExitStack()
        self._refreshed_at = clock()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._instance)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def refresh(self) -> None:
        """Read the known connections again, if that is due. Reads the database."""
        now = self._clock()
        if self._connections and abs(now - self._refreshed_at) >= REFRESH:
            self._connections = ModelConnection.objects.in_bulk(list(self._connections))
            self._refreshed_at = now

    @asynccontextmanager
    async def turn(self, model: ConnectedModel) -> AsyncIterator[None]:
        """Wait until the limits of the connection allow a call, and hold its slot."""
        if model.connection is None or unusable(self._newest(model)):
            yield
            return
        try:
            client = await self._client(model.connection)
        except LLMError:
            yield  # `ask` raises it again
            return
        async with client.slots:
            await wait_for_rate(client.connection, self._clock)
            yield

    async def ask(self, model: ConnectedModel, messages: Sequence[ChatMessage], schema: Json) -> Reply:
        """Raises LLMError."""
        if model.connection is None:
            return await self._instance.ask(messages, model=model.name, schema=schema)
        if error := unusable(newest := self._newest(model)):
            is_deleted = newest.connection is not None and newest.connection.deleted_at is not None
            raise LLMError(error, permanent=is_deleted, account=not is_deleted)
        client = await self._client(model.connection)
        return await client.llm.ask(messages, model=model.name, schema=schema)

    def _newest(self, model: ConnectedModel) -> ConnectedModel:
        if model.connection is None:
            return model
        known = self._connections.get(model.connection.pk)
        if known is None or known.updated_at < model.connection.updated_at:
            self._connections[model.connection.pk] = known = model.connection
        return ConnectedModel(model.name, known)

    async def _client(self, connection: ModelConnection) -> _Client:
        newest = self._connections[connection.pk]
        client = self._clients.get(connection.pk)
        if client is None or client.connection.updated_at != newest.updated_at:
            # Calls under way end with the former client, which is closed with the others.
            llm = await self._stack.enter_async_context(client_of(newest, env.judge_timeout_seconds))
            client = _Client(newest, llm, asyncio.Semaphore(newest.concurrency))
            self._clients[connection.pk] = client
        return client
