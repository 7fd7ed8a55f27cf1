"""Mutated OTLP bodies: none may break the server, hang it or make it grow."""

import http.client
import queue
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tests.bench import meters
from tests.bench.pages import read, signed_in
from tests.bench.senders import Senders
from tests.bench.traffic import Mix, bodies
from tests.e2e.instance import Instance, started
from tests.processes import eventually
from tests.torture.mutants import mutant
from tests.torture.report import Report

CONNECTIONS = 4
TIMEOUT = 60
WARM_UP = 0.2
GROWTH = 1.2
MEMORY_TELLS_FROM = 2_000
"""Fewer bodies don't fill what is filled once and kept."""
PAGES_LOOKED_AT = 20
MARKS = ("Traceback", " ERROR ", " CRITICAL ")
SHOWN = 5
LISTS = ("/p/default/traces/", "/p/default/sessions/", "/p/default/agents/")
STRANGE = """
    SELECT encode(uuid_send(trace_id), 'hex') FROM
        (SELECT DISTINCT ON (span_count) trace_id, span_count FROM traces_trace ORDER BY span_count, id) t LIMIT %s
"""


def run(count: int, seed: int, **extra: str) -> Report:
    """Post so many to a Catalyst with these settings."""
    report = Report(f"Mutated bodies ({count:,}, seed {seed})")
    with tempfile.TemporaryDirectory(prefix="catalyst-torture-") as folder, started(Path(folder), **extra) as instance:
        poster = Poster(instance, seed)
        poster.post(range(int(count * WARM_UP)))
        warm = meters.memory(instance.pids["up"])
        poster.post(range(int(count * WARM_UP), count))
        after = meters.memory(instance.pids["up"])
        poster.tell(report)
        report.say("memory after a fifth of them and at the end, MB", f"{warm:.0f}, {after:.0f}")
        if count >= MEMORY_TELLS_FROM and after > warm * GROWTH:
            report.failures.append(f"memory grew from {warm:.0f} to {after:.0f} MB")
        report.say("spans stored of them", instance.count("SELECT count(*) FROM traces_span"))
        _still_works(instance, seed, report)
    return report


class Poster:
    """Posts mutants over a few connections and counts the answers."""

    def __init__(self, instance: Instance, seed: int) -> None:
        self.instance = instance
        self.seed = seed
        self.answers: Counter[str] = Counter()
        self.bad: list[str] = []
        self.longest = 0.0
        self._lock = threading.Lock()

    def post(self, numbers: range) -> None:
        """Post the mutants with these numbers."""
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in numbers:
            waiting.put(number)
        threads = [threading.Thread(target=self._work, args=[waiting], daemon=True) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def tell(self, report: Report) -> None:
        """Note the figures."""
        report.say("answers", ", ".join(f"{count:,} {answer}" for answer, count in sorted(self.answers.items())))
        report.say("longest answer, s", round(self.longest, 2))
        report.expect("bodies answered by 5xx or not at all", len(self.bad))
        report.failures += self.bad[:SHOWN]

    def _work(self, waiting: "queue.SimpleQueue[int]") -> None:
        connection = http.client.HTTPConnection(self.instance.url.rpartition("/")[2], timeout=TIMEOUT)
        while True:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                connection.close()
                return
            self._post(connection, number)

    def _post(self, connection: http.client.HTTPConnection, number: int) -> None:
        made, began = mutant(self.seed, number), time.monotonic()
        headers = {"Authorization": f"Bearer {self.instance.ingest_key}", **made.headers}
        try:
            connection.request("POST", "/v1/traces", made.content, headers)
            response = connection.getresponse()
            response.read()
            answer, bad = str(response.status), response.status >= 500
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            answer, bad = type(error).__name__, True
        with self._lock:
            self.answers[answer] += 1
            self.longest = max(self.longest, time.monotonic() - began)
            if bad:
                self.bad.append(f"{answer} for number {number}: {made.name}")


def _still_works(instance: Instance, seed: int, report: Report) -> None:
    """Good spans are stored, pages of the strange ones open, nothing was logged that should not be."""
    good = bodies(Mix(seed + 1), 1, 4, 64)
    senders = Senders(instance.url, instance.ingest_key, good).start()
    senders.join(TIMEOUT)
    ids = [str(span.trace_id) for span in senders.tally.acknowledged]
    found = instance.count("SELECT count(*) FROM traces_span WHERE trace_id = ANY(%s::uuid[])", ids)
    report.expect("good spans missing afterwards", len(ids) - found)
    eventually(lambda: not instance.count("SELECT count(*) FROM traces_unsettled WHERE due_at < now()"), 120)
    report.say("pages of them that open", _look(instance))
    logs = [line for log in (instance.data / "logs").glob("*.log") for line in log.read_text().splitlines()]
    errors = [line for line in logs if any(mark in line for mark in MARKS)]
    report.expect("errors in logs", len(errors))
    report.failures += errors[:SHOWN]


def _look(instance: Instance) -> int:
    """Open the lists and some traces of every number of spans; returns how many."""
    found = instance.query(STRANGE, PAGES_LOOKED_AT)
    paths = [*LISTS, *(f"/p/default/traces/{trace}/" for (trace,) in found)]
    return len(list(read(instance, signed_in(instance), paths)))
