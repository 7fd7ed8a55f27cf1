"""uvicorn's HTTP protocol with the limits that it lacks (docs/adr/0021)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from catalyst.ip_ranges import IPNetwork, in_networks, network_of
from catalyst.server.connections import ConnectionTable
from catalyst.server.grpc_refusal import PREFACE, GrpcRefusal

MAX_URL_BYTES = 32 * 1024
MAX_HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 20
BODY_SECONDS = 30
IDLE_SECONDS = 80  # longer than uvicorn's own limit, which does not see every case
WRITE_SECONDS = 30
# A body gets one more second for each of these; a client must read so many in WRITE_SECONDS.
BODY_BYTES_PER_SECOND = 32 * 1024
MIN_READ_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    message: str


BAD_REQUEST = Refusal(400, "This is not a valid HTTP request.")
TOO_SLOW = Refusal(408, "The request took too long to arrive.")
LONG_URL = Refusal(414, f"The URL is longer than {MAX_URL_BYTES // 1024} KiB.")
LARGE_HEAD = Refusal(431, f"The headers are larger than {MAX_HEAD_BYTES // 1024} KiB.")


class _Refused(Exception):
    pass


class _Phase(Enum):
    """What a connection waits for."""

    REQUEST = "request"
    HEAD = "head"
    BODY = "body"
    RESPONSE = "response"


class BoundedProtocol(HttpToolsProtocol):
    """Bounds the size of URL and headers, and the time that a client takes to send a request or read a response.

    uvicorn makes the instances, so a subclass holds what they share (`bounded_protocol`).
    """

    table: ClassVar[ConnectionTable]
    proxies: ClassVar[Sequence[IPNetwork]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.network: str | None = None
        self._phase = _Phase.REQUEST
        self._deadline = 0.0
        self._head_bytes = 0
        # Bytes that the parser keeps for the next callback, counted so that they stay few.
        self._unparsed_bytes = 0
        self._refusal = BAD_REQUEST
        self._unread_bytes = 0
        self._read_deadline = 0.0

    def check(self, now: float) -> None:
        """Close the connection if its client is too slow. `now` is the time of the event loop."""
        self._check_receiving(now)
        self._check_reading(now)

    def evict(self) -> None:
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        self.network = None if in_networks(address, self.proxies) else network_of(address)
        self._deadline = self.loop.time() + HEAD_SECONDS
        self.table.open(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.table.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self._feed(memoryview(data))
        except (_Refused, httptools.HttpParserError):
            if data.startswith(PREFACE):
                self._refuse_grpc(data)
            else:
                self._refuse(self._refusal)
        except httptools.HttpParserUpgrade:
            # The request has been passed on as if it had not asked.
            pass
        if self._phase is _Phase.BODY:
            self._deadline += len(data) / BODY_BYTES_PER_SECOND

    def _feed(self, data: memoryview) -> None:
        while data and not self.transport.is_closing():
            piece = data if self._phase is _Phase.BODY else data[:MAX_HEAD_BYTES]
            self._unparsed_bytes += len(piece)
            self.parser.feed_data(piece)
            if self._unparsed_bytes > MAX_HEAD_BYTES:
                self._refusal = LARGE_HEAD
                raise _Refused
            data = data[len(piece) :]

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = self._unparsed_bytes = 0
        self._phase, self._deadline = _Phase.HEAD, self.loop.time() + HEAD_SECONDS
        self.table.receive(self)

    def on_url(self, url: bytes) -> None:
        self._unparsed_bytes = 0
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            # The parser turns an exception of a callback into its own, so the reason is kept here.
            self._refusal = LONG_URL
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        self._unparsed_bytes = 0
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refusal = LARGE_HEAD
            raise _Refused
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._unparsed_bytes = 0
        self._phase, self._deadline = _Phase.BODY, self.loop.time() + BODY_SECONDS
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed_bytes = 0
        if self.cycle.response_complete:
            self._rest()
        else:
            self._phase = _Phase.RESPONSE
            self.table.work(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._phase is _Phase.RESPONSE and self.cycle.response_complete:
            self._rest()

    def _rest(self) -> None:
        self._phase, self._deadline = _Phase.REQUEST, self.loop.time() + IDLE_SECONDS
        self.table.rest(self)

    def _check_receiving(self, now: float) -> None:
        if self.flow.read_paused:
            # The client may have sent more, which this process has not taken yet.
            self._deadline = now + BODY_SECONDS
        if self._phase is _Phase.RESPONSE or now <= self._deadline:
            return
        if self._phase is _Phase.REQUEST:
            self.transport.close()
        else:
            self._refuse(TOO_SLOW)

    def _check_reading(self, now: float) -> None:
        unread = 0 if self.transport.is_closing() else self.transport.get_write_buffer_size()
        if not unread:
            self._unread_bytes = 0
            self.table.read(self)
            return
        self.table.unread(self)
        # It may grow as well: only if the client reads is more written.
        if not self._unread_bytes or abs(unread - self._unread_bytes) >= MIN_READ_BYTES:
            self._unread_bytes, self._read_deadline = unread, now + WRITE_SECONDS
        elif now > self._read_deadline:
            self.transport.abort()

    def _refuse(self, refusal: Refusal) -> None:
        if self._may_respond():
            self.transport.write(_plain_response(refusal))
        self.transport.close()

    def _refuse_grpc(self, data: bytes) -> None:
        # `check` closes the connection if the client does not.
        self._phase, self._deadline = _Phase.REQUEST, self.loop.time() + HEAD_SECONDS
        refusal = GrpcRefusal(self.transport, self.connection_lost)
        self.transport.set_protocol(refusal)
        refusal.data_received(data.removeprefix(PREFACE))

    def _may_respond(self) -> bool:
        # Not if a response is under way, or is due to an earlier request of this connection.
        if self._phase is _Phase.BODY:
            return not self.pipeline and not self.cycle.response_started
        return self.cycle is None or self.cycle.response_complete


def bounded_protocol(shared_table: ConnectionTable, trusted: Sequence[IPNetwork]) -> type[BoundedProtocol]:
    """Return the protocol of a server whose connections are in this table. `trusted` are the networks of proxies."""

    class SharedProtocol(BoundedProtocol):
        table = shared_table
        proxies = trusted

    return SharedProtocol


def _plain_response(refusal: Refusal) -> bytes:
    lines = [
        STATUS_LINE[refusal.status],
        b"content-type: text/plain; charset=utf-8\r\n",
        b"content-length: %d\r\n" % len(refusal.message),
        b"connection: close\r\n\r\n",
        refusal.message.encode(),
    ]
    return b"".join(lines)
