"""Tests of signals beside real workers that are busy, or killed."""

import signal as signals_of_the_system
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from subprocess import Popen
from time import monotonic

import pytest
from django.db import connection
from django.utils import timezone

from catalyst.core.models import Project
from signals import operations
from signals.definitions.definition import Definition
from signals.models import Label, Signal, SignalTest, SignalTestItem
from signals.runs import signal_tests
from tests.factories import make_agent, make_labels, make_signal
from tests.judge_server import Answer, Asked, JudgeServer, says
from tests.processes import eventually, running

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

WORK = "from signals.judging import worker; worker.run()"
WAITING_LABELS = 100_000
CONCURRENCY = 4
QUESTION = "Of the test?"

_ADD_LABELS = """
    INSERT INTO signals_label (
        version_id, signal_id, project_id, scope, target_key, trace_id, session_key, target_time, wanted_revision,
        judged_revision, status, attempts, outages, not_before, created_at, value, reason, judge, error
    )
    SELECT version_id, signal_id, project_id, scope, lpad(to_hex(n + 1000), 32, '0'),
        lpad(to_hex(n + 1000), 32, '0')::uuid, '', target_time, 1,
        0, 'queued', 0, 0, not_before, created_at, '', '', '', ''
    FROM (SELECT * FROM signals_label ORDER BY id LIMIT 1) AS label, generate_series(1, %s) AS n
"""


@pytest.fixture
def now() -> datetime:
    """Workers ask the real clock."""
    return timezone.now() - timedelta(hours=3)


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    """It has some labels that wait, of stored traces."""
    signal = make_signal(make_agent(project), active_since=now)
    make_labels(signal, project, 60, now=now)
    Label.objects.update(not_before=now)
    return signal


@contextmanager
def worker(judge: JudgeServer) -> Iterator[Popen[str]]:
    """A worker in a process of its own, which is killed at the end."""
    model = {"CATALYST_JUDGE_URL": judge.url, "CATALYST_JUDGE_MODEL": "judge-1"}
    with running("shell", "-c", WORK, CATALYST_JUDGE_CONCURRENCY=str(CONCURRENCY), **model) as process:
        yield process
        process.send_signal(signals_of_the_system.SIGKILL)


def start_test(signal: Signal, now: datetime) -> SignalTest:
    version = operations.draft_version(Definition("binary", QUESTION, 100), signal.agent, "trace", signal)
    sample = signal_tests.sample_newest(version, 5, now - timedelta(days=1), now + timedelta(minutes=1))
    return signal_tests.start_test(version, sample, timezone.now())


def is_of_test(asked: Asked) -> bool:
    return QUESTION in asked.instructions


def has_answers(count: int) -> bool:
    return SignalTestItem.objects.filter(status="done").count() >= count


def test_it_has_its_first_answer_soon_though_very_many_labels_wait(
    signal: Signal, judge: JudgeServer, now: datetime
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_ADD_LABELS, [WAITING_LABELS])
    judge.script = lambda asked: says("yes") if is_of_test(asked) else Answer(says("no").body, delay=1)
    with worker(judge):
        eventually(lambda: len(judge.asked) >= CONCURRENCY)
        began = monotonic()
        start_test(signal, now)
        eventually(lambda: has_answers(1))
        assert monotonic() - began < 2
    assert Label.objects.filter(status="queued").count() > WAITING_LABELS / 2


def test_a_killed_worker_is_followed_by_another(signal: Signal, judge: JudgeServer, now: datetime) -> None:
    Label.objects.update(status="skipped")
    test = start_test(signal, now)
    judge.script = lambda _: Answer(says("yes").body, delay=30)
    with worker(judge):
        eventually(lambda: len(judge.asked) == 5)
    assert set(test.items.values_list("status", flat=True)) == {"running"}
    judge.script = lambda _: says("yes")
    test.items.update(lease_until=timezone.now() - timedelta(seconds=1))  # rather than wait for it
    with worker(judge):
        eventually(lambda: has_answers(5))
        eventually(lambda: SignalTest.objects.filter(state="done").exists())
    assert set(test.items.values_list("attempts", flat=True)) == {2}
    assert not Label.objects.filter(status="done").exists()
