"""How fast labels are given against a judge that takes its time, and what of it is lost while spans come in."""

import itertools
import threading
import time
from collections.abc import Iterator

from tests.bench import meters
from tests.bench.ingest import LARGE, LARGE_SENDERS
from tests.bench.report import Table
from tests.bench.senders import Senders
from tests.bench.traffic import AGENTS, Body, Mix, bodies
from tests.e2e.instance import Instance

AT_ONCE = 64
IDEAL_AIM = 0.85
CPU_AIM_MS = 3
SPANS_PER_SECOND = 2_000
CALLS_PER_TRACE = 3 / 8
BUSY_SECONDS = 600
SIGNALS = """
from django.utils import timezone
from catalyst.agents.models import Agent
from catalyst.core.models import Project
from signals import operations
from signals.definitions.definition import Definition
project = Project.objects.get(slug="{slug}")
for agent in {agents}:
    known = {{"name": agent, "source": "agent_id", "first_seen_at": timezone.now()}}
    found, _ = Agent.objects.get_or_create(project=project, identity=agent, defaults=known)
    question = Definition(type="binary", prompt="Is it well?", sample_rate=100)
    signal = operations.create_signal(found, name="Calls", scope="span", definition=question)
    operations.activate(signal, timezone.now())
"""
RATE = """
    SELECT (count(*) - 1)::float8 / nullif(extract(epoch FROM max(created_at) - min(created_at)), 0)::float8
    FROM (SELECT created_at, ntile(20) OVER (ORDER BY created_at) AS part FROM signals_verdict WHERE id > %s) v
    WHERE part BETWEEN 2 AND 19
"""


def run(instance: Instance, table: Table, seed: int, labels: int, seconds: float) -> None:
    """Give so many labels, twice: alone, and while spans come in for another project."""
    key = judged_project(instance, f"judged-{seed}")
    (other,) = instance.new_projects(f"busy-{seed}")
    ideal = AT_ONCE / seconds
    alone, cpu_ms = judge(instance, key, seed + 10, labels)
    table.at_least(f"labels per second, judge of {1000 * seconds:.0f} ms, {AT_ONCE} at once", IDEAL_AIM * ideal, alone)
    table.at_least("the same, as a share of ideal", IDEAL_AIM, alone / ideal)
    table.below("CPU per label, settling included", CPU_AIM_MS, cpu_ms, " ms")
    over = threading.Event()
    made = bodies(Mix(seed + 11), LARGE_SENDERS, 40, LARGE)
    load = Senders(instance.url, other, [_until(over, each) for each in made], SPANS_PER_SECOND).start()
    busy, _ = judge(instance, key, seed + 12, labels)
    over.set()
    load.join()
    times, count = load.tally.times, len(load.tally.acknowledged)
    table.at_least(f"labels per second while {count / (times[-1] - times[0]):,.0f} spans/s come in", alone, busy)


def judged_project(instance: Instance, slug: str) -> str:
    """Make a project with a signal on each agent. Returns its key."""
    (key,) = instance.new_projects(slug)
    instance.shell(SIGNALS.format(slug=slug, agents=AGENTS))
    return key


def judge(instance: Instance, key: str, seed: int, labels: int) -> tuple[float, float]:
    """Labels per second in the middle nine tenths, and milliseconds of CPU for each from the end of ingest on."""
    last = instance.count("SELECT coalesce(max(id), 0) FROM signals_verdict")
    given = instance.count("SELECT count(*) FROM signals_label WHERE status = 'done'")
    each = round(labels / CALLS_PER_TRACE / LARGE_SENDERS / LARGE)
    Senders(instance.url, key, bodies(Mix(seed), LARGE_SENDERS, max(each, 1), LARGE)).start().join()
    before = sum(meters.cpu(instance.pids["up"]).values())
    early = instance.count("SELECT count(*) FROM signals_label WHERE status = 'done'")
    due = given + round(max(each, 1) * LARGE_SENDERS * LARGE * CALLS_PER_TRACE)
    done = "SELECT count(*) FROM signals_label WHERE status = 'done'"
    deadline = time.monotonic() + BUSY_SECONDS
    while instance.count(done) < due:
        assert time.monotonic() < deadline, f"{instance.count(done)} labels of {due}"
        time.sleep(0.5)
    used = sum(meters.cpu(instance.pids["up"]).values()) - before
    ((rate,),) = instance.query(RATE, last)
    return float(rate or 0), 1000 * used / max(due - early, 1)


def _until(over: threading.Event, made: list[Body]) -> Iterator[Body]:
    """The same bodies again and again: after the first round they are re-deliveries."""
    return itertools.takewhile(lambda _: not over.is_set(), itertools.cycle(made))
