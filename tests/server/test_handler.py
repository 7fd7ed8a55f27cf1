"""A request runs in one thread, and a stream is sent as it is made."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from catalyst.server.body_limit import Message, Scope
from catalyst.server.handler import ThreadHandler

made: list[int] = []


@pytest.fixture(autouse=True)
def only_these_views(settings: Any) -> None:
    """Nobody has to sign in."""
    settings.ROOT_URLCONF = "tests.server.test_handler"
    settings.MIDDLEWARE = []


def echo(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(request.read(), headers={"X-Thread": threading.current_thread().name})
    response.set_cookie("a", "b")
    return response


def endless(_request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        while True:
            made.append(len(made))
            yield b"part"

    return StreamingHttpResponse(parts())


def three(_request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter([b"one", b"two", b"three"]))


def wrong(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a view that fails")


urlpatterns = [path("v1/echo", echo), path("v1/endless", endless), path("v1/three", three), path("v1/wrong", wrong)]


def ask(where: str, body: bytes = b"", leave_after: int = 0) -> list[Message]:
    """What a client is sent that may go away after so many messages."""
    sent: list[Message] = []

    async def talk() -> None:
        gone = asyncio.Event()
        arriving: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if arriving:
                return arriving.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)
            if len(sent) == leave_after:
                gone.set()

        headers = [(b"host", b"localhost"), (b"content-length", str(len(body)).encode())]
        scope: Scope = {"type": "http", "method": "POST", "path": where, "headers": headers, "query_string": b""}
        await asyncio.wait_for(ThreadHandler(2)(scope, receive, send), 30)

    asyncio.run(talk())
    return sent


def header(start: Message, name: bytes) -> bytes:
    headers: dict[bytes, bytes] = dict(start["headers"])
    return headers[name]


def test_it_answers_with_the_view_s_response() -> None:
    start, body = ask("/v1/echo", b"hello")
    assert (start["status"], body["body"]) == (200, b"hello")
    assert header(start, b"Set-Cookie") == b"a=b; Path=/"


def test_it_stays_in_one_thread() -> None:
    threads: list[str] = []

    def note(**_: Any) -> None:
        threads.append(threading.current_thread().name)

    request_started.connect(note)
    request_finished.connect(note)
    try:
        start, _ = ask("/v1/echo")
    finally:
        request_started.disconnect(note)
        request_finished.disconnect(note)
    assert threads == [header(start, b"X-Thread").decode()] * 2


def test_it_sends_a_stream_part_by_part() -> None:
    start, *parts = ask("/v1/three")
    assert start["status"] == 200
    assert [part.get("body", b"") for part in parts] == [b"one", b"two", b"three", b""]
    assert not parts[-1].get("more_body", False)


def test_it_ends_a_stream_that_nobody_reads() -> None:
    made.clear()
    sent = ask("/v1/endless", leave_after=3)
    assert sent[0]["type"] == "http.response.start"
    assert 2 <= len(made) < 1_000


def test_it_answers_500_for_a_view_that_fails() -> None:
    start, _ = ask("/v1/wrong")
    assert start["status"] == 500
