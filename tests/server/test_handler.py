"""A request runs in one thread, and a stream is sent as it is made."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from catalyst.core.models import Project
from catalyst.fairness import FairShare
from catalyst.server import handler
from catalyst.server.bodies import Message, Receive, Scope
from catalyst.server.handler import ThreadHandler
from tests.page import Page

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


def queries(_request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        for _ in range(2):
            yield str(Project.objects.count()).encode()

    return StreamingHttpResponse(parts())


def three(_request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter([b"one", b"two", b"three"]))


def wrong(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a view that fails")


urlpatterns = [
    path("v1/echo", echo),
    path("v1/endless", endless),
    path("v1/three", three),
    path("v1/queries", queries),
    path("v1/wrong", wrong),
]


def scope_of(where: str, **headers: str) -> Scope:
    named = [(name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()]
    return {"type": "http", "method": "POST", "path": where, "headers": named, "query_string": b""}


def client(gone: asyncio.Event, body: bytes = b"") -> Receive:
    """A client that sends this body, then stays until it is gone."""
    arriving: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if arriving:
            return arriving.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    return receive


def ask(where: str, body: bytes = b"", leave_after: int = 0, cookie: str = "", accept: str = "*/*") -> list[Message]:
    """What a client is sent that may go away after so many messages. Who has the cookie `known` may send more."""
    sent: list[Message] = []

    async def talk() -> None:
        gone = asyncio.Event()

        async def send(message: Message) -> None:
            sent.append(message)
            if len(sent) == leave_after:
                gone.set()

        application = ThreadHandler(2, FairShare(10_000_000), lambda scope: (b"cookie", b"known") in scope["headers"])
        scope = scope_of(where, cookie=cookie, accept=accept, **{"content-length": str(len(body))})
        await asyncio.wait_for(application(scope, client(gone, body), send), 30)

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


@pytest.mark.parametrize(
    ("size", "cookie", "status"),
    [
        (handler.MAX_STRANGER_BODY_BYTES, "", 200),
        (handler.MAX_STRANGER_BODY_BYTES + 1, "", 413),
        (handler.MAX_STRANGER_BODY_BYTES + 1, "known", 200),
        (handler.MAX_PAGE_BODY_BYTES, "known", 200),
        (handler.MAX_PAGE_BODY_BYTES + 1, "known", 413),
    ],
)
def test_strangers_may_send_a_form_and_people_a_large_one(size: int, cookie: str, status: int) -> None:
    start, body = ask("/v1/echo", b"x" * size, cookie=cookie)
    assert start["status"] == status
    assert (len(body["body"]) == size) == (status == 200)


def test_a_browser_gets_a_page_that_says_that_a_form_is_too_large() -> None:
    large = b"x" * (handler.MAX_PAGE_BODY_BYTES + 1)
    start, body = ask("/v1/echo", large, cookie="known", accept="text/html,*/*")
    assert (start["status"], header(start, b"Content-Type")) == (413, b"text/html; charset=utf-8")
    page = Page(body["body"].decode())
    assert page.headings == ["This is too large"]
    assert "A form may send 2.5 MB" in page.text
    start, body = ask("/v1/echo", large, cookie="known")
    assert body["body"] == b"The body of this request is too large."


@pytest.mark.django_db(transaction=True)
def test_no_thread_and_no_connection_waits_for_who_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)  # as with the pool of the web process

    async def talk() -> tuple[bool, int]:
        application = ThreadHandler(1, FairShare(10_000_000), lambda _: False)
        stuck, never = asyncio.Event(), asyncio.Event()
        answer: list[Message] = []

        async def stop_reading(message: Message) -> None:
            if message.get("body"):
                stuck.set()
                await never.wait()

        async def read(message: Message) -> None:
            answer.append(message)

        unread = asyncio.create_task(application(scope_of("/v1/queries"), client(never), stop_reading))
        await asyncio.wait_for(stuck.wait(), 30)
        is_connected = await asyncio.get_running_loop().run_in_executor(application._threads, is_thread_connected)
        await asyncio.wait_for(application(scope_of("/v1/echo"), client(never), read), 30)
        unread.cancel()
        await asyncio.gather(unread, return_exceptions=True)
        return is_connected, answer[0]["status"]

    assert asyncio.run(talk()) == (False, 200)


def is_thread_connected() -> bool:
    return connection.connection is not None
