"""Someone who uses the service as usual, and notices when others take it away."""

import http.client
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.bench.pages import signed_in
from tests.bench.report import quantile
from tests.bench.traffic import Mix, body, stream
from tests.e2e.instance import Instance
from tests.processes import eventually
from tests.torture.report import Report

POST_SECONDS = 0.2
PAGE_SECONDS = 0.5
TIMEOUT = 30
WORST_INGEST_P95 = 1.0
WORST_PAGE_P95 = 2.0
ENOUGH = 20
"""Times of each kind, for a quantile."""
FEW = 4
"""Times of each kind in a sample, whose machine may be busy: only failures count there, and waits of this factor."""
PATIENCE = 10


@dataclass(slots=True)
class Times:
    """How long requests took, and how many were not answered well. The first one counts as well."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Neighbor:
    """Posts a span five times a second, and reads its list of traces twice, each over a connection of its own.

    A context manager: it notes what happens meanwhile. `is_sample`: see FEW.
    """

    def __init__(self, instance: Instance, key: str, project: str, *, is_sample: bool = False) -> None:
        self.is_sample = is_sample
        self.address = urlsplit(instance.url)
        self.key = key
        self.page = f"/p/{project}/traces/"
        self.cookie = signed_in(instance)
        self.ingest, self.pages = Times(), Times()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=[self._post, self.ingest, POST_SECONDS], daemon=True),
            threading.Thread(target=self._repeat, args=[self._read, self.pages, PAGE_SECONDS], daemon=True),
        ]
        self._spans = stream(Mix(len(key)), 1)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(2 * TIMEOUT)

    def watch(self, seconds: float) -> None:
        """Wait until both were tried often enough."""
        both, enough = (self.ingest, self.pages), FEW if self.is_sample else ENOUGH
        eventually(lambda: all(len(times.seconds) + len(times.failures) >= enough for times in both), seconds)

    def tell(self, what: str, report: Report) -> None:
        """Note the times; failures and slowness fail the report."""
        for name, times, worst in (
            ("ingest", self.ingest, WORST_INGEST_P95),
            ("pages", self.pages, WORST_PAGE_P95),
        ):
            longest = worst * PATIENCE if self.is_sample else worst
            seconds = times.seconds or [0.0]
            p95 = quantile(seconds, 0.95)
            report.say(
                f"{what}: {name} of another, p50, p95, worst, s",
                f"{quantile(seconds, 0.5):.2f}, {p95:.2f}, {max(seconds):.2f} of {len(times.seconds)}",
            )
            report.expect(
                f"{what}: {name} of another that failed {sorted(set(times.failures))[:3]}", len(times.failures)
            )
            report.expect(f"{what}: {name} of another slower than {longest:g} s at the p95", int(p95 > longest))

    def _repeat(self, request: Callable[[], int], times: Times, pause: float) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            try:
                status = request()
                if status == 200:
                    times.seconds.append(time.monotonic() - began)
                else:
                    times.failures.append(str(status))
            except (OSError, http.client.HTTPException) as error:
                times.failures.append(type(error).__name__)
            self._over.wait(max(0, pause - (time.monotonic() - began)))

    def _post(self) -> int:
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
        }
        return self._ask("POST", "/v1/traces", body([next(self._spans)]).content, headers)

    def _read(self) -> int:
        return self._ask("GET", self.page, b"", {"Cookie": self.cookie})

    def _ask(self, method: str, path: str, content: bytes, headers: dict[str, str]) -> int:
        connection = http.client.HTTPConnection(self.address.hostname or "", self.address.port, timeout=TIMEOUT)
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            with suppress(OSError):
                connection.close()
