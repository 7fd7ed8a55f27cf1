"""`manage.py up` with a backlog and a judge that hardly answers, after a normal end and after kills."""

import random
import time

import psycopg

from tests.bench.judge_stub import MODEL, stub
from tests.bench.senders import Senders
from tests.bench.traffic import SPANS_PER_TRACE, Mix, bodies
from tests.ops.catalyst import Catalyst, catalyst, kill
from tests.torture.report import Report

JUDGE_SECONDS = 30
"""How long the judge takes for an answer. A worker asks it for minutes, then."""
SENDERS, BODY_SPANS = 4, 400
LATER_SECONDS = 10
"""How much longer than an empty one a start may take."""
SIGNAL = """
from django.utils import timezone
from catalyst.agents.models import Agent
from catalyst.core.models import Project
from signals import operations
from signals.definitions.definition import Definition
project = Project.objects.get(slug="default")
known = {"name": "backlog", "source": "agent_id", "first_seen_at": timezone.now()}
agent, _ = Agent.objects.get_or_create(project=project, identity="backlog", defaults=known)
asked = Definition(type="binary", prompt="Is it well?", sample_rate=100)
signal = operations.create_signal(agent, name="Backlog", scope="trace", definition=asked)
operations.activate(signal, timezone.now())
print(signal.pk)
"""
QUEUE = """
    INSERT INTO signals_label (
        version_id, signal_id, project_id, scope, target_key, trace_id, session_key, target_time, value, reason, judge,
        status, wanted_revision, judged_revision, attempts, outages, not_before, error, created_at
    )
    SELECT s.current_version_id, s.id, s.project_id, 'trace', replace(t.trace_id::text, '-', ''), t.trace_id, '',
        t.start_time, '', '', '', 'queued', t.revision, 0, 0, 0, now(), '', now()
    FROM signals_signal s JOIN traces_trace t USING (project_id) WHERE s.id = %s
"""


def run(labels: int, starts: int, seed: int) -> Report:
    """Start so often with so many labels waiting; every other time after a kill of everything."""
    report = Report(f"Start ({labels:,} labels waiting, seed {seed})")
    chance = random.Random(seed)
    with stub(JUDGE_SECONDS) as judge, catalyst(CATALYST_JUDGE_URL=judge.url, CATALYST_JUDGE_MODEL=MODEL) as it:
        it.up()
        it.stop()
        empty = _start(it)
        report.say("a start without a backlog, s", round(empty, 1))
        _make_backlog(it, labels, seed)
        late = 0
        for number in range(starts):
            time.sleep(chance.uniform(0, 2))
            if number % 2:
                kill(it.facts()["pids"])
                it.killed()
            else:
                it.stop()
            seconds = _start(it)
            how = "after kill -9 of everything" if number % 2 else "after a normal end"
            report.say(f"start {number + 1}, {how}, s", round(seconds, 1))
            late += seconds > empty + LATER_SECONDS
        report.expect(f"starts that took {LATER_SECONDS} s longer than an empty one", late)
    return report


def _start(it: Catalyst) -> float:
    """Seconds until it answers."""
    began = time.monotonic()
    it.up()
    return time.monotonic() - began


def _make_backlog(it: Catalyst, traces: int, seed: int) -> None:
    facts = it.facts()
    each = traces * SPANS_PER_TRACE // SENDERS // BODY_SPANS
    Senders(facts["url"], facts["ingest_key"], bodies(Mix(seed), SENDERS, each, BODY_SPANS)).start().join()
    script = it.command("shell", "--verbosity=0", "-c", SIGNAL)
    output, errors = script.communicate(timeout=60)
    assert script.returncode == 0, errors
    with psycopg.connect(facts["database_url"], autocommit=True) as connection:
        assert connection.execute(QUEUE, [int(output)]).rowcount >= each * SENDERS * BODY_SPANS // SPANS_PER_TRACE
