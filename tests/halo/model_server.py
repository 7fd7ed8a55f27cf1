"""A scripted model on loopback: as much of the Responses API and of chat completions as halo-engine uses.

    with ModelServer(script) as server:
        ...  # the engine's base_url is server.url
    assert len(server.asked) == 3

A script gets each request and returns a `Reply`.
"""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

type Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A call of a tool."""

    name: str
    arguments: Json = field(default_factory=dict)


type Item = str | Call


@dataclass(frozen=True)
class Reply:
    """What the model says: texts and calls of tools. `status` above 200 sends an error instead.

    `breaks_off`: the connection closes in the middle. `raw`: sent in place of a stream. `stalls`: nothing is sent.
    """

    items: Sequence[Item] = ()
    status: int = 200
    code: str = ""
    raw: bytes = b""
    breaks_off: bool = False
    stalls: bool = False


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: Json

    @property
    def is_chat(self) -> bool:
        return self.path.endswith("/chat/completions")

    @property
    def is_stream(self) -> bool:
        """Agents ask for streams. What summarizes traces does not."""
        return bool(self.body.get("stream"))

    @property
    def history(self) -> list[Json]:
        items: list[Json] = self.body["messages"] if self.is_chat else self.body["input"]
        return items

    @property
    def is_root(self) -> bool:
        return any("root agent in the HALO engine" in json.dumps(item) for item in self.history)

    @property
    def results(self) -> list[str]:
        """What tools have answered so far."""
        if self.is_chat:
            return [str(item["content"]) for item in self.history if item.get("role") == "tool"]
        return [str(item["output"]) for item in self.history if item.get("type") == "function_call_output"]

    @property
    def tools(self) -> set[str]:
        tools = self.body.get("tools", [])
        return {tool["function"]["name"] if self.is_chat else tool["name"] for tool in tools}


def analyst(answer: str, *calls: Call) -> Callable[[Asked], Reply]:
    """A model that thinks aloud and calls these tools, each when the one before has answered, and then answers."""

    def script(asked: Asked) -> Reply:
        if not asked.is_stream:
            return Reply(["In short: it failed."])
        if not asked.is_root:
            return Reply(["I have looked at it."])
        done = len(asked.results)
        if done < len(calls):
            return Reply(["Let me look.", calls[done]])
        return Reply([Call("final_answer", {"answer": answer})])

    return script


class ModelServer:
    """The server; a context manager. `script` is called on one thread per request."""

    def __init__(self, script: Callable[[Asked], Reply]) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                asked = Asked(self.path, dict(self.headers), body)
                model.asked.append(asked)
                reply = model.script(asked)
                if reply.stalls:
                    model.closing.wait()
                elif reply.status > 200:
                    error = {"message": f"No, {self.headers['authorization']}.", "type": "x", "code": reply.code}
                    # The client's own retries take a second each.
                    self.send(json.dumps({"error": error}).encode(), reply.status, ("x-should-retry", "false"))
                elif asked.is_stream:
                    lines = [reply.raw] if reply.raw else [*stream(asked, reply.items)]
                    text = b"".join(lines[:2] if reply.breaks_off else lines)
                    length = len(text) + reply.breaks_off
                    self.send(text, 200, ("content-type", "text/event-stream"), length=length)
                else:
                    self.send(json.dumps(completion(asked, reply.items)).encode())

            def send(self, body: bytes, status: int = 200, *headers: tuple[str, str], length: int = 0) -> None:
                self.send_response(status)
                for name, value in headers or [("content-type", "application/json")]:
                    self.send_header(name, value)
                self.send_header("content-length", str(length or len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = length > len(body)

        return Handler


def stream(asked: Asked, items: Sequence[Item]) -> Iterator[bytes]:
    return chat_stream(asked, items) if asked.is_chat else responses_stream(asked, items)


def responses_stream(asked: Asked, items: Sequence[Item]) -> Iterator[bytes]:
    numbered = enumerate(items)
    output = [_output(asked, number, item) for number, item in numbered]
    yield _event("response.created", response=_response(asked, [], "in_progress"))
    for index, item in enumerate(output):
        yield _event("response.output_item.added", output_index=index, item=item | _begun(item))
        if item["type"] == "message":
            (part,) = item["content"]
            where = {"item_id": item["id"], "output_index": index, "content_index": 0}
            yield _event("response.content_part.added", **where, part=part | {"text": ""})
            for word in part["text"].split(" "):
                yield _event("response.output_text.delta", **where, delta=f"{word} ", logprobs=[])
            yield _event("response.content_part.done", **where, part=part)
        yield _event("response.output_item.done", output_index=index, item=item)
    yield _event("response.completed", response=_response(asked, output, "completed"))


def _output(asked: Asked, number: int, item: Item) -> Json:
    name = f"{len(asked.history)}_{number}"
    if isinstance(item, str):
        content = [{"type": "output_text", "text": item, "annotations": [], "logprobs": []}]
        return {"id": f"msg_{name}", "type": "message", "role": "assistant", "status": "completed", "content": content}
    about = {"call_id": f"call_{name}", "name": item.name, "arguments": json.dumps(item.arguments)}
    return {"id": f"fc_{name}", "type": "function_call", "status": "completed", **about}


def _begun(item: Json) -> Json:
    empty: Json = {"content": []} if item["type"] == "message" else {"arguments": ""}
    return {"status": "in_progress"} | empty


def _response(asked: Asked, output: list[Json], status: str) -> Json:
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {"input_tokens": 1_000, "output_tokens": 20, "total_tokens": 1_020, **details}
    about = {"id": "resp_1", "object": "response", "created_at": 1, "model": asked.body["model"], "tools": []}
    done = {"status": status, "output": output, "usage": usage if status == "completed" else None}
    return {**about, **done, "tool_choice": "auto", "parallel_tool_calls": True}


_sequence = iter(range(10**9))


def _event(kind: str, **fields: Any) -> bytes:
    data = {"type": kind, "sequence_number": next(_sequence), **fields}
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def chat_stream(asked: Asked, items: Sequence[Item]) -> Iterator[bytes]:
    yield _chunk(asked, {"role": "assistant", "content": ""})
    calls = [item for item in items if isinstance(item, Call)]
    for item in items:
        if isinstance(item, str):
            yield _chunk(asked, {"content": item})
        else:
            number = calls.index(item)
            function = {"name": item.name, "arguments": json.dumps(item.arguments)}
            call = {"index": number, "id": f"call_{len(asked.history)}_{number}", "type": "function"}
            yield _chunk(asked, {"tool_calls": [call | {"function": function}]})
    yield _chunk(asked, {}, "tool_calls" if calls else "stop")
    if (asked.body.get("stream_options") or {}).get("include_usage"):
        usage = {"prompt_tokens": 1_000, "completion_tokens": 20, "total_tokens": 1_020}
        yield _chunk(asked, None, usage=usage)
    yield b"data: [DONE]\n\n"


def _chunk(asked: Asked, delta: Json | None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": asked.body["model"]}
    return f"data: {json.dumps({**about, 'choices': choices, **more})}\n\n".encode()


def completion(asked: Asked, items: Sequence[Item]) -> Json:
    message = {"role": "assistant", "content": "".join(item for item in items if isinstance(item, str))}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": asked.body["model"],
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 50, "completion_tokens": 10, "total_tokens": 60},
    }
