"""Real workers, killed at every stage of judging: each label is given once, at the price of the calls under way."""

import signal as signals_of_the_system
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import psycopg
import pytest
from django.utils import timezone

from catalyst.core.models import Project
from signals.judging import worker as judging
from signals.models import Exchange, Label, Verdict
from tests.factories import make_agent, make_labels, make_signal
from tests.judge_server import JudgeServer, says
from tests.processes import database_url, eventually, running

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

LABELS = 120
AT_ONCE = 4
WORK = "from signals.judging import worker; worker.run()"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE %s"


@pytest.fixture
def now() -> datetime:
    """Workers ask the real clock."""
    return timezone.now() - timedelta(hours=3)


@pytest.fixture(autouse=True)
def labels(project: Project, now: datetime) -> None:
    make_labels(make_signal(make_agent(project), active_since=now), project, LABELS, now=now)


@contextmanager
def locked(table: str) -> Iterator[Callable[[str], bool]]:
    """Nobody else gets at this table; yields whether a statement like this waits for it."""
    with psycopg.connect(database_url()) as held, psycopg.connect(database_url(), autocommit=True) as watching:
        held.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")

        def waits(like: str) -> bool:
            found = watching.execute(WAITING, [like]).fetchone()
            return found is not None and found[0] > 0

        yield waits
        held.rollback()


@contextmanager
def worker(judge: JudgeServer) -> Iterator[None]:
    """A worker in a process of its own, which is killed at the end."""
    model = {"CATALYST_JUDGE_URL": judge.url, "CATALYST_JUDGE_MODEL": "judge-1"}
    with running("shell", "-c", WORK, CATALYST_JUDGE_CONCURRENCY=str(AT_ONCE), **model) as process:
        yield
        assert process.poll() is None
        process.send_signal(signals_of_the_system.SIGKILL)
        assert process.wait(10) == -signals_of_the_system.SIGKILL


def finish(judge: JudgeServer, killed_at: int) -> None:
    """Have the rest judged once the leases have run out; then nothing may be missing, or there twice."""
    judge.script = lambda _: says("no")
    judging.run(lambda: timezone.now() + judging.LEASE + timedelta(seconds=1))
    assert set(Label.objects.values_list("status", "value")) == {("done", "no")}
    assert Label.objects.count() == Label.objects.values("target_key").distinct().count() == LABELS
    assert Verdict.objects.count() == Verdict.objects.values("label").distinct().count() == LABELS
    assert Exchange.objects.count() == LABELS
    assert LABELS <= len(judge.asked) <= LABELS + killed_at


def test_a_worker_killed_before_it_claims_costs_nothing(judge: JudgeServer) -> None:
    with locked("signals_label") as waits, worker(judge):
        eventually(lambda: waits("%signals_label%"))
    assert not judge.asked
    finish(judge, 0)


def test_a_worker_killed_while_it_holds_leases_costs_its_calls_under_way(judge: JudgeServer) -> None:
    judge.script = lambda _: says("no") if len(judge.asked) <= LABELS / 2 else replace(says("no"), delay=60)
    with worker(judge):
        eventually(lambda: len(judge.asked) >= LABELS / 2 + AT_ONCE)
        eventually(lambda: Verdict.objects.count() >= LABELS / 2)
    assert Label.objects.filter(status="running").exists()
    finish(judge, AT_ONCE)


def test_a_worker_killed_before_it_commits_costs_what_it_had_not_written(judge: JudgeServer) -> None:
    judge.script = lambda _: says("no")
    with locked("signals_verdict") as waits, worker(judge):
        eventually(lambda: waits('%INTO "signals_verdict"%'))
    assert not Verdict.objects.exists()
    assert not Label.objects.filter(status="done").exists()
    finish(judge, round(AT_ONCE * judging.READ_AHEAD))
