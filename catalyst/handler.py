"""Django over ASGI with each request in one thread, from its first query to the closing of its connection.

Django's own handler moves a request with synchronous middleware and views between the event loop and a new thread
several times, which costs more than most requests do (docs/adr/0008).
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from threading import Event
from typing import IO

from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import set_script_prefix

from catalyst.body_limit import Message, Receive, Scope, Send


class ThreadHandler(ASGIHandler):
    """Answers as many requests at once as it has threads; others wait for one."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self.load_middleware(is_async=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, answer in a thread, send what it returns. It sends a stream itself, part by part."""
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        loop, client = asyncio.get_running_loop(), Client(receive, send)
        for message in await loop.run_in_executor(self._threads, self._respond, scope, body, client):
            await send(message)

    def _respond(self, scope: Scope, body: IO[bytes], client: "Client") -> list[Message]:
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(type(self), scope=scope)
        with closing(body), closing(self._answer(scope, body)) as response:
            if not isinstance(response, StreamingHttpResponse):
                return [_start(response), {"type": "http.response.body", "body": response.content}]
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
    """Who asked, for the thread that sends a stream."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._gone = Event()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Notice meanwhile when the client goes away."""
        watch = asyncio.run_coroutine_threadsafe(self._watch(), self._loop)
        try:
            yield
        finally:
            watch.cancel()

    async def _watch(self) -> None:
        if (await self._receive())["type"] == "http.disconnect":
            self._gone.set()

    def send(self, message: Message) -> bool:
        """Send, and wait until it is sent; False when nobody listens any more."""
        if self._gone.is_set():
            return False
        asyncio.run_coroutine_threadsafe(self._sent(message), self._loop).result()
        return True

    async def _sent(self, message: Message) -> None:
        await self._send(message)


def _start(response: HttpResponseBase) -> Message:
    headers = [(name.encode("ascii"), value.encode("latin1")) for name, value in response.items()]
    headers += [(b"Set-Cookie", cookie.OutputString().encode("ascii")) for cookie in response.cookies.values()]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


def _send_parts(response: StreamingHttpResponse, client: Client) -> None:
    """Send a response as it is made, until it ends or nobody listens any more."""
    if not client.send(_start(response)):
        return
    for part in response:
        if not client.send({"type": "http.response.body", "body": part, "more_body": True}):
            return
    client.send({"type": "http.response.body"})
