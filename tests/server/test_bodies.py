"""A body is read within its limit, and within the memory that all bodies share."""

import asyncio
from collections.abc import Hashable

import pytest
from django.core.exceptions import RequestAborted

from catalyst.fairness import FairShare
from catalyst.server.bodies import Body, BodyTooLarge, MemoryFull, Message, Scope

type Memory = FairShare[Hashable]


@pytest.fixture
def memory() -> Memory:
    return FairShare(100)


def part(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def body_of(memory: Memory, *messages: Message, declared: int | None = None) -> Body:
    """The body of these messages, then the client is gone."""
    arriving = iter([*messages, {"type": "http.disconnect"}])

    async def receive() -> Message:
        return next(arriving)

    headers = [] if declared is None else [(b"content-length", str(declared).encode())]
    scope: Scope = {"headers": headers}
    return Body(scope, receive, memory)


def read(body: Body, limit: int, owner: str = "a") -> bytes:
    return asyncio.run(body.read(limit, owner))


def test_it_joins_the_parts(memory: Memory) -> None:
    with body_of(memory, part(b"abc", True), part(b"def")) as body:
        assert read(body, 6) == b"abcdef"
    with body_of(memory, {"type": "http.request"}) as body:
        assert read(body, 6) == b""


def test_it_stops_at_the_limit_and_can_go_on_from_there(memory: Memory) -> None:
    with body_of(memory, part(b"ab", True), part(b"cd", True), part(b"ef")) as body:
        with pytest.raises(BodyTooLarge):
            read(body, 3)
        assert memory.sum == 4
        assert read(body, 6) == b"abcdef"


def test_it_receives_nothing_of_a_body_that_is_declared_too_large(memory: Memory) -> None:
    with body_of(memory, part(b"ab", True), declared=101) as body:
        with pytest.raises(BodyTooLarge):
            read(body, 100)
        assert memory.sum == 0


def test_it_says_that_the_client_is_gone(memory: Memory) -> None:
    with body_of(memory, part(b"ab", True)) as body, pytest.raises(RequestAborted):
        read(body, 6)
    assert memory.sum == 0


def test_bodies_share_memory_until_their_requests_end(memory: Memory) -> None:
    with body_of(memory, part(b"x" * 60)) as first:
        read(first, 100)
        first.hold(40, "a")
        with body_of(memory, part(b"y" * 10, True), part(b"y" * 10)) as second, pytest.raises(MemoryFull):
            read(second, 100)
        with body_of(memory, part(b"z" * 20, True), part(b"z" * 20)) as other:
            assert len(read(other, 100, "b")) == 40
    assert memory.sum == 0
    with body_of(memory, part(b"x" * 100)) as body:
        assert len(read(body, 100)) == 100
