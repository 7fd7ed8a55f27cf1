"""Scripted services on loopback: one that answers whatever a script says, and one that is as strict as Slack.

with Service(lambda asked: Answer("ok")) as service:
    ...  # service.url
assert len(service.asked) == 1
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

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What to send back: text, or a value as JSON. `hangs`: say nothing until the server closes."""

    body: object = "ok"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False


type Script = Callable[[Asked], Answer]


class Service:
    """The server; a context manager. `script` may be replaced while it runs."""

    def __init__(self, script: Script | None = None) -> None:
        self.script: Script = script or (lambda _: Answer())
        self.asked: list[Asked] = []
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, body)
                service.asked.append(asked)
                answer = service.script(asked)
                if answer.hangs:
                    service._closing.wait()
                    self.close_connection = True
                    return
                self._send(answer)

            do_GET = do_POST

            def _send(self, answer: Answer) -> None:
                is_text = isinstance(answer.body, str)
                body = answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                kind = "text/plain" if is_text else "application/json"
                for name, value in {"Content-Type": kind, **answer.headers}.items():
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
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """A client that goes away in the middle is part of the tests."""


# Slack's limits, as its reference of Block Kit has them.
TEXT_LIMITS = {"header": 150, "section": 3_000}


def slack(asked: Asked) -> Answer:
    """Slack, of an incoming webhook (`/services/…`) and of its API (`/api/…`). It knows the token xoxb-good."""
    if asked.path.startswith("/services/"):
        wrong = faults(asked.json)
        return Answer(f"invalid_blocks: {wrong[0]}", 400) if wrong else Answer("ok")
    if asked.headers.get("authorization") != "Bearer xoxb-good":
        return Answer({"ok": False, "error": "invalid_auth"})
    method = asked.path.removeprefix("/api/").partition("?")[0]
    return {"chat.postMessage": _post_message, "conversations.list": _list}[method](asked)


def _post_message(asked: Asked) -> Answer:
    channel = asked.json.get("channel")
    if channel not in {"C0ALERTS", "C0OTHER"}:
        return Answer({"ok": False, "error": "channel_not_found"})
    if wrong := faults(asked.json):
        return Answer({"ok": False, "error": "invalid_blocks", "errors": wrong})
    return Answer({"ok": True, "channel": channel, "ts": "1503435956.000247"})


def _list(asked: Asked) -> Answer:
    if "cursor=" not in asked.path:
        found = [{"id": "C0OTHER", "name": "other"}]
        return Answer({"ok": True, "channels": found, "response_metadata": {"next_cursor": "dGVhbQ=="}})
    return Answer({"ok": True, "channels": [{"id": "C0ALERTS", "name": "alerts"}], "response_metadata": {}})


def faults(message: dict[str, Any]) -> list[str]:
    """What Slack would refuse."""
    blocks = message.get("blocks", [])
    found = [] if 1 <= len(blocks) <= 50 else [f"{len(blocks)} blocks"]
    if not message.get("text"):
        found.append("no text")
    for block in blocks:
        found += _faults_of(block)
    return found


def _faults_of(block: dict[str, Any]) -> list[str]:
    found = [f"a block of type {block['type']}"] if block["type"] not in {"header", "section", "context"} else []
    if len(block.get("block_id", "")) > 255:
        found.append("a long block_id")
    if "text" in block:
        found += _faults_of_text(block["text"], TEXT_LIMITS.get(block["type"], 0))
    if block["type"] == "header" and block["text"]["type"] != "plain_text":
        found.append("a header that is not plain")
    if len(block.get("fields", [])) > 10:
        found.append("more than 10 fields")
    for each in block.get("fields", []):
        found += _faults_of_text(each, 2_000)
    if block["type"] == "context" and not 1 <= len(block["elements"]) <= 10:
        found.append(f"{len(block['elements'])} elements")
    for each in block.get("elements", []):
        found += _faults_of_text(each, 3_000)
    return found


def _faults_of_text(text: dict[str, Any], limit: int) -> list[str]:
    return [] if 1 <= len(text["text"]) <= limit else [f"{len(text['text'])} characters of {limit}"]
