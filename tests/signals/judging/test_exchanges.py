"""What a judge was asked and what it answered is kept, word for word, for a while."""

import json
from datetime import datetime, timedelta

import pytest
from pytest_django import Settings

from catalyst.core.models import Project
from signals import operations, retention
from signals.definitions import definition
from signals.definitions.templates import NSFW
from signals.judging import exchanges
from signals.judging import worker as judging
from signals.judging.answers import MAX_ANSWER
from signals.models import Exchange, Instructions, Label, Signal, Verdict
from tests.factories import LATER, make_agent, make_labels, make_signal, make_trace, settle_all
from tests.judge_server import Answer, JudgeServer, completion, error, says
from tests.signals.adversarial.attacks import NAMED

DAY = timedelta(days=1)


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    return make_signal(make_agent(project), active_since=now)


def run(now: datetime) -> None:
    judging.run(lambda: now + 2 * LATER)


def kept() -> list[list[dict[str, str]]]:
    """All messages that are kept, as one wrote them again from what is stored."""
    return [
        list(exchanges.prompt_and_reply(each).messages)
        for each in Exchange.objects.select_related("instructions").order_by("pk")
    ]


@pytest.mark.slow
def test_it_keeps_every_call_byte_for_byte(signal: Signal, project: Project, now: datetime, judge: JudgeServer) -> None:
    """Whatever is in the traffic."""
    texts = [text.replace("\0", "") for text in NAMED.values() if text.strip()]
    for number, text in enumerate(texts, start=1):
        make_trace(project, number, now=now, said=(text, "Hm."))
    settle_all(now)
    run(now)
    asked = [asked.payload["messages"] for asked in judge.asked]
    assert len(asked) == len(texts)
    assert sorted(kept(), key=json.dumps) == sorted(asked, key=json.dumps)
    for exchange in Exchange.objects.select_related("verdict__label"):
        assert f"| {exchange.verdict.label.target_key}\n" in exchanges.prompt_and_reply(exchange).messages[1]["content"]
    assert Instructions.objects.get().text == judge.asked[0].instructions


def test_it_keeps_the_answer_of_each_try(signal: Signal, project: Project, now: datetime, judge: JudgeServer) -> None:
    answers = [completion("Hm\0m."), completion(None, refusal="No."), Answer(b"<html>"), says("no", "Why not.")]
    judge.script = lambda _: answers[len(judge.asked) - 1]
    make_labels(signal, project, 1, now=now)
    for minute in range(len(answers)):
        judging.run(lambda minute=minute: now + LATER + timedelta(minutes=minute))  # type: ignore[misc]
    assert list(Verdict.objects.order_by("pk").values_list("value", flat=True)) == ["", "", "", "no"]
    told = [exchanges.prompt_and_reply(each).answer for each in Exchange.objects.order_by("pk")]
    assert told == ["Hm\0m.", "No.", "", '{"reason": "Why not.", "label": "no"}']
    assert len({json.dumps(messages) for messages in kept()}) == 4


def test_it_keeps_the_end_of_a_long_answer(signal: Signal, project: Project, now: datetime, judge: JudgeServer) -> None:
    judge.script = lambda _: completion("x" * 100_000 + '{"label": "no"}')
    make_labels(signal, project, 1, now=now)
    run(now)
    answer = exchanges.prompt_and_reply(Exchange.objects.get()).answer
    assert (len(answer), answer.endswith('xx{"label": "no"}')) == (MAX_ANSWER, True)


def test_it_keeps_what_is_the_same_for_a_version_once(
    signal: Signal, project: Project, now: datetime, judge: JudgeServer
) -> None:
    make_labels(signal, project, 3, now=now)
    run(now)
    operations.publish_version(signal, definition.Definition(type="binary", prompt="Else?", sample_rate=100))
    for number in range(11, 14):
        make_trace(project, number, now=now + LATER)
    settle_all(now + LATER)
    run(now + LATER)
    assert len(kept()) == len(judge.asked) == 6
    assert Instructions.objects.count() == 2
    assert Exchange.objects.filter(instructions__text__contains="Else?").count() == 3


def test_it_keeps_nothing_of_calls_that_gave_no_verdict_or_needed_no_model(
    signal: Signal, project: Project, now: datetime, judge: JudgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge.script = lambda _: error(503)
    make_labels(signal, project, 1, now=now)
    run(now)
    assert not Exchange.objects.exists()
    monkeypatch.setattr("catalyst.env.env.judge_url", "")
    offline = make_signal(make_agent(project, "other"), prompt=NSFW.prompt, active_since=now)
    make_labels(offline, project, 2, now=now)
    run(now)
    assert Verdict.objects.count() == 2
    assert not Exchange.objects.exists()


def test_it_keeps_nothing_when_told_so(
    signal: Signal, project: Project, now: datetime, judge: JudgeServer, settings: Settings
) -> None:
    settings.JUDGE_EXCHANGE_DAYS = 0
    make_labels(signal, project, 1, now=now)
    run(now)
    assert Verdict.objects.count() == 1
    assert not Exchange.objects.exists()


def test_it_forgets_earlier_than_the_verdict_and_with_the_text_of_the_project(
    signal: Signal, project: Project, now: datetime, judge: JudgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_labels(signal, project, 5, now=now)
    run(now)
    assert retention.delete_expired_exchanges(now + 30 * DAY) == 0
    monkeypatch.setattr(retention, "EXCHANGES", 2)
    assert retention.delete_expired_exchanges(now + 32 * DAY, batches=1) == 2
    assert Exchange.objects.count() == 3
    project.retention_days = 3
    project.save(update_fields=["retention_days"])
    assert retention.delete_expired_exchanges(now + 5 * DAY) == 3
    assert Label.objects.labelled().count() == Verdict.objects.count() == 5


def test_it_goes_with_its_label(signal: Signal, project: Project, now: datetime, judge: JudgeServer) -> None:
    make_labels(signal, project, 2, now=now)
    run(now)
    Label.objects.all()[0].delete()
    assert Exchange.objects.count() == 1
    signal.delete()
    assert not Exchange.objects.exists()
    assert not Instructions.objects.exists()
