"""The web process cuts a body one byte past the limit while it arrives."""

import pytest

from catalyst.server.body_limit import BodyLimit, Message, Receive, Scope, Send


def seen_by_application(limit: int, *messages: Message) -> tuple[bytes, list[str]]:
    """The body that reaches the application, and the types of the messages after it."""
    body, later = b"", []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal body
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
        later.append((await receive())["type"])

    arriving = iter([*messages, {"type": "http.disconnect"}])

    async def receive() -> Message:
        return next(arriving)

    async def send(message: Message) -> None:
        raise AssertionError(message)

    with pytest.raises(StopIteration):  # it never really waits, so it needs no event loop
        BodyLimit(application, limit)({"type": "http"}, receive, send).send(None)
    return body, later


def part(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_it_passes_a_body_within_the_limit() -> None:
    assert seen_by_application(6, part(b"abc", True), part(b"def")) == (b"abcdef", ["http.disconnect"])
    assert seen_by_application(6, {"type": "http.request"}) == (b"", ["http.disconnect"])


def test_it_cuts_a_body_in_one_piece() -> None:
    assert seen_by_application(3, part(b"abcdef")) == (b"abcd", ["http.disconnect"])


def test_it_cuts_a_stream_and_swallows_the_rest() -> None:
    parts = [part(b"ab", True), part(b"cd", True), part(b"ef", True), part(b"gh")]
    assert seen_by_application(3, *parts) == (b"abcd", ["http.disconnect"])
