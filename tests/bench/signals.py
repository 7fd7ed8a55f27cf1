"""How long the pages of signals take beside a million labels, and what it costs to queue and to claim one."""

import itertools
import random

from tests.bench import meters
from tests.bench.pages import PAGES, read, signed_in
from tests.bench.report import Table, quantile
from tests.e2e.instance import Instance
from tests.processes import eventually

AIM_MS = 60
CPU_AIM_MS = 1
OTHERS = 20
"""Signals beside the one with most of the labels, each with a fiftieth of it."""
QUEUED = 20_000
RANGES = ("", "?range=3d", "?range=7d", "?range=30d", "?range=90d", "?range=12h")
FILTERS = ("", "label=yes", "status=failed", "version=1&status=done", "q=number")
MADE = f"""
from datetime import timedelta
from django.utils import timezone
from catalyst.agents.models import Agent
from catalyst.core.models import Project
from signals import operations
from signals.definitions.definition import Definition
now, project = timezone.now(), Project.objects.get(slug="default")
known = {{"name": "labelled", "source": "agent_id", "first_seen_at": now - timedelta(days=90)}}
agent, _ = Agent.objects.get_or_create(project=project, identity="labelled", defaults=known)
question = Definition(type="binary", prompt="Is it well?", sample_rate=100)
for number in range({OTHERS + 1}):
    signal = operations.create_signal(agent, name=f"Signal {{number}}", scope="trace", definition=question)
    print(signal.pk)
"""
LABELS = """
    INSERT INTO signals_label (
        version_id, signal_id, project_id, scope, target_key, trace_id, session_key, target_time, value, reason, judge,
        labelled_at, cost, status, wanted_revision, judged_revision, attempts, outages, not_before, error, created_at
    )
    SELECT s.current_version_id, s.id, s.project_id, 'trace', replace(trace::text, '-', ''), trace, '',
        now() - random() * interval '30 days', CASE WHEN failed THEN '' WHEN n %% 5 = 0 THEN 'yes' ELSE 'no' END,
        'The user asks in message number ' || n || ' for what the agent does not give.', 'judge-1', now(), 0.0001,
        CASE WHEN failed THEN 'failed' ELSE 'done' END, 1, 1, 1, 0, now(), '', now()
    FROM signals_signal s, generate_series(1, %s) n, md5(s.id || ':' || n) AS key, CAST(key AS uuid) AS trace,
        LATERAL (SELECT n %% 1000 = 0 AS failed) f
    WHERE s.id = ANY(%s)
"""
CHANGES = """
    SELECT (SELECT count(*) FROM signals_labelhour WHERE NOT folded)
        + (SELECT count(*) FROM signals_labelminute WHERE NOT folded)
        + (SELECT count(*) FROM signals_labelhalfday WHERE NOT folded)
"""
QUEUE = f"""
import time, uuid
from datetime import datetime, timedelta, UTC
from signals.judging import claims
from signals.models import Label, Signal
from signals.models.label_queue import LabelRequest
signal, began = Signal.objects.get(pk={{signal}}), datetime.now(UTC)
later = began + timedelta(seconds=40)  # no worker takes them before; longer waits and leases would be cut short
about = (signal.current_version_id, signal.pk, signal.project_id, "trace")
keys = [uuid.uuid4() for _ in range({QUEUED})]
wanted = [LabelRequest(*about, key.hex, key, None, "", began, 1) for key in keys]
before = time.process_time()
for start in range(0, {QUEUED}, 500):
    Label.objects.enqueue(wanted[start:start + 500], later)
claimed = 0
while found := claims.claim(64, timedelta(seconds=15), later):
    claimed += len(found)
assert claimed == {QUEUED}, claimed
print(1000 * (time.process_time() - before))
Label.objects.filter(not_before=later).delete()
"""


def run(instance: Instance, table: Table, seed: int, labels: int) -> None:
    """Store so many labels of one signal and a fiftieth of it of each other, then read pages, one after the other.

    Pages are read once sums are folded and tables vacuumed, as labels that came one by one would be by then.
    """
    first, *others = map(int, instance.shell(MADE).split())
    instance.execute(LABELS, labels, [first])
    instance.execute(LABELS, labels // 50, others)
    eventually(lambda: instance.count(CHANGES) == 0, seconds=180)
    instance.execute("VACUUM ANALYZE signals_label, signals_labelhalfday, signals_labelhour, signals_labelminute")
    stored = f"{labels / 1e6:.1f} M labels of a signal"
    chance = random.Random(seed)
    lists = [f"/p/default/signals/{chance.choice(RANGES)}" for _ in range(PAGES)]
    shown = [_page(first, *chance.choice(list(itertools.product(RANGES[1:], FILTERS)))) for _ in range(PAGES)]
    for what, paths in ((f"list of {OTHERS + 1} signals", lists), ("page of a signal", shown)):
        times = [1000 * seconds for seconds in read(instance, signed_in(instance), paths)]
        table.below(f"{what} at {stored}, p50", AIM_MS, quantile(times, 0.5), " ms")
        table.below(f"{what} at {stored}, p95", AIM_MS, quantile(times, 0.95), " ms")
    before = meters.cpu(instance.pids["up"])["postgres"]
    ours = float(instance.shell(QUEUE.format(signal=first)))
    theirs = 1000 * (meters.cpu(instance.pids["up"])["postgres"] - before)
    table.below("CPU to queue and claim a label", CPU_AIM_MS, (ours + theirs) / QUEUED, " ms")


def _page(signal: int, time_range: str, wanted: str) -> str:
    return f"/p/default/signals/{signal}/{time_range}{'&' if wanted else ''}{wanted}"
