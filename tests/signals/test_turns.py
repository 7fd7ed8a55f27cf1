"""Projects take turns when targets settle and when judges are asked."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from catalyst.core.models import Project
from catalyst.env import env
from signals.judging import claims, worker
from signals.models import Label, Signal, SignalRun
from signals.runs import backfill
from signals.targets.settling import has_work, settle
from tests.factories import make_agent, make_label, make_signal, make_trace, make_traces, settle_all
from tests.judge_server import Answer, Asked, JudgeServer, says
from traces.models import Unsettled

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def busy(project: Project, now: datetime) -> Signal:
    return make_signal(make_agent(project), active_since=now)


@pytest.fixture
def calm(other_project: Project, now: datetime) -> Signal:
    return make_signal(make_agent(other_project), active_since=now)


def waiting_labels(signal: Signal, count: int, due: datetime, **fields: Any) -> None:
    for number in range(1, count + 1):
        make_label(signal, number, now=due, **fields)


def claimed_of(signal: Signal, labels: list[Label]) -> int:
    return sum(label.project_id == signal.project_id for label in labels)


@pytest.mark.django_db
def test_a_backlog_of_one_project_does_not_keep_anothers_targets_waiting(
    busy: Signal, calm: Signal, now: datetime
) -> None:
    make_traces(busy.project, range(1, 31), now=now)
    make_traces(calm.project, range(1, 3), now=now + SECOND)
    settled = settle(now + HOUR, limit=16)
    assert (settled.targets, settled.labels) == (8 + 4, Label.objects.count())
    left = Unsettled.objects.filter(due_at__lte=now + HOUR)
    assert not left.filter(project=calm.project).exists()
    assert left.filter(project=busy.project).exists()


@pytest.mark.django_db
def test_one_project_settles_as_many_as_there_is_room_for(busy: Signal, now: datetime) -> None:
    make_traces(busy.project, range(1, 31), now=now)
    assert settle(now + HOUR, limit=16).targets == 16
    assert settle(now + HOUR, limit=1000).targets == 2 * 30 - 16
    assert not has_work(now + HOUR)


@pytest.mark.django_db
def test_each_project_has_its_share_of_a_claim(busy: Signal, calm: Signal, now: datetime) -> None:
    waiting_labels(busy, 20, now)
    waiting_labels(calm, 5, now + SECOND)
    labels = claims.claim(8, MINUTE, now + MINUTE)
    assert (claimed_of(busy, labels), claimed_of(calm, labels)) == (4, 4)


@pytest.mark.django_db
def test_what_a_project_does_not_need_others_get(busy: Signal, calm: Signal, now: datetime) -> None:
    waiting_labels(calm, 1, now)
    waiting_labels(busy, 20, now + SECOND)
    labels = claims.claim(8, MINUTE, now + MINUTE)
    assert (claimed_of(busy, labels), claimed_of(calm, labels)) == (7, 1)


@pytest.mark.django_db
def test_a_project_finds_its_share_though_another_holds_all(busy: Signal, calm: Signal, now: datetime) -> None:
    waiting_labels(busy, 20, now)
    waiting_labels(calm, 20, now + SECOND)
    labels = claims.claim(8, MINUTE, now + MINUTE, held={busy.project_id: 8})
    assert (claimed_of(busy, labels), claimed_of(calm, labels)) == (0, 4)
    assert claims.claim(8, MINUTE, now + MINUTE, held={busy.project_id: 8, calm.project_id: 4}) == []


@pytest.mark.django_db
def test_of_a_project_live_traffic_goes_before_runs(busy: Signal, calm: Signal, now: datetime) -> None:
    assert busy.current_version is not None
    window = {"window_start": now, "window_end": now + HOUR}
    run = SignalRun.objects.create(version=busy.current_version, **window, sample_rate=100, state="judging")
    waiting_labels(busy, 4, now, run=run)
    make_label(busy, 9, now=now + SECOND)
    waiting_labels(calm, 1, now)
    labels = claims.claim(2, MINUTE, now + MINUTE)
    assert {(label.project_id, label.run_id) for label in labels} == {
        (busy.project_id, None),
        (calm.project_id, None),
    }


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_judge_that_is_busy_with_one_project_soon_answers_another(
    busy: Signal, calm: Signal, judge: JudgeServer, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "judge_concurrency", 1)
    make_traces(busy.project, range(1, 21), now=now)
    settle_all(now)
    make_trace(calm.project, now=now + SECOND, said=("Calm question", "Calm answer"))
    settle_all(now + SECOND)
    asked: list[str] = []

    def answer(call: Asked) -> Answer:
        asked.append("calm" if "Calm question" in call.recording else "busy")
        return says("no")

    judge.script = answer
    assert worker.run(lambda: now + 3 * HOUR) == 21
    assert asked.index("calm") <= 4


@pytest.mark.django_db
def test_a_long_run_does_not_keep_a_short_one_waiting(busy: Signal, calm: Signal, now: datetime) -> None:
    make_traces(calm.project, range(1, 3), now=now)
    settle_all(now)
    window: dict[str, Any] = {"start": now - HOUR, "end": now + HOUR, "sample_rate": 100, "now": now + HOUR}
    long = backfill.start(busy, **window)
    SignalRun.objects.filter(pk=long.pk).update(matched=1_000_000)
    short = backfill.start(calm, **window)
    backfill.step(now + HOUR)
    short.refresh_from_db()
    long.refresh_from_db()
    assert (short.matched, long.matched) == (2, 1_000_000)
