"""A limit for request bodies, enforced while they arrive."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

type Scope = dict[str, Any]
type Message = Mapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyLimit:
    """Cut request bodies one byte past the limit, regardless of Content-Length.

    Django would write a body of any size to disk before a view runs. A view that reads more than the limit answers 413.
    """

    def __init__(self, application: Application, limit: int) -> None:
        self.application = application
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.application(scope, self._cut(receive), send)

    def _cut(self, receive: Receive) -> Receive:
        remaining = self.limit + 1
        is_complete = False

        async def limited() -> Message:
            nonlocal remaining, is_complete
            message = await receive()
            while is_complete and message["type"] == "http.request":
                message = await receive()
            if message["type"] == "http.request":
                body = message.get("body", b"")
                is_complete = len(body) >= remaining or not message.get("more_body", False)
                message = {"type": "http.request", "body": body[:remaining], "more_body": not is_complete}
                remaining -= len(body)
            return message

        return limited
