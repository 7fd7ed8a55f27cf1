"""Answers of the relay, over ASGI."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

type Message = dict[str, Any]
type Send = Callable[[Message], Awaitable[None]]
type Receive = Callable[[], Awaitable[Message]]


class Refusal(Exception):
    """An answer that is an error. The text is for people. `code` is for programs."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = ""
        # As OpenAI words errors. Clients look for it in events, too.
        self.body = orjson.dumps({"error": {"message": message, "type": "catalyst_relay", "code": code}})


class Answer:
    """One answer: a whole, or a stream that begins with `begin`."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    async def whole(self, status: int, content_type: str, body: bytes, retry_after: str = "") -> None:
        await self._head(status, content_type, retry_after, length=len(body))
        await self._send({"type": "http.response.body", "body": body})

    async def begin(self, content_type: str) -> None:
        await self._head(200, content_type)

    async def part(self, content: bytes) -> None:
        await self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with an error, within the stream if it has begun."""
        if not self.has_begun:
            await self.whole(refusal.status, "application/json", refusal.body, refusal.retry_after)
            return
        # An event of its own, should the last one be cut off.
        await self.part(b"\n\nevent: error\ndata: " + refusal.body + b"\n\n")
        await self.end()

    async def _head(self, status: int, content_type: str, retry_after: str = "", length: int | None = None) -> None:
        self.has_begun = True
        headers = [(b"content-type", content_type.encode("latin-1", "replace")), (b"cache-control", b"no-store")]
        if retry_after:
            headers.append((b"retry-after", retry_after.encode("latin-1", "replace")))
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
