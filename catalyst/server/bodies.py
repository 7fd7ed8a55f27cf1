"""Reads request bodies within a limit, and within the memory that all bodies share."""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from types import TracebackType
from typing import Any, Self, cast

from django.core.exceptions import RequestAborted
from django.http import HttpRequest

from catalyst.fairness import FairShare

type Scope = dict[str, Any]
type Message = Mapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]


class BodyTooLarge(Exception):
    """The body is larger than the limit."""


class MemoryFull(Exception):
    """Other bodies take the memory. A retry may help."""


class Body:
    """The body of a request, which is still arriving. Its memory counts until the context ends."""

    def __init__(self, scope: Scope, receive: Receive, memory: FairShare[Hashable]) -> None:
        self._receive = receive
        self._memory = memory
        self._declared_bytes = _content_length(scope)
        self._parts: list[bytes] = []
        self._bytes = 0
        self._is_complete = False
        self._held: list[tuple[Hashable, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for owner, amount in self._held:
            self._memory.give_back(owner, amount)
        self._parts.clear()

    async def read(self, limit: int, owner: Hashable) -> bytes:
        """Read to the end. Raises BodyTooLarge, MemoryFull, or RequestAborted if the client is gone.

        After BodyTooLarge it can be read on with a higher limit. `owner` shares the memory with other owners.
        """
        while True:
            if max(self._bytes, self._declared_bytes) > limit:
                raise BodyTooLarge
            if self._is_complete:
                return b"".join(self._parts)
            await self._read_part(owner)

    async def _read_part(self, owner: Hashable) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise RequestAborted
        part = message.get("body", b"")
        self._is_complete = not message.get("more_body", False)
        if part:
            self.hold(len(part), owner)
            self._bytes += len(part)
            self._parts.append(part)

    def hold(self, amount: int, owner: Hashable) -> None:
        """Count more memory, such as that of the decompressed body. Any thread may call this. Raises MemoryFull."""
        if not self._memory.take(owner, amount):
            raise MemoryFull
        self._held.append((owner, amount))


class _LoopRequest(HttpRequest):
    incoming_body: Body


def with_incoming(request: HttpRequest, body: Body) -> HttpRequest:
    """Let `read_body` read this body for the request."""
    cast(_LoopRequest, request).incoming_body = body
    return request


async def read_body(request: HttpRequest, limit: int, owner: Hashable) -> bytes:
    """Read the body of a request that is answered on the event loop. Raises as `Body.read` does."""
    body: Body | None = getattr(request, "incoming_body", None)
    if body is not None:
        return await body.read(limit, owner)
    # Django's own handlers have read it.
    content: bytes = request.read(limit + 1)
    if len(content) > limit:
        raise BodyTooLarge
    return content


def hold_memory(request: HttpRequest, amount: int, owner: Hashable) -> None:
    """Count memory that a request takes beside its body. Raises MemoryFull."""
    body: Body | None = getattr(request, "incoming_body", None)
    if body is not None:
        body.hold(amount, owner)


def _content_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
