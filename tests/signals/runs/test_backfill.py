"""Manual runs: what they find, queue, leave alone, and how they end."""

from datetime import datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.models import AuditEntry, Project, User
from signals import operations
from signals.definitions.definition import Definition
from signals.judging import claims
from signals.judging.worker import run as judge_all
from signals.models import Label, Signal, SignalRun
from signals.models.label_rollup import Coverage
from signals.runs import backfill
from signals.sampling import is_sampled
from signals.targets.base import Targets
from tests.factories import make_agent, make_labels, make_session, make_signal, make_trace, settle_all
from tests.judge_server import JudgeServer

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
LATER = timedelta(hours=3)
ELSE = Definition(type="binary", prompt="Is it about a refund?", sample_rate=100)


@pytest.fixture
def signal(project: Project) -> Signal:
    """A draft about traces."""
    return make_signal(make_agent(project))


def begin(signal: Signal, now: datetime, *, rate: int = 100, by: Actor = SYSTEM) -> SignalRun:
    return backfill.start(signal, start=now - DAY, end=now + DAY, sample_rate=rate, now=now, by=by)


def work(now: datetime, most: int = 50) -> int:
    """Work until nothing is left; returns the number of steps."""
    return next(steps for steps in range(most) if not backfill.step(now))


def make_traces(project: Project, count: int, now: datetime) -> None:
    for number in range(1, count + 1):
        make_trace(project, number, now=now)
    settle_all(now)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("state", ["draft", "active", "disabled"])
def test_it_judges_what_is_stored(
    signal: Signal, project: Project, now: datetime, judge: JudgeServer, state: str
) -> None:
    make_traces(project, 3, now)
    Signal.objects.filter(pk=signal.pk).update(state=state, activated_at=now + LATER if state == "active" else None)
    run = begin(signal, now + LATER)
    work(now + LATER)
    judge_all(lambda: now + LATER)
    work(now + LATER)
    run.refresh_from_db()
    assert (run.state, run.matched, run.sampled, run.queued, run.ended_at) == ("done", 3, 3, 3, now + LATER)
    assert list(Label.objects.values_list("run_id", "value")) == [(run.pk, "yes")] * 3
    assert len(judge.asked) == 3


def test_it_samples_as_live_judging_does(signal: Signal, project: Project, now: datetime) -> None:
    make_traces(project, 40, now)
    run = begin(signal, now + LATER, rate=30)
    work(now)
    run.refresh_from_db()
    keys = {label.target_key for label in Label.objects.all()}
    assert len(keys) == run.sampled == run.queued < run.matched == 40
    assert all(is_sampled(key, 30) for key in keys)


def test_twice_labels_nothing_twice(signal: Signal, project: Project, now: datetime) -> None:
    make_traces(project, 5, now)
    first = begin(signal, now + LATER, rate=50)
    work(now)
    Label.objects.update(status="done", value="no", labelled_at=now, judged_revision=9)
    work(now)
    second = begin(signal, now + LATER)
    work(now)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.sampled) == ("done", 5)
    assert second.queued == 5 - first.queued
    assert Label.objects.filter(run=first).count() == first.queued
    assert Label.objects.count() == 5


def test_it_goes_on_where_it_was_after_a_crash(
    signal: Signal, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Targets, "rows_at_once", 2)
    make_traces(project, 5, now)
    run = begin(signal, now + LATER)
    assert backfill.step(now)
    with pytest.raises(ZeroDivisionError), connection.execute_wrapper(_dies_when_it_notes):
        backfill.step(now)
    run.refresh_from_db()
    assert (run.matched, Label.objects.count()) == (2, 2)
    work(now)
    run.refresh_from_db()
    assert (run.matched, run.queued, Label.objects.count()) == (5, 5, 5)


def _dies_when_it_notes(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
    if 'UPDATE "signals_signalrun"' in sql:
        raise ZeroDivisionError
    return execute(sql, params, many, context)


def test_live_work_goes_first(signal: Signal, project: Project, now: datetime, judge: JudgeServer) -> None:
    make_traces(project, 2, now)
    live = make_signal(signal.agent, name="Live", active_since=now - DAY)
    begin(signal, now + LATER)
    work(now)
    make_trace(project, 7, now=now)
    settle_all(now)
    claimed = claims.claim(1, timedelta(minutes=1), now + LATER)
    assert [label.signal for label in claimed] == [live]


def test_cancelling_takes_back_what_waits(signal: Signal, project: Project, now: datetime, alice: User) -> None:
    make_traces(project, 4, now)
    run = begin(signal, now + LATER)
    work(now)
    Label.objects.filter(pk=Label.objects.earliest("pk").pk).update(status="done", value="no", labelled_at=now)
    backfill.cancel(run, now + LATER, Actor(alice))
    assert (run.state, run.ended_at) == ("cancelled", now + LATER)
    assert list(Label.objects.values_list("status", flat=True)) == ["done"]
    assert AuditEntry.objects.latest("pk").action == "cancelled a backfill of"
    backfill.cancel(run, now + 2 * LATER)
    assert run.ended_at == now + LATER


@pytest.fixture
def cancelled(signal: Signal, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch) -> SignalRun:
    """A run over four traces that was cancelled when three of them still waited, two of which still do."""
    make_traces(project, 4, now)
    run = begin(signal, now + LATER)
    work(now)
    first = Label.objects.earliest("pk")
    Label.objects.filter(pk=first.pk).update(status="failed", error="no answer")
    monkeypatch.setattr("signals.models.label_queue.BATCH_SIZE", 1)
    backfill.cancel(run, now + LATER)
    return run


def test_nothing_of_a_cancelled_run_is_claimed(cancelled: SignalRun, now: datetime) -> None:
    assert Label.objects.filter(status="queued").count() == 2
    assert claims.claim(10, timedelta(minutes=1), now + LATER) == []
    work(now + LATER)
    assert not Label.objects.filter(status="queued").exists()


@pytest.mark.usefixtures("judge")
def test_what_failed_in_a_cancelled_run_can_be_tried_again(cancelled: SignalRun, signal: Signal, now: datetime) -> None:
    (failed,) = Label.objects.filter(status="failed")
    assert operations.retry_failed(signal, now) == 1
    work(now + LATER)
    assert claims.claim(10, timedelta(minutes=1), now + LATER) == [failed]


def test_what_a_cancelled_run_labelled_is_judged_again_when_it_grows(
    cancelled: SignalRun, signal: Signal, project: Project, now: datetime
) -> None:
    work(now + LATER)
    (label,) = Label.objects.all()
    Label.objects.update(status="done", value="no", labelled_at=now, judged_revision=label.wanted_revision)
    operations.activate(signal, now + LATER)
    make_trace(project, 1, now=now + LATER, error="grown")
    settle_all(now + 2 * LATER)
    work(now + 2 * LATER)
    assert label in claims.claim(10, timedelta(minutes=1), now + 3 * LATER)


def test_what_is_queued_while_it_is_cancelled_leaves_the_queue_too(
    signal: Signal, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signals.models.label_queue.BATCH_SIZE", 2)
    make_traces(project, 5, now)
    run = begin(signal, now + LATER)
    work(now)
    backfill.cancel(run, now)
    assert Label.objects.count() == 3
    work(now)
    assert not Label.objects.exists()


@pytest.mark.parametrize("change", ["edit", "archive"])
def test_a_changed_signal_ends_its_run(signal: Signal, project: Project, now: datetime, change: str) -> None:
    make_traces(project, 2, now)
    run = begin(signal, now + LATER)
    work(now)
    if change == "edit":
        operations.publish_version(signal, ELSE)
    else:
        operations.archive(signal, now)
    work(now)
    run.refresh_from_db()
    assert (run.state, run.error) == ("cancelled", backfill.CHANGED)
    assert not Label.objects.exists()


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"start": 2 * DAY}, "start"), ({"sample_rate": 101}, "sample_rate"), ({"sample_rate": -1}, "sample_rate")],
)
def test_it_refuses_what_makes_no_sense(signal: Signal, now: datetime, asked: dict[str, object], field: str) -> None:
    start = now - DAY + asked.pop("start", timedelta())  # type: ignore[operator]
    about: dict[str, object] = {"start": start, "end": now, "sample_rate": 10, **asked}
    with pytest.raises(ValidationError) as caught:
        backfill.start(signal, now=now, **about)  # type: ignore[arg-type]
    assert list(caught.value.message_dict) == [field]


def test_there_is_one_run_at_a_time(signal: Signal, now: datetime) -> None:
    begin(signal, now)
    with pytest.raises(ValidationError, match="already running"):
        begin(signal, now)


def test_an_archived_signal_has_none(signal: Signal, now: datetime) -> None:
    operations.archive(signal, now)
    with pytest.raises(ValidationError, match="Unarchive"):
        begin(signal, now)


def test_a_preview_counts(signal: Signal, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    operations.activate(signal, now - DAY)
    first, second, _, _ = make_labels(signal, project, 4, now=now)
    Label.objects.filter(pk=first.pk).update(status="failed")
    Label.objects.filter(pk=second.pk).update(status="done", value="no", labelled_at=now, judged_revision=9)
    version = signal.current_version
    assert version is not None
    found = backfill.preview(version, now - DAY, now + DAY, 100)
    assert (found.matched, found.sampled, found.to_judge, found.is_exact) == (4, 4, 0, True)
    assert found.known == Coverage(waiting=2, done=1, failed=1)
    assert len(found.examples) == 4
    monkeypatch.setattr(backfill, "MAX_EXACT_TARGETS", 3)
    about = backfill.preview(version, now - DAY, now + DAY, 50)
    assert (about.matched, about.sampled, about.to_judge, about.is_exact) == (4, 2, 0, False)
    assert about.known == Coverage(done=1, failed=1)


@pytest.mark.parametrize("scope", ["span", "session"])
def test_it_runs_over_every_scope(project: Project, now: datetime, scope: str) -> None:
    make_session(project, now=now)
    settle_all(now)
    signal = make_signal(make_agent(project), scope=scope)
    run = begin(signal, now + LATER)
    work(now)
    run.refresh_from_db()
    assert run.queued == Label.objects.filter(scope=scope).count() > 0


def test_progress_counts_what_became_of_its_labels(signal: Signal, project: Project, now: datetime) -> None:
    make_traces(project, 4, now)
    run = begin(signal, now + LATER)
    work(now)
    first, second = Label.objects.order_by("pk").values_list("pk", flat=True)[:2]
    Label.objects.filter(pk=first).update(status="done", value="no", labelled_at=now)
    Label.objects.filter(pk=second).update(status="failed")
    run.refresh_from_db()
    (progress,) = backfill.progress([run], run.created_at + timedelta(seconds=10))
    assert (progress.covered, progress.ended, progress.percent) == (Coverage(waiting=2, done=1, failed=1), 2, 50)
    assert progress.per_second == pytest.approx(0.2)
    assert progress.left == timedelta(seconds=10)
