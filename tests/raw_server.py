"""A scripted server on loopback that may misbehave: a script writes whatever it wants to each connection.

with RawServer(lambda exchange: exchange.send(answer(b"ok"))) as server:
    ...  # server.port
assert server.requests[0].startswith(b"GET / HTTP/1.1")
"""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self


def answer(body: bytes = b"ok", status: str = "200 OK", **headers: str) -> bytes:
    """A complete HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Exchange:
    """One request on a connection, and the way to answer it."""

    request: bytes
    connection: socket.socket
    closing: threading.Event

    def send(self, data: bytes) -> None:
        """Send bytes as they are. Raises OSError when the client has gone."""
        self.connection.sendall(data)

    def send_forever(self, data: bytes, pause: float = 0) -> None:
        """Repeat some bytes until the client goes away."""
        while not self.closing.wait(pause):
            self.send(data)

    def hang(self) -> None:
        """Say nothing more, and keep the connection."""
        self.closing.wait()


class RawServer:
    """The server; a context manager. `script` runs on a thread for each request."""

    def __init__(self, script: Callable[[Exchange], None], *, context: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.requests: list[bytes] = []
        self.connections = 0
        self._context = context
        self._closing = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        # Wakes the thread that accepts, which would keep the port open.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            talking = self._context.wrap_socket(connection, server_side=True) if self._context else connection
            with talking:
                while request := self._read(talking):
                    self.requests.append(request)
                    self.script(Exchange(request, talking, self._closing))

    def _read(self, connection: socket.socket) -> bytes:
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = connection.recv(65536)
            if not chunk:
                return b""
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        lengths = [
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        ]
        missing = sum(lengths) - len(body)
        return received + (connection.recv(missing, socket.MSG_WAITALL) if missing > 0 else b"")
