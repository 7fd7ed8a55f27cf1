"""A scripted model server on loopback that speaks both APIs of models, and may misbehave.

with ModelServer(lambda talk: talk.stream(said_by_responses("Hello", input_tokens=20))) as server:
    ...  # server.url
assert server.asked[0].body["model"] == "m"
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.raw_server import Exchange, RawServer


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def tools(self) -> list[str]:
        """The names of the tools, in either API."""
        return [tool.get("function", tool)["name"] for tool in self.body.get("tools", [])]


@dataclass(frozen=True)
class Talk:
    """One request and the ways to answer it."""

    asked: Asked
    exchange: Exchange

    def json(self, body: object, status: int = 200, **headers: str) -> None:
        """A whole answer. Bytes are sent as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(content)}"]
        headers = {"Content-Type": "application/json"} | {name.replace("_", "-"): headers[name] for name in headers}
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.exchange.send("\r\n".join([*lines, "", ""]).encode() + content)

    def error(self, status: int, message: str = "No.", **headers: str) -> None:
        """An error as OpenAI words them."""
        self.json({"error": {"message": message, "type": "server_error", "code": None}}, status, **headers)

    def begin(self) -> None:
        """The head of a stream."""
        self.exchange.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
        )

    def part(self, content: bytes) -> None:
        """A part of a stream."""
        self.exchange.send(b"%x\r\n%b\r\n" % (len(content), content))

    def stream(self, parts: Iterable[bytes]) -> None:
        """A whole stream."""
        self.begin()
        for part in parts:
            self.part(part)
        self.exchange.send(b"0\r\n\r\n")


class ModelServer:
    """The server; a context manager. `script` may be replaced while it runs and is called on a thread per request."""

    def __init__(self, script: Callable[[Talk], None]) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        self._raw = RawServer(self._answer)

    @property
    def url(self) -> str:
        """The base URL of both APIs."""
        return f"http://127.0.0.1:{self._raw.port}/v1"

    @contextmanager
    def running(self) -> Iterator["ModelServer"]:
        """Serve for a while."""
        with self._raw:
            yield self

    def _answer(self, exchange: Exchange) -> None:
        head, _, content = exchange.request.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        asked = Asked(first.split(" ")[1], headers, json.loads(content))
        with self._lock:
            self.asked.append(asked)
        self.script(Talk(asked, exchange))


def event(data: dict[str, Any]) -> bytes:
    """An event, with its name where it has one."""
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


def said_by_responses(
    text: str, *, input_tokens: int = 100, output_tokens: int = 10, cached: int = 0, thought: int = 0
) -> list[bytes]:
    """A stream of the Responses API."""
    usage = {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": input_tokens + output_tokens,
    }
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    done = {"id": "resp_1", "object": "response", "status": "completed", "output": [item], "usage": usage}
    return [
        event({"type": "response.created", "response": done | {"status": "in_progress", "output": [], "usage": None}}),
        *(event({"type": "response.output_text.delta", "delta": f"{word} "}) for word in text.split()),
        event({"type": "response.completed", "response": done}),
    ]


def said_by_chat(text: str, *, input_tokens: int | None = 100, output_tokens: int = 10) -> list[bytes]:
    """A stream of chat completions; without tokens if `input_tokens` is None."""
    about: dict[str, Any] = {"id": "chat-1", "object": "chat.completion.chunk", "model": "m"}
    words = [{"index": 0, "delta": {"content": f"{word} "}} for word in text.split()]
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    chunks = [event(about | {"choices": [choice]}) for choice in (*words, last)]
    if input_tokens is not None:
        usage = {"prompt_tokens": input_tokens, "completion_tokens": output_tokens}
        chunks.append(event(about | {"choices": [], "usage": usage}))
    return [*chunks, b"data: [DONE]\n\n"]


def chat_completion(text: str, *, input_tokens: int = 50, output_tokens: int = 10, **about: Any) -> dict[str, Any]:
    """A chat completion that is not streamed."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": input_tokens, "completion_tokens": output_tokens}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    return {"id": "chat-1", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage} | about
