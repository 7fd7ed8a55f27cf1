"""Whether memory stays flat while spans come in and pages are read for a long time."""

import threading
import time
from collections.abc import Iterator
from itertools import islice
from statistics import mean

from tests.bench import meters
from tests.bench.pages import read, signed_in
from tests.bench.report import Table
from tests.bench.senders import Senders
from tests.bench.traffic import Body, Mix, body, stream
from tests.e2e.instance import Instance

SENDERS = 8
SPANS_PER_SECOND = 500
SIZE = 10
LOOK_SECONDS = 5
WARM_UP = 0.1
GROWTH_AIM = 1.05
PATHS = ["/p/default/traces/", "/p/default/agents/", "/p/default/sessions/"]


def run(instance: Instance, table: Table, seed: int, minutes: float) -> None:
    """Go on for so long."""
    over = threading.Event()
    streams = [_bodies(Mix(seed + 30, seconds=60), sender, over) for sender in range(SENDERS)]
    senders = Senders(instance.url, instance.ingest_key, streams, SPANS_PER_SECOND).start()
    cookie, end = signed_in(instance), time.monotonic() + 60 * minutes
    megabytes = []
    while time.monotonic() < end:
        list(read(instance, cookie, PATHS))
        megabytes.append(meters.memory(instance.pids["up"]))
        time.sleep(LOOK_SECONDS)
    over.set()
    senders.join()
    steady = megabytes[int(len(megabytes) * WARM_UP) :]
    fifth = max(len(steady) // 5, 1)
    first, last = mean(steady[:fifth]), mean(steady[-fifth:])
    spans = len(senders.tally.acknowledged)
    what = f"soak of {minutes:g} minutes, {spans / 60 / minutes:,.0f} spans/s"
    table.say(
        f"{what}: memory (PSS) in the first fifth, the last and at most",
        f"{first:.0f}, {last:.0f}, {max(steady):.0f} MB",
    )
    table.below(f"{what}: growth, last fifth to first", GROWTH_AIM, last / first)


def _bodies(mix: Mix, sender: int, over: threading.Event) -> Iterator[Body]:
    spans = stream(mix, sender)
    while not over.is_set():
        yield body(islice(spans, SIZE))
