"""Refuses gRPC in its own words: SDKs whose protocol is gRPC would otherwise log an error of HTTP/2 that names no cure.

Knows as much of HTTP/2 (RFC 9113) and HPACK (RFC 7541) as one answer needs.
"""

import asyncio
from collections.abc import Callable
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_BYTES = 64 * 1024
MESSAGE = b"Catalyst takes OTLP over HTTP, not gRPC. Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf."
FRAME_HEAD_BYTES = 9
_END = 0x5  # of the headers, and of the stream
_UNIMPLEMENTED = b"12"


class _Type(IntEnum):
    HEADERS = 1
    SETTINGS = 4
    GOAWAY = 7


class GrpcRefusal(asyncio.Protocol):
    """Takes a connection over after the preface of HTTP/2, and answers its first call with UNIMPLEMENTED.

    The client closes the connection. `on_lost` is called then.
    """

    def __init__(self, transport: asyncio.WriteTransport, on_lost: Callable[[Exception | None], None]) -> None:
        self._transport = transport
        self._on_lost = on_lost
        self._unread = b""
        self._is_answered = False
        transport.write(_frame(_Type.SETTINGS, 0, 0, b""))

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes what follows the preface."""
        if self._is_answered:
            return
        self._unread += data
        while not self._is_answered and (frame := self._next_frame()):
            kind, stream = frame
            if kind == _Type.HEADERS:
                self._answer(stream)
        if len(self._unread) > MAX_BYTES:
            self._transport.abort()

    def _next_frame(self) -> tuple[int, int] | None:
        """Return type and stream of the next complete frame, and forget it."""
        head = self._unread[:FRAME_HEAD_BYTES]
        size = FRAME_HEAD_BYTES + int.from_bytes(head[:3])
        if len(head) < FRAME_HEAD_BYTES or len(self._unread) < size:
            return None
        self._unread = self._unread[size:]
        return head[3], int.from_bytes(head[5:]) & 0x7FFF_FFFF

    def _answer(self, stream: int) -> None:
        self._is_answered, self._unread = True, b""
        last = stream.to_bytes(4)
        self._transport.write(
            _frame(_Type.HEADERS, _END, stream, _ANSWER) + _frame(_Type.GOAWAY, 0, 0, last + bytes(4))
        )


def _frame(kind: _Type, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def _header(name: bytes, value: bytes) -> bytes:
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


_ANSWER = b"".join(
    [
        b"\x88",  # :status 200, an entry of HPACK's static table
        _header(b"content-type", b"application/grpc"),
        _header(b"grpc-status", _UNIMPLEMENTED),
        _header(b"grpc-message", MESSAGE),
    ]
)
