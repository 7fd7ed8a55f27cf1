"""What strangers may send before anybody is known, and how long they may take. Over real sockets."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from ipaddress import ip_network
from typing import Any

import pytest
import uvicorn
import uvloop

from catalyst.server import protocol
from catalyst.server.bodies import Receive, Scope, Send
from catalyst.server.connections import ConnectionTable
from catalyst.server.protocol import bounded_protocol

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
LATER = 10_000.0
PARTS = 400


class Site:
    """A server on loopback, and the clients that talk to it. It answers with the length of what it got."""

    def __init__(self, most: int = 100, most_receiving: int = 100, proxies: str = "192.0.2.1/32") -> None:
        self.table = ConnectionTable(most, most_receiving)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.requests: list[Scope] = []
        self.seen: list[str] = []
        self.clients: list[Client] = []
        self.going = asyncio.Event()
        http = bounded_protocol(self.table, [ip_network(proxies)])
        config = uvicorn.Config(
            self.application, http=http, ws="none", interface="asgi3", lifespan="off", log_config=None, access_log=False
        )
        self.server = uvicorn.Server(config)

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests.append(scope)
        size = 0
        while True:
            message = await receive()
            self.seen.append(message["type"])
            if message["type"] == "http.disconnect":
                return
            size += len(message["body"])
            if scope["path"] == "/early" or not message["more_body"]:
                break
        if scope["path"] == "/slow":
            await self.going.wait()
        parts = PARTS * [b"x" * 100_000] if scope["path"] == "/large" else [str(size).encode()]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})
        self.seen.append("sent")

    async def connect(self) -> "Client":
        reader, writer = await asyncio.open_connection(*self.listener.getsockname(), limit=10_000)
        self.clients.append(Client(reader, writer))
        return self.clients[-1]

    async def stop(self) -> None:
        self.going.set()
        for client in self.clients:
            client.writer.transport.abort()
        self.server.should_exit = True

    def check(self, later: float = LATER) -> None:
        """As if much time had gone by."""
        self.table.check(asyncio.get_running_loop().time() + later)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        with suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def status(self) -> int:
        """The status of the next answer; 0 if the server closes the connection without one."""
        try:
            line = await self.reader.readline()
        except ConnectionError:
            return 0
        return int(line.split()[1]) if line else 0

    async def rest(self) -> bytes:
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""


def talk[T](conversation: Callable[[Site], Coroutine[Any, Any, T]], **site: Any) -> T:
    async def run() -> T:
        served = Site(**site)
        serving = asyncio.create_task(served.server.serve([served.listener]))
        try:
            return await asyncio.wait_for(conversation(served), 60)
        finally:
            await served.stop()
            await serving

    return asyncio.run(run(), loop_factory=uvloop.new_event_loop)


def answer_to(*parts: bytes) -> int:
    async def ask(site: Site) -> int:
        client = await site.connect()
        for part in parts:
            await client.send(part)
        return await client.status()

    return talk(ask)


def test_it_answers_a_request() -> None:
    assert answer_to(HEAD + b"\r\n") == 200
    assert answer_to(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab", b"cd") == 200


def test_it_takes_large_heads() -> None:
    fill = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 1_000) for number in range(60))
    assert answer_to(HEAD + fill + b"\r\n") == 200
    assert answer_to(b"GET /?" + b"q" * (protocol.MAX_URL_BYTES - 100) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n") == 200


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([HEAD, *[b"X-%d: %s\r\n" % (number, b"x" * 1_000) for number in range(70)]], 431),
        ([HEAD + b"X: ", *[b"x" * 10_000] * 20], 431),
        ([HEAD, *[b"x" * 10_000] * 20], 431),
        ([HEAD + b"X: " + b"x" * 1_000_000], 431),
        ([b"GET /", *[b"x" * 10_000] * 20], 414),
        ([b"GET /?q=" + b"x" * (protocol.MAX_URL_BYTES + 1) + b" HTTP/1.1\r\n\r\n"], 414),
        ([b"x" * 1_000_000], 400),
        ([b"GET / HTTP/9.9\r\n\r\n"], 400),
    ],
)
def test_it_refuses_large_heads(parts: list[bytes], status: int) -> None:
    assert answer_to(*parts) == status


def test_it_refuses_what_a_chunked_body_hides() -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert answer_to(head, b"2\r\nab\r\n0\r\n\r\n") == 200
    assert answer_to(head, b"0\r\nX: ", *[b"x" * 10_000] * 50) == 431
    assert answer_to(head, b"2;", *[b"x" * 10_000] * 50) == 431


def test_it_closes_who_sends_no_request_in_time() -> None:
    async def ask(site: Site) -> list[int]:
        silent, slow = await site.connect(), await site.connect()
        await slow.send(HEAD)
        body = await site.connect()
        await body.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nab")
        while not site.seen:
            await asyncio.sleep(0)
        site.check()
        found = [await client.status() for client in (silent, slow, body)]
        while "http.disconnect" not in site.seen:
            await asyncio.sleep(0)
        return found

    assert talk(ask) == [0, 408, 408]


def test_it_waits_for_its_own_answers() -> None:
    async def ask(site: Site) -> int:
        client = await site.connect()
        await client.send(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not site.seen:
            await asyncio.sleep(0)
        site.check()
        site.going.set()
        return await client.status()

    assert talk(ask) == 200


def test_a_body_has_time_for_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "BODY_BYTES_PER_SECOND", 1)

    async def ask(site: Site) -> int:
        client = await site.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20001\r\n\r\n" + b"x" * 20_000)
        while len(site.seen) < 1:
            await asyncio.sleep(0)
        site.check()
        await client.send(b"x")
        return await client.status()

    assert talk(ask) == 200


def test_who_sends_on_after_an_early_answer_gets_it_and_is_closed_in_time() -> None:
    async def ask(site: Site) -> tuple[int, bytes]:
        client = await site.connect()
        await client.send(b"POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n")
        await client.send(b"x" * 500_000)
        status = await client.status()
        site.check()
        return status, (await client.rest())[-9:]

    status, end = talk(ask)
    assert (status, end.endswith(b"0\r\n\r\n")) == (200, True)


def test_it_closes_who_reads_no_more() -> None:
    async def ask(site: Site) -> tuple[int, int]:
        client = await site.connect()
        await client.send(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await client.status()
        while not any(each.transport.get_write_buffer_size() for each in site.server.server_state.connections):
            await asyncio.sleep(0)
        site.check()
        before = len(site.table)
        site.check(2 * LATER)
        while len(site.table):
            await asyncio.sleep(0)
        return before, len(await client.rest())

    before, read = talk(ask)
    assert before == 1
    assert read < PARTS * 100_000


def test_a_newcomer_gets_in_however_many_send_nothing() -> None:
    async def ask(site: Site) -> tuple[int, int]:
        silent = [await site.connect() for _ in range(50)]
        client = await site.connect()
        await client.send(HEAD + b"\r\n")
        status = await client.status()
        return status, len([each for each in silent if not each.reader.at_eof()])

    assert talk(ask, most_receiving=10)[0] == 200
    assert talk(ask, most=10)[0] == 200
    assert talk(ask, most=10, most_receiving=5, proxies="127.0.0.0/8")[0] == 200


def test_connections_of_a_proxy_are_not_those_of_one_client() -> None:
    async def ask(site: Site) -> int:
        for _ in range(20):
            await site.connect()
        while len(site.table) < 20:
            await asyncio.sleep(0)
        return len(site.table)

    assert talk(ask, most_receiving=5, proxies="127.0.0.0/8") == 20


def test_it_serves_pipelined_and_kept_connections() -> None:
    async def ask(site: Site) -> list[int]:
        client = await site.connect()
        await client.send((HEAD + b"\r\n") * 2)
        found = []
        for _ in range(2):
            found.append(await client.status())
            await client.reader.readuntil(b"0\r\n\r\n")
        await client.send(HEAD + b"\r\n")
        found.append(await client.status())
        await client.reader.readuntil(b"0\r\n\r\n")
        site.check()
        return [*found, await client.status()]

    assert talk(ask) == [200, 200, 200, 0]


def test_an_upgrade_is_answered_as_if_it_had_not_asked() -> None:
    assert answer_to(HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n") == 200
