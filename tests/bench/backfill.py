"""What it takes to queue a million targets for a manual run, and how long live labels wait meanwhile."""

import threading
import time
from collections.abc import Iterator
from itertools import islice

from tests.bench import meters
from tests.bench.ingest import LARGE, LARGE_SENDERS, post
from tests.bench.pages import replicate
from tests.bench.report import Table, quantile
from tests.bench.senders import Senders
from tests.bench.traffic import AGENTS, SPANS_PER_TRACE, Body, Mix, bodies, body, stream
from tests.e2e.instance import Instance

CALLS = 3
"""Model calls in a trace: targets of a signal on spans."""
COPIED = 500
MEMORY_AIM_MB = 1_000
LIVE_AIM_SECONDS = 5
LIVE_SPANS_PER_SECOND = 20
SETTLE_SECONDS = 1
LOOK_SECONDS = 1
LONGEST = 3_600
STARTED = f"""
from datetime import timedelta
from django.utils import timezone
from catalyst.agents.models import Agent
from signals import operations
from signals.definitions.definition import Definition
from signals.runs import backfill
now = timezone.now()
question = Definition(type="binary", prompt="Is it well?", sample_rate=100)
def made(identity, scope):
    agent = Agent.objects.get(project__slug="default", identity=identity)
    return operations.create_signal(agent, name=f"Backfill {{scope}}", scope=scope, definition=question)
for identity in {AGENTS[1:]}:
    operations.activate(made(identity, "trace"), now)
past = made("{AGENTS[0]}", "span")
print(backfill.start(past, start=now - timedelta(days=3650), end=now, sample_rate=100, now=now).pk)
"""
CANCELLED = """
from django.utils import timezone
from signals.models import SignalRun
from signals.runs import backfill
backfill.cancel(SignalRun.objects.get(pk={run}), timezone.now())
"""
COLLECTING = "SELECT count(*) FROM signals_signalrun WHERE id = %s AND state = 'collecting'"
WAITING = "SELECT count(*) FROM signals_label WHERE run_id = %s AND status = 'queued'"
WAITED = """
    SELECT extract(epoch FROM min(v.created_at) - t.last_received_at)::float8
    FROM signals_verdict v JOIN signals_label l ON l.id = v.label_id JOIN signals_signal s ON s.id = l.signal_id
    JOIN traces_trace t ON t.project_id = l.project_id AND t.trace_id = l.trace_id
    WHERE s.name = 'Backfill trace' GROUP BY t.id
"""


def run(instance: Instance, table: Table, seed: int, matching: int) -> None:
    """Store about so many model calls of one agent, have them all queued, cancel; nine others are judged live."""
    run_id = start(instance, seed, matching)
    over = threading.Event()
    load = Senders(instance.url, instance.ingest_key, [_traces(seed, over)], LIVE_SPANS_PER_SECOND).start()
    began, most = time.monotonic(), 0.0
    while instance.count(COLLECTING, run_id):
        assert time.monotonic() - began < LONGEST, "not all targets were queued in an hour"
        most = max(most, meters.memory(instance.pids["up"]))
        time.sleep(LOOK_SECONDS)
    seconds = time.monotonic() - began
    over.set()
    load.join()
    ((queued,),) = instance.query("SELECT queued FROM signals_signalrun WHERE id = %s", run_id)
    name = f"a manual run of {queued / 1e6:.2f} M targets"
    table.below(f"memory (PSS) at most while queueing {name}", MEMORY_AIM_MB, most, " MB")
    table.say("targets queued per second, while others are judged", f"{queued / seconds:,.0f}")
    waits = [float(wait) - SETTLE_SECONDS for (wait,) in instance.query(WAITED)]
    assert waits, "nothing was judged live"
    table.below("p95 from settling to a live label meanwhile", LIVE_AIM_SECONDS, quantile(waits, 0.95), " s")
    began = time.monotonic()
    instance.shell(CANCELLED.format(run=run_id))
    while instance.count(WAITING, run_id):
        assert time.monotonic() - began < LONGEST, "a cancelled run still waits after an hour"
        time.sleep(LOOK_SECONDS)
    table.say(f"seconds until nothing waits of {name}, cancelled", f"{time.monotonic() - began:,.0f}")


def start(instance: Instance, seed: int, matching: int) -> int:
    """Store about so many model calls of one agent, and start a run over them. Returns its primary key."""
    each = 10 * COPIED * SPANS_PER_TRACE // LARGE // LARGE_SENDERS
    post(instance, bodies(Mix(seed + 40), LARGE_SENDERS, each, LARGE))
    of_one = f"agent_id = (SELECT id FROM agents_agent WHERE identity = '{AGENTS[0]}' ORDER BY id DESC LIMIT 1)"
    replicate(instance, of_one, COPIED, matching // CALLS // COPIED)
    return int(instance.shell(STARTED))


def _traces(seed: int, over: threading.Event) -> Iterator[Body]:
    """One trace a body, until it is over."""
    spans = stream(Mix(seed + 41, seconds=60), 1)
    while not over.is_set():
        yield body(islice(spans, SPANS_PER_TRACE))
