"""Labels whose calls break, while their judge answers others: they must not wait for ever, nor hold up others."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from catalyst.core.models import Project
from catalyst.llms.models import JudgeHealth
from signals.judging.worker import run
from signals.models import Label, Verdict
from signals.models.label_queue import MAX_OUTAGES
from signals.models.label_states import MAX_ATTEMPTS
from tests.factories import LATER, make_agent, make_signal, make_trace, settle_all
from tests.judge_server import Answer, Asked, JudgeServer, error, says

MINUTE = timedelta(minutes=1)
POISON = UUID(int=1)


@pytest.fixture
def poison(project: Project, now: datetime, judge: JudgeServer) -> Label:
    """A queued label whose target makes its judge fail, at once and every time; all others are answered."""
    make_signal(make_agent(project), active_since=now)

    def script(asked: Asked) -> Answer:
        return error(500, "Boom.") if "POISON" in asked.recording else says("no")

    judge.script = script
    make_trace(project, 1, now=now, said=("POISON", "Hm."))
    settle_all(now)
    return Label.objects.get()


def judge_at(at: datetime) -> None:
    run(lambda: at)


def judge_another(project: Project, number: int, at: datetime) -> None:
    make_trace(project, number, now=at - LATER)
    settle_all(at - LATER)
    judge_at(at)


def test_a_target_that_breaks_the_judge_between_others_answers_fails(
    poison: Label, project: Project, now: datetime
) -> None:
    """Never while another call is under way."""
    at = now + LATER
    for number in range(2, 2 + MAX_ATTEMPTS):
        judge_at(at)
        Label.objects.filter(pk=poison.pk).update(not_before=at + MINUTE)
        judge_another(project, number, at + MINUTE - timedelta(seconds=1))
        at += MINUTE
    judge_at(at)
    poison.refresh_from_db()
    assert (poison.status, poison.attempts, poison.outages) == ("failed", MAX_ATTEMPTS, 1)
    assert "Boom." in poison.error
    assert Verdict.objects.filter(label=poison, value="").count() == MAX_ATTEMPTS
    assert Label.objects.filter(status="done").count() == MAX_ATTEMPTS


def test_a_try_that_counts_pauses_no_model_and_is_no_answer(poison: Label, project: Project, now: datetime) -> None:
    at = now + LATER
    judge_at(at)
    Label.objects.update(not_before=at + 2 * MINUTE)
    judge_another(project, 2, at + MINUTE)
    judge_at(at + 2 * MINUTE)
    poison.refresh_from_db()
    assert (poison.status, poison.attempts, poison.outages) == ("queued", 1, 1)
    health = JudgeHealth.objects.get()
    assert (health.failures, health.answered_at) == (0, at + MINUTE)
    assert health.paused_until is not None
    assert health.paused_until < at + MINUTE


def test_broken_calls_are_no_proof_against_each_other(poison: Label, project: Project, now: datetime) -> None:
    """In an outage every call breaks, and only one after the last answer counts for each label."""
    make_trace(project, 2, now=now, said=("POISON too", "Hm."))
    settle_all(now)
    labels = list(Label.objects.all())
    at = now + LATER
    judge_at(at)
    Label.objects.update(not_before=at + 2 * MINUTE)
    judge_another(project, 3, at + MINUTE)
    for step in range(10):
        at += 10 * MINUTE
        tried = labels[step % 2].pk
        Label.objects.filter(pk=tried).update(not_before=at)
        Label.objects.filter(status="queued").exclude(pk=tried).update(not_before=at + MINUTE)
        judge_at(at)
    assert list(Label.objects.filter(pk__in=[label.pk for label in labels]).values_list("status", "attempts")) == [
        ("queued", 1),
        ("queued", 1),
    ]


@pytest.mark.slow
def test_a_label_alone_is_tried_less_and_less_and_fails_in_the_end(
    poison: Label, now: datetime, judge: JudgeServer
) -> None:
    """Nothing tells a broken judge from a target that breaks it."""
    at = now + LATER
    for _ in range(100):
        judge_at(at)
        at += MINUTE
    assert len(judge.asked) < 40
    for _ in range(MAX_OUTAGES):
        at += 10 * MINUTE
        judge_at(at)
    poison.refresh_from_db()
    assert (poison.status, poison.attempts, poison.outages) == ("failed", 1, MAX_OUTAGES)
    assert f"({MAX_OUTAGES + 1} times)" in poison.error
    assert len(judge.asked) == MAX_OUTAGES + 1


@pytest.mark.slow
def test_an_outage_that_is_the_servers_by_its_own_word_never_ends_a_label(
    poison: Label, now: datetime, judge: JudgeServer
) -> None:
    judge.script = lambda _: error(503, "Later.")
    for step in range(MAX_OUTAGES + 5):
        judge_at(now + LATER + step * 2 * MINUTE)
    poison.refresh_from_db()
    assert (poison.status, poison.attempts, poison.outages) == ("queued", 0, 0)
    assert len(judge.asked) == MAX_OUTAGES + 5
