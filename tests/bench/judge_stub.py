"""A judge that answers every question alike after a fixed time, in a process of its own: cheap, so that it measures."""

import asyncio
import json
import multiprocessing
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized

from tests.judge_server import says

MODEL = "stub-judge"
BODY = json.dumps(says("yes").body).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


@dataclass(frozen=True, slots=True)
class Stub:
    """`asked` counts questions. `url` is what goes into CATALYST_JUDGE_URL."""

    url: str
    asked: "Synchronized[int]"


@contextmanager
def stub(seconds: float) -> Iterator[Stub]:
    """Run one whose answers take so long."""
    context = multiprocessing.get_context("spawn")
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    asked = context.Value("q", 0)
    process = context.Process(target=_serve, args=[listener, asked, seconds], daemon=True)
    process.start()
    try:
        yield Stub(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", asked)
    finally:
        process.kill()
        process.join()
        listener.close()


def _serve(listener: socket.socket, asked: "Synchronized[int]", seconds: float) -> None:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
                asked.value += 1
                await asyncio.sleep(seconds)
                writer.write(ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(converse, sock=listener)
        await server.serve_forever()

    asyncio.run(serve())
