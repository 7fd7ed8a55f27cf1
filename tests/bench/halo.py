"""How long the offline analyst takes to read many traces of an agent, and its memory."""

import time

from tests.bench import judging
from tests.bench.ingest import LARGE, LARGE_SENDERS, post
from tests.bench.pages import COPIED_SPANS, replicate
from tests.bench.report import Table
from tests.bench.traffic import AGENTS, Mix, bodies
from tests.e2e.instance import Instance

AIM_SECONDS, AIM_MEMORY_MB = 20, 300
AIM_SHARE = 0.8
BESIDE_SPANS, BESIDE_LABELS = 40_960, 1_500
OF_AGENT = f"agent_id = (SELECT id FROM agents_agent WHERE identity = '{AGENTS[0]}')"
ANALYSED = f"""
import resource
import time
from datetime import timedelta
from django.utils import timezone
from catalyst.agents.models import Agent
from halo.analyst.report import analyze
from halo.models import Run
agent = Agent.objects.get(project__slug="default", identity="{AGENTS[0]}")
now = timezone.now()
run = Run(project=agent.project, agent=agent, window_start=now - timedelta(days=30), window_end=now, engine="rules")
before = time.perf_counter()
assert analyze(run, now).findings
print(time.perf_counter() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
ASKED = f"""
from datetime import timedelta
from django.utils import timezone
from catalyst.agents.models import Agent
from halo.runs import requests
agent = Agent.objects.get(project__slug="default", identity="{AGENTS[0]}")
now = timezone.now()
asked = requests.Definition(window_start=now - timedelta(days=30), window_end=now, engine="rules")
print(requests.create(agent, asked, now).pk)
"""


def run(instance: Instance, table: Table, seed: int, traces: int) -> None:
    """Store about so many traces of one agent by copying some within the database, and report on them."""
    post(instance, bodies(Mix(seed + 40), LARGE_SENDERS, COPIED_SPANS // LARGE // LARGE_SENDERS, LARGE))
    sent = instance.count(f"SELECT count(*) FROM traces_trace WHERE {OF_AGENT}")
    replicate(instance, OF_AGENT, sent, traces // sent)
    counted = f"SELECT count(*), sum(span_count)::bigint FROM traces_trace WHERE {OF_AGENT}"
    ((count, spans),) = instance.query(counted)
    seconds, memory = map(float, instance.shell(ANALYSED).split())
    what = f"of {count:,} traces with {spans:,} spans"
    table.below(f"report by rules {what}", AIM_SECONDS, seconds, " s")
    table.below(f"memory of its process {what}", AIM_MEMORY_MB, memory, " MB")
    _beside(instance, table, seed)


def _beside(instance: Instance, table: Table, seed: int) -> None:
    """How fast ingest and judging are while a worker writes a report on all of these traces."""
    key = judging.judged_project(instance, f"beside-{seed}")
    first, second = (
        bodies(Mix(seed + number), LARGE_SENDERS, BESIDE_SPANS // LARGE // LARGE_SENDERS, LARGE) for number in (41, 42)
    )
    ingest_alone = post(instance, first).per_second
    judged_alone, _ = judging.judge(instance, key, seed + 43, BESIDE_LABELS)
    report = _ask(instance)
    ingest_beside = post(instance, second).per_second
    _await(instance, report)
    report = _ask(instance)
    judged_beside, _ = judging.judge(instance, key, seed + 44, BESIDE_LABELS)
    table.at_least("ingest beside a report, as a share of that alone", AIM_SHARE, ingest_beside / ingest_alone)
    table.at_least("judging beside a report, as a share of that alone", AIM_SHARE, judged_beside / judged_alone)
    table.say("state of the report when judging was done", _status(instance, report))


def _ask(instance: Instance) -> int:
    return int(instance.shell(ASKED))


def _status(instance: Instance, report: int) -> str:
    ((status,),) = instance.query(f"SELECT status FROM halo_run WHERE id = {report}")
    return str(status)


def _await(instance: Instance, report: int) -> None:
    while _status(instance, report) != "completed":
        time.sleep(0.5)
