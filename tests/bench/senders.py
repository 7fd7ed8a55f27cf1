"""Senders: each posts its bodies one after the other over a connection of its own, until they are acknowledged."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.bench.traffic import Body, Sent

AGAIN = {429, 502, 503, 504}
LONGEST_WAIT = 1.0
TIMEOUT = 120


@dataclass(slots=True)
class Tally:
    """What came of some requests."""

    acknowledged: list[Sent] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    """Requests by status, or by kind of error."""
    seconds: list[float] = field(default_factory=list)
    """How long each acknowledged request took."""
    times: list[float] = field(default_factory=list)
    """When each was acknowledged, by time.monotonic."""
    refused: list[str] = field(default_factory=list)
    """Answers for which sending again is no use."""


class Senders:
    """Threads that post `streams`, one each. `rate`: spans per second of all together, None for as fast as it goes."""

    def __init__(self, url: str, key: str, streams: Sequence[Iterable[Body]], rate: float | None = None) -> None:
        self.address = urlsplit(url)
        self.headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
        }
        self.tally = Tally()
        self.rate = rate / len(streams) if rate else None
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send, args=[stream], daemon=True) for stream in streams]

    def start(self) -> "Senders":
        """Begin to send."""
        for thread in self._threads:
            thread.start()
        return self

    def join(self, seconds: float = 3600) -> None:
        """Wait until all is acknowledged."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
            assert not thread.is_alive(), f"not acknowledged within {seconds} s: {self.tally.answers}"

    def _send(self, stream: Iterable[Body]) -> None:
        connection = http.client.HTTPConnection(self.address.hostname or "", self.address.port, timeout=TIMEOUT)
        due = time.monotonic()
        for body in stream:
            if self.rate:
                time.sleep(max(due - time.monotonic(), 0))
                due = max(due + len(body.spans) / self.rate, time.monotonic() - 1)
            while not self._post(connection, body):
                pass
        connection.close()

    def _post(self, connection: http.client.HTTPConnection, body: Body) -> bool:
        """Post once; returns whether that is the end of it."""
        began, wait = time.monotonic(), 0.1
        try:
            connection.request("POST", "/v1/traces", body.content, self.headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            answer, status = type(error).__name__, 0
        else:
            answer, status = str(response.status), response.status
            with suppress(ValueError):
                wait = float(response.headers.get("Retry-After", wait))
        again = status in {0, *AGAIN}
        with self._lock:
            self.tally.answers[answer] += 1
            if status == 200:
                self.tally.times.append(time.monotonic())
                self.tally.seconds.append(self.tally.times[-1] - began)
                self._acknowledge(body, content)
            elif not again:
                self.tally.refused.append(f"{answer}: {content[:200]!r}")
        if again:
            time.sleep(min(wait, LONGEST_WAIT))
        return not again

    def _acknowledge(self, body: Body, content: bytes) -> None:
        partial = ExportTraceServiceResponse.FromString(content).partial_success
        if partial.rejected_spans:
            self.tally.refused.append(partial.error_message)
        if partial.rejected_spans < len(body.spans):
            self.tally.acknowledged += body.spans
