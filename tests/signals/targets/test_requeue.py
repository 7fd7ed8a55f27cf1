"""What becomes of live work that waits while its signal is changed or disabled."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone

from catalyst.core.models import Project
from signals import operations
from signals.definitions.definition import Definition
from signals.judging import claims
from signals.judging.worker import LEASE, run
from signals.models import Label, Signal, SignalRun, Verdict
from signals.models.label_states import CANCELLED
from signals.sampling import is_sampled
from signals.targets import settling
from tests.factories import LATER, make_agent, make_labels, make_signal, make_trace, settle_all
from tests.judge_server import Answer, Asked, JudgeServer, error, says
from tests.processes import eventually
from tests.traces.sent import sent_span
from traces.filters import Filter
from traces.ingest import pipeline

pytestmark = pytest.mark.slow

MINUTE = timedelta(minutes=1)
ELSE = Definition(type="binary", prompt="Else?", sample_rate=100)


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    return make_signal(make_agent(project), active_since=now)


def judge_at(at: datetime) -> None:
    run(lambda: at)


def edit(signal: Signal) -> None:
    operations.publish_version(Signal.objects.get(pk=signal.pk), ELSE)


def disable(signal: Signal) -> None:
    operations.disable(Signal.objects.get(pk=signal.pk), timezone.now())


def test_an_edit_asks_the_new_question_of_what_waits(signal: Signal, project: Project, now: datetime) -> None:
    untried, tried, grown = before = make_labels(signal, project, 3, now=now)
    Label.objects.filter(pk=tried.pk).update(attempts=2, outages=3, tried_at=now)
    answered = {"value": "yes", "labelled_at": now, "judged_revision": 1}
    Label.objects.filter(pk=grown.pk).update(wanted_revision=2, **answered)
    version = operations.publish_version(signal, ELSE)
    asked = list(Label.objects.filter(version=version).order_by("trace_id"))
    for old, new in zip(before, asked, strict=True):
        assert (new.target_key, new.trace_id, new.target_time) == (old.target_key, old.trace_id, old.target_time)
        assert (new.signal, new.project, new.scope, new.not_before) == (signal, project, "trace", untried.not_before)
        assert (new.status, new.attempts, new.outages, new.tried_at, new.value) == ("queued", 0, 0, None, "")
    assert [label.wanted_revision for label in asked] == [1, 1, 2]


def test_an_edit_asks_only_of_what_the_new_version_samples(signal: Signal, project: Project, now: datetime) -> None:
    labels = make_labels(signal, project, 20, now=now)
    version = operations.publish_version(signal, Definition(type="binary", prompt="Else?", sample_rate=50))
    sampled = {label.target_key for label in labels if is_sampled(label.target_key, 50)}
    assert 0 < len(sampled) < 20
    assert set(Label.objects.values_list("version_id", "target_key")) == {(version.pk, key) for key in sampled}


@pytest.mark.parametrize("scope", ["span", "trace", "session"])
def test_an_edit_asks_only_of_what_passes_the_new_filter(project: Project, now: datetime, scope: str) -> None:
    signal = make_signal(make_agent(project), scope=scope, active_since=now)
    for number, answer in ((1, "It comes."), (2, "No.")):
        make_trace(project, number, now=now, session=f"chat {number}", said=("When?", answer))
    call = sent_span(99, 33, trace=2, start=now, openinference__span__kind="LLM", llm__model_name="gpt-4o")
    pipeline.store(project.pk, [call], now)
    settle_all(now)
    version = operations.publish_version(signal, replace(ELSE, filter=Filter(model="gpt-4o")))
    (label,) = Label.objects.all()
    assert (label.version, label.trace_id or label.session_key) == (
        version,
        UUID(int=2) if scope != "session" else "chat 2",
    )
    assert label.span_id == (99 if scope == "span" else None)


@pytest.mark.usefixtures("judge")
def test_an_edit_of_a_disabled_signal_asks_nothing(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 2, now=now)
    Label.objects.update(status="failed")
    operations.disable(signal, now)
    assert operations.retry_failed(signal, now) == 2
    operations.publish_version(signal, ELSE)
    assert not Label.objects.filter(version=signal.current_version).exists()


@pytest.mark.parametrize("change", [disable, lambda signal: operations.publish_version(signal, ELSE)])
def test_a_change_leaves_the_work_of_runs_with_the_version_that_they_ask(
    signal: Signal, project: Project, now: datetime, change: Callable[[Signal], None]
) -> None:
    of_run, live = make_labels(signal, project, 2, now=now)
    run_of = {"window_start": now - MINUTE, "window_end": now, "sample_rate": 100}
    Label.objects.filter(pk=of_run.pk).update(run=SignalRun.objects.create(version=of_run.version, **run_of))
    change(signal)
    assert Label.objects.get(pk=of_run.pk).status == "queued"
    assert not Label.objects.filter(pk=live.pk).exists()
    assert Label.objects.exclude(pk=of_run.pk).filter(target_key=of_run.target_key).count() == 0


def test_an_edit_of_a_draft_ends_what_was_queued_by_hand(signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 2, now=now)
    Signal.objects.update(state="draft", activated_at=None)
    version = operations.publish_version(signal, ELSE)
    assert not Label.objects.filter(version=version).exists()
    assert not Label.objects.filter(status="queued").exists()


@pytest.mark.usefixtures("judge")
def test_it_keeps_what_was_judged_before_it_was_queued_by_hand(signal: Signal, project: Project, now: datetime) -> None:
    (label,) = make_labels(signal, project, 1, now=now)
    Label.objects.update(status="failed")
    Verdict.objects.create(label=label, revision=1, error="No.", model="m", latency_ms=1, shown_digest="")
    operations.retry_failed(signal, now)
    operations.disable(signal, now)
    label.refresh_from_db()
    assert (label.status, label.error, label.verdicts.count()) == ("failed", CANCELLED, 1)


def while_judged(judge: JudgeServer, change: Callable[[], None], answer: Answer) -> None:
    """Have the judge answer so, once the signal has been changed while the call was under way."""

    def script(_: Asked) -> Answer:
        if len(judge.asked) > 1:
            return says("no")
        try:
            change()
        finally:
            connection.close()
        return answer

    judge.script = script


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("answer", [error(503, "Later."), error(500, "Boom."), says("maybe")])
def test_what_is_judged_while_its_signal_is_disabled_is_not_tried_again(
    signal: Signal, project: Project, now: datetime, judge: JudgeServer, answer: Answer
) -> None:
    (label,) = make_labels(signal, project, 1, now=now)
    while_judged(judge, lambda: disable(signal), answer)
    for step in range(3):
        judge_at(now + LATER + step * 5 * MINUTE)
    label.refresh_from_db()
    assert (label.status, label.value, label.error) == ("failed", "", CANCELLED)
    assert len(judge.asked) == 1


@pytest.mark.django_db(transaction=True)
def test_what_is_judged_while_its_signal_is_edited_is_tried_again_with_the_new_question(
    signal: Signal, project: Project, now: datetime, judge: JudgeServer
) -> None:
    make_labels(signal, project, 1, now=now)
    while_judged(judge, lambda: edit(signal), error(503, "Later."))
    for step in range(3):
        judge_at(now + LATER + step * 5 * MINUTE)
    assert list(Label.objects.order_by("version_id").values_list("version__number", "status")) == [
        (1, "failed"),
        (2, "done"),
    ]
    assert ["Else?" in asked.instructions for asked in judge.asked] == [False, True]


def test_what_a_dead_worker_held_of_a_disabled_signal_is_not_tried_again(
    signal: Signal, project: Project, now: datetime, judge: JudgeServer
) -> None:
    (label,) = make_labels(signal, project, 1, now=now)
    claims.claim(1, LEASE, now + LATER)
    operations.disable(signal, now)
    judge_at(now + LATER + MINUTE)
    label.refresh_from_db()
    assert (label.status, label.error, judge.asked) == ("failed", CANCELLED, [])


def test_what_was_queued_by_hand_is_judged_under_a_disabled_signal(
    signal: Signal, project: Project, now: datetime, judge: JudgeServer
) -> None:
    (label,) = make_labels(signal, project, 1, now=now)
    Label.objects.update(status="failed", attempts=5, tried_at=now)
    operations.disable(signal, now)
    operations.retry_failed(signal, now)
    judge_at(now + LATER)
    label.refresh_from_db()
    assert label.status == "done"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("change", "left"), [(disable, []), (edit, [(2, "queued")])])
def test_a_change_waits_for_those_who_settle_with_the_signal_as_it_was(
    signal: Signal, project: Project, now: datetime, change: Callable[[Signal], None], left: list[tuple[int, str]]
) -> None:
    make_trace(project, 1, now=now)

    def changing() -> None:
        try:
            change(signal)
        finally:
            connection.close()

    thread = threading.Thread(target=changing)
    with transaction.atomic():
        settling.settle(now + LATER)
        thread.start()
        eventually(lambda: _waiting() or not thread.is_alive())
    thread.join(10)
    assert list(Label.objects.values_list("version__number", "status")) == left


def _waiting() -> bool:
    """Whether someone waits for the lock of signals."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(cursor.fetchone()[0])
