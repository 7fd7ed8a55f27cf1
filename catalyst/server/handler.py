"""An ASGI handler that runs each request in one thread (docs/adr/0008), and a few on the event loop (docs/adr/0014)."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from io import BytesIO
from typing import cast

from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.template.loader import render_to_string
from django.urls import resolve, set_script_prefix

from catalyst.fairness import FairShare
from catalyst.ip_ranges import network_of
from catalyst.server.bodies import Body, BodyTooLarge, MemoryFull, Message, Receive, Scope, Send, with_incoming
from catalyst.server.threads import in_thread, request_executor

type LoopView = Callable[[HttpRequest], Awaitable[HttpResponse]]

# A form without files has room in this. A larger one must come from someone who is signed in.
MAX_STRANGER_BODY_BYTES = 64 * 1024
MAX_PAGE_BODY_BYTES = 2_500_000
FILE_PART_BYTES = 64 * 1024
RETRY_AFTER_SECONDS = 5


class ThreadHandler(ASGIHandler):
    """Handle one request for each thread at once. No thread waits for a client.

    Views of the paths in `on_loop` run on the event loop without middleware (see `catalyst.server.threads`), and read
    their body themselves (`catalyst.server.bodies.read_body`). `may_send_more(scope)` runs in a thread, and allows a
    request of another path a body of more than MAX_STRANGER_BODY_BYTES. `memory` is shared by all bodies.
    `stray_view(scope)` may return a view like those of `on_loop` for a request of another path.
    """

    def __init__(
        self,
        threads: int,
        memory: FairShare[Hashable],
        may_send_more: Callable[[Scope], bool],
        on_loop: Iterable[str] = (),
        stray_view: Callable[[Scope], LoopView | None] = lambda _: None,
    ) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._memory = memory
        self._may_send_more = may_send_more
        self._on_loop = {path: _safe(resolve(path).func) for path in on_loop}
        self._stray_view = stray_view
        self.load_middleware(is_async=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_executor.set(self._threads)
        view = self._on_loop.get(scope["path"]) or self._find_stray_view(scope)
        with Body(scope, receive, self._memory) as body, suppress(RequestAborted):
            response = await self._respond(view, scope, body)
            if isinstance(response, HttpResponse):
                for message in _complete_response(response):
                    await send(message)
            else:
                await _stream(response, receive, send)

    def _find_stray_view(self, scope: Scope) -> LoopView | None:
        view = self._stray_view(scope)
        return _safe(view) if view is not None else None

    async def _respond(self, view: LoopView | None, scope: Scope, body: Body) -> HttpResponse | StreamingHttpResponse:
        if view is not None:
            return await self._respond_on_loop(view, scope, body)
        return await self._respond_in_thread(scope, body)

    async def _respond_on_loop(self, view: LoopView, scope: Scope, body: Body) -> HttpResponse:
        request, refusal = self.create_request(scope, BytesIO())
        if request is None:
            return cast(HttpResponse, refusal)
        return await view(with_incoming(request, body))

    async def _respond_in_thread(self, scope: Scope, body: Body) -> HttpResponse | StreamingHttpResponse:
        try:
            content = await self._read_page_body(scope, body)
        except BodyTooLarge:
            return await in_thread(_too_large, scope)
        except MemoryFull:
            return _refusal(503, "The server has no memory for this request now. Send it again.")
        # Returns the database connection too, so a stream holds none while it waits for its client.
        return await in_thread(self._run_view, scope, content)

    async def _read_page_body(self, scope: Scope, body: Body) -> bytes:
        client = scope.get("client")
        owner = network_of(client[0]) if client else ""
        try:
            return await body.read(MAX_STRANGER_BODY_BYTES, owner)
        except BodyTooLarge:
            if not await in_thread(self._may_send_more, scope):
                raise
            return await body.read(MAX_PAGE_BODY_BYTES, owner)

    def _run_view(self, scope: Scope, body: bytes) -> HttpResponse | StreamingHttpResponse:
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(type(self), scope=scope)
        request, refusal = self.create_request(scope, BytesIO(body))
        response = refusal if request is None else self.get_response(request)
        if isinstance(response, HttpResponse):
            response.close()
        elif not isinstance(response, StreamingHttpResponse):
            raise TypeError(f"A view returned {type(response).__name__}, which is not a response.")
        return response


def _safe(view: Callable[..., HttpResponseBase | Awaitable[HttpResponseBase]]) -> LoopView:
    return cast(LoopView, convert_exception_to_response(view))


def _too_large(scope: Scope) -> HttpResponse:
    if b"text/html" in dict(scope["headers"]).get(b"accept", b""):
        return HttpResponse(_too_large_page(), status=413)
    return _refusal(413, "The body of this request is too large.")


@cache
def _too_large_page() -> str:
    return render_to_string("413.html", {"megabytes": MAX_PAGE_BODY_BYTES / 1e6})


def _refusal(status: int, message: str) -> HttpResponse:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else {}
    return HttpResponse(message, status=status, content_type="text/plain; charset=utf-8", headers=headers)


async def _stream(response: StreamingHttpResponse, receive: Receive, send: Send) -> None:
    """Send part by part. A thread makes each, and waits for no client."""
    gone = asyncio.create_task(_disconnected(receive))
    try:
        if isinstance(response, FileResponse):
            response.block_size = FILE_PART_BYTES
        await send(_start(response))
        parts = iter(cast(Iterable[bytes], response))
        while not gone.done() and (part := await in_thread(next, parts, None)) is not None:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        if not gone.done():
            await send({"type": "http.response.body"})
    finally:
        gone.cancel()
        await in_thread(response.close)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _start(response: HttpResponseBase) -> Message:
    headers = [(name.encode("ascii"), value.encode("latin1")) for name, value in response.items()]
    headers += [(b"Set-Cookie", cookie.OutputString().encode("ascii")) for cookie in response.cookies.values()]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


def _complete_response(response: HttpResponse) -> list[Message]:
    response.setdefault("Content-Length", str(len(response.content)))
    return [_start(response), {"type": "http.response.body", "body": response.content}]
