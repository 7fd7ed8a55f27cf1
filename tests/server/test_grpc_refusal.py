"""An SDK whose protocol is gRPC is told to use HTTP, in words that it logs."""

import pytest

from catalyst.server.grpc_refusal import MAX_BYTES, MESSAGE, PREFACE
from tests.server.test_protocol import Client, Site, talk

HEADERS, SETTINGS, GOAWAY = 1, 4, 7

type Frame = tuple[int, int, bytes]


def frame(kind: int, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, 0]) + stream.to_bytes(4) + payload


OPENING = PREFACE + frame(SETTINGS, payload=b"\0\3\0\0\0\1")
CALL = frame(HEADERS, 1, b"\x83\x86")


async def next_frame(client: Client) -> Frame:
    head = await client.reader.readexactly(9)
    return head[3], int.from_bytes(head[5:]), await client.reader.readexactly(int.from_bytes(head[:3]))


@pytest.mark.parametrize("call", [[OPENING + CALL], [OPENING, CALL], [OPENING, CALL[:5], CALL[5:], b"x" * 100]])
def test_it_answers_the_first_call_in_words_and_closes_if_the_client_does_not(call: list[bytes]) -> None:
    async def ask(site: Site) -> tuple[list[Frame], bytes, int]:
        client = await site.connect()
        for part in call:
            await client.send(part)
        frames = [await next_frame(client) for _ in range(3)]
        site.check()
        return frames, await client.rest(), len(site.table) + len(site.requests)

    (settings, headers, goaway), rest, left = talk(ask)
    assert settings == (SETTINGS, 0, b"")
    assert headers[:2] == (HEADERS, 1)
    assert b"grpc-status\x0212" in headers[2]
    assert MESSAGE in headers[2]
    assert goaway == (GOAWAY, 0, (1).to_bytes(4) + bytes(4))
    assert (rest, left) == (b"", 0)


def test_it_closes_who_makes_no_call() -> None:
    async def ask(site: Site) -> tuple[Frame, bytes, int]:
        client = await site.connect()
        await client.send(OPENING)
        settings = await next_frame(client)
        site.check()
        return settings, await client.rest(), len(site.table)

    assert talk(ask) == ((SETTINGS, 0, b""), b"", 0)


def test_it_closes_who_sends_too_much() -> None:
    async def ask(site: Site) -> int:
        client = await site.connect()
        await client.send(OPENING + (MAX_BYTES * 2).to_bytes(3) + bytes(6) + bytes(MAX_BYTES))
        await client.rest()
        return len(site.table)

    assert talk(ask) == 0
