"""A project does its worst, while a neighbor's project goes on."""

import http.client
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.bench import backfill, traffic
from tests.bench.ingest import post
from tests.bench.judge_stub import MODEL, stub
from tests.bench.pages import signed_in
from tests.bench.senders import Senders
from tests.bench.signals import LABELS, MADE
from tests.bench.traffic import Body, Mix, Sent, bodies, body
from tests.e2e.instance import Instance, started
from tests.torture.neighbor import Neighbor
from tests.torture.report import Report

SENDERS, BODIES, BODY_SPANS = 24, 8, 1_900
AGENT_SPANS = 8
LONG_TRACE, FIRST_BODY = 10_000, 2_000
AGENTS, AGENTS_PER_BODY = 100_000, 500
LABELED, READERS = 1_000_000, 4
MATCHING = 1_000_000
JUDGE_SECONDS = 0.2
MINUTE_NS = 60_000_000_000


def run(seed: int, scale: float = 1, **variables: str) -> Report:
    """Make each kind of trouble, one after the other. `scale` makes them smaller."""
    report = Report(f"Fairness (seed {seed})")
    with (
        tempfile.TemporaryDirectory(prefix="catalyst-torture-") as folder,
        stub(JUDGE_SECONDS) as judge,
        started(Path(folder), CATALYST_JUDGE_URL=judge.url, CATALYST_JUDGE_MODEL=MODEL, **variables) as instance,
    ):
        (key,) = instance.new_projects("neighbor")
        # The agents of the backfill are known before many others use up the new names of an hour.
        post(instance, bodies(Mix(seed + 2), len(traffic.AGENTS), 1, AGENT_SPANS))
        for what, trouble in TROUBLES.items():
            with (
                trouble(instance, seed, scale, report),
                Neighbor(instance, key, "neighbor", is_sample=scale < 1) as neighbor,
            ):
                neighbor.watch(300)
            neighbor.tell(what, report)
    return report


@contextmanager
def _sending(instance: Instance, streams: Iterable[Iterator[Body]], what: str, report: Report) -> Iterator[None]:
    over = threading.Event()

    def until_over(stream: Iterator[Body]) -> Iterator[Body]:
        for each in stream:
            if over.is_set():
                return
            yield each

    senders = Senders(instance.url, instance.ingest_key, [until_over(stream) for stream in streams]).start()
    try:
        yield
    finally:
        over.set()
        senders.join(300)
        answers = ", ".join(f"{count:,} {answer}" for answer, count in senders.tally.answers.most_common())
        report.say(f"{what}: its own answers", answers)


@contextmanager
def _nothing(instance: Instance, seed: int, scale: float, report: Report) -> Iterator[None]:
    yield


@contextmanager
def _many_senders(instance: Instance, seed: int, scale: float, report: Report) -> Iterator[None]:
    """The same bodies again and again cost nearly as much as new ones: each trace is read and compared."""
    senders = max(2, int(SENDERS * scale))
    made = bodies(Mix(seed), senders, BODIES, BODY_SPANS)
    with _sending(instance, [cycle(each) for each in made], "many senders", report):
        yield


@contextmanager
def _long_trace(instance: Instance, seed: int, scale: float, report: Report) -> Iterator[None]:
    """Single spans are added to a trace that is long already."""
    trace_id = UUID(int=seed + 1)
    firsts = range(1, int(LONG_TRACE * scale), FIRST_BODY)
    whole = [body(_spans(trace_id, range(first, first + FIRST_BODY))) for first in firsts]
    Senders(instance.url, instance.ingest_key, [whole]).start().join()
    streams = [
        (body(_spans(trace_id, [number])) for number in range(1_000_000 * sender, 1_000_000 * sender + 999_999))
        for sender in range(1, 5)
    ]
    with _sending(instance, streams, "a long trace", report):
        yield


def _spans(trace_id: UUID, numbers: Iterable[int]) -> Iterator[tuple[Sent, Span]]:
    start = _recent()
    for number in numbers:
        span = Span(trace_id=trace_id.bytes, span_id=number.to_bytes(8), name=f"step {number}")
        span.start_time_unix_nano, span.end_time_unix_nano = start + number * 1_000, start + number * 1_000 + 500
        yield Sent(trace_id, number, "long", "", "CHAIN"), span


@contextmanager
def _many_agents(instance: Instance, seed: int, scale: float, report: Report) -> Iterator[None]:
    """A new agent with every span."""
    streams = [iter(_agents(seed, sender, int(AGENTS * scale) // 4)) for sender in range(4)]
    with _sending(instance, streams, "many agents", report):
        yield
    report.say("many agents: agents stored", instance.count("SELECT count(*) FROM agents_agent"))


def _agents(seed: int, sender: int, agents: int) -> Iterator[Body]:
    start = _recent()
    for first in range(0, agents, AGENTS_PER_BODY):
        made = []
        for number in range(first, first + AGENTS_PER_BODY):
            trace_id = UUID(int=(seed << 64) + (sender << 32) + number + 1)
            span = Span(trace_id=trace_id.bytes, span_id=(number + 1).to_bytes(8), name="turn")
            span.start_time_unix_nano, span.end_time_unix_nano = start, start + 1_000
            made.append((Sent(trace_id, number + 1, f"agent-{sender}-{number}", "", "AGENT"), span))
        yield body(made)


@contextmanager
def _exports(instance: Instance, seed: int, scale: float, report: Report) -> Iterator[None]:
    """Many labels are exported as fast as they come."""
    signal = int(instance.shell(MADE).split()[0])
    instance.execute(LABELS, int(LABELED * scale), [signal])
    cookie = signed_in(instance)
    path, address = f"/p/default/signals/{signal}/labels/?as=jsonl&range=90d", urlsplit(instance.url)
    over, read = threading.Event(), [0]

    def export() -> None:
        while not over.is_set():
            connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
            connection.request("GET", path, headers={"Cookie": cookie})
            response = connection.getresponse()
            while not over.is_set() and (part := response.read(100_000)):
                read[0] += len(part)
            connection.close()

    threads = [threading.Thread(target=export, daemon=True) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join(60)
    report.say("exports: bytes read", read[0])


@contextmanager
def _backfill(instance: Instance, seed: int, scale: float, report: Report) -> Iterator[None]:
    """A run over many model calls, which a judge answers."""
    run = backfill.start(instance, seed, int(MATCHING * scale))
    yield
    query = "SELECT queued FROM signals_signalrun WHERE id = %s"
    report.say("a backfill: targets queued meanwhile", instance.count(query, run))


def _recent() -> int:
    return time.time_ns() - MINUTE_NS


TROUBLES = {
    "nothing else": _nothing,
    "many senders": _many_senders,
    "a long trace": _long_trace,
    "many agents": _many_agents,
    "a backfill": _backfill,
    "exports": _exports,
}
