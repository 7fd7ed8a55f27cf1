"""A limit for request bodies that holds while they arrive."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

type Scope = dict[str, Any]
type Message = Mapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyLimit:
    """Cut every request body one byte past the limit, whatever its length claims to be.

    Django would write a body of any size to disk before a view sees it. A view that takes large bodies answers 413 when
    it reads more than the limit; to all others the limit of Django's forms, which is far lower, still applies.
    """

    def __init__(self, application: Application, limit: int) -> None:
        self.application = application
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.application(scope, self._cut(receive), send)

    def _cut(self, receive: Receive) -> Receive:
        left = self.limit + 1
        ended = False

        async def limited() -> Message:
            nonlocal left, ended
            message = await receive()
            while ended and message["type"] == "http.request":
                message = await receive()
            if message["type"] == "http.request":
                body = message.get("body", b"")
                ended = len(body) >= left or not message.get("more_body", False)
                message = {"type": "http.request", "body": body[:left], "more_body": not ended}
                left -= len(body)
            return message

        return limited
