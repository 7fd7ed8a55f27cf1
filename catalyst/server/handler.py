"""An ASGI handler that runs each request in one thread (docs/adr/0008), and a few on the event loop (docs/adr/0014)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from threading import Event
from typing import IO, cast

from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import resolve, set_script_prefix

from catalyst.server.body_limit import Message, Receive, Scope, Send
from catalyst.server.threads import request_executor

type LoopView = Callable[[HttpRequest], Awaitable[HttpResponse]]


class ThreadHandler(ASGIHandler):
    """Handle one request for each thread at once.

    Views of the paths in `on_loop` run on the event loop without middleware (see `catalyst.server.threads`).
    """

    def __init__(self, threads: int, on_loop: Iterable[str] = ()) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._on_loop: dict[str, LoopView] = {
            path: cast(LoopView, convert_exception_to_response(resolve(path).func)) for path in on_loop
        }
        self.load_middleware(is_async=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A thread sends a streaming response itself.
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        view = self._on_loop.get(scope["path"])
        if view is not None:
            messages = await self._respond_on_loop(view, scope, body)
        else:
            loop, client = asyncio.get_running_loop(), Client(receive, send)
            messages = await loop.run_in_executor(self._threads, self._respond, scope, body, client)
        for message in messages:
            await send(message)

    async def _respond_on_loop(self, view: LoopView, scope: Scope, body: IO[bytes]) -> list[Message]:
        request_executor.set(self._threads)
        with closing(body):
            request, refusal = self.create_request(scope, body)
            return _complete_response(cast(HttpResponse, refusal if request is None else await view(request)))

    def _respond(self, scope: Scope, body: IO[bytes], client: "Client") -> list[Message]:
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(type(self), scope=scope)
        with closing(body), closing(self._answer(scope, body)) as response:
            if not isinstance(response, StreamingHttpResponse):
                return _complete_response(response)
            with client.watched():
                _send_parts(response, client)
        return []

    def _answer(self, scope: Scope, body: IO[bytes]) -> HttpResponse | StreamingHttpResponse:
        request, refusal = self.create_request(scope, body)
        response = refusal if request is None else self.get_response(request)
        if not isinstance(response, HttpResponse | StreamingHttpResponse):
            raise TypeError(f"A view returned {type(response).__name__}, which is not a response.")
        return response


class Client:
    """The client of a streaming response, used from a thread."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._disconnected = Event()

    @contextmanager
    def watched(self) -> Iterator[None]:
        # Notices in the meantime when the client disconnects.
        watch = asyncio.run_coroutine_threadsafe(self._watch(), self._loop)
        try:
            yield
        finally:
            watch.cancel()

    async def _watch(self) -> None:
        if (await self._receive())["type"] == "http.disconnect":
            self._disconnected.set()

    def send(self, message: Message) -> bool:
        """Send and wait. Returns False if the client has disconnected."""
        if self._disconnected.is_set():
            return False
        asyncio.run_coroutine_threadsafe(self._sent(message), self._loop).result()
        return True

    async def _sent(self, message: Message) -> None:
        await self._send(message)


def _start(response: HttpResponseBase) -> Message:
    headers = [(name.encode("ascii"), value.encode("latin1")) for name, value in response.items()]
    headers += [(b"Set-Cookie", cookie.OutputString().encode("ascii")) for cookie in response.cookies.values()]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


def _complete_response(response: HttpResponse) -> list[Message]:
    response.setdefault("Content-Length", str(len(response.content)))
    return [_start(response), {"type": "http.response.body", "body": response.content}]


def _send_parts(response: StreamingHttpResponse, client: Client) -> None:
    if not client.send(_start(response)):
        return
    for part in response:
        if not client.send({"type": "http.response.body", "body": part, "more_body": True}):
            return
    client.send({"type": "http.response.body"})
