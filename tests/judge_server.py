"""A scripted judge: a real HTTP server on loopback that speaks as much of OpenAI's chat completions as we use.

    with JudgeServer(lambda asked: says("yes", "Asked for a refund.")) as server:
        ...  # CATALYST_JUDGE_URL is server.url
    assert len(server.asked) == 1

`test_llm.py` checks with OpenAI's own client that the wire shape is the real one.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    payload: dict[str, Any]
    headers: dict[str, str]
    path: str = ""

    @property
    def instructions(self) -> str:
        """The system message."""
        return str(self.payload["messages"][0]["content"])

    @property
    def recording(self) -> str:
        """The user message."""
        return str(self.payload["messages"][-1]["content"])


@dataclass(frozen=True)
class Answer:
    """What to send back. `body` is sent as JSON, or as it is when it is bytes. Status 0: hang up without a word."""

    body: object
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0


def says(label: str, reason: str = "Because it says so.", **usage: Any) -> Answer:
    """An answer as it should be."""
    return completion(json.dumps({"reason": reason, "label": label}), **usage)


def completion(text: str | None, *, finish_reason: str = "stop", refusal: str | None = None, **usage: Any) -> Answer:
    """A chat completion with any text."""
    tokens = {"prompt_tokens": 120, "completion_tokens": 12, "total_tokens": 132} | usage
    message = {"role": "assistant", "content": text, "refusal": refusal}
    return Answer(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": "scripted-judge-1",
            "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
            "usage": {"prompt_tokens_details": {"cached_tokens": 100}} | tokens,
        }
    )


def error(status: int, message: str = "No.", *, param: str | None = None, retry_after: str = "") -> Answer:
    """An error as OpenAI words them."""
    body = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}}
    return Answer(body, status, {"Retry-After": retry_after} if retry_after else {})


def refusing_schemas(answer: Callable[[Asked], Answer], status: int = 400) -> Callable[[Asked], Answer]:
    """The same judge on a server that knows no response_format."""

    def answered(asked: Asked) -> Answer:
        if "response_format" in asked.payload:
            return error(status, "Invalid parameter: 'response_format'.", param="response_format")
        return answer(asked)

    return answered


class JudgeServer:
    """The server; a context manager. `script` may be replaced while it runs and is called on one thread per request."""

    def __init__(self, script: Callable[[Asked], Answer], *, port: int = 0) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self._now_at_once = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """What goes into CATALYST_JUDGE_URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            self._now_at_once += 1
            self.most_at_once = max(self.most_at_once, self._now_at_once)
        try:
            answer = self.script(asked)
            self._closing.wait(answer.delay)
            return answer
        finally:
            with self._lock:
                self._now_at_once -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer_to = self._answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not self.path.partition("?")[0].endswith("/chat/completions"):
                    self._send(error(404, f"No such path: {self.path}"))
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                self._send(answer_to(Asked(json.loads(body), headers, self.path)))

            def _send(self, answer: Answer) -> None:
                if answer.status == 0:
                    self.close_connection = True
                    return
                body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing on the console."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def handle_error(self, *_: object) -> None:
        """A client that goes away in the middle is part of the tests."""
