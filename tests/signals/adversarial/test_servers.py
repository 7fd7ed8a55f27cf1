"""Judges that answer badly, and what becomes of it: a label that the version enumerates, or an error in words."""

import gzip
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from catalyst.core.models import Project
from catalyst.env import env
from signals.judging import worker as judging
from signals.models import Label, Verdict
from tests.factories import make_agent, make_labels, make_signal
from tests.judge_server import Answer, JudgeServer, completion, error

pytestmark = pytest.mark.slow

LABELS = ("Completed", "partial", "failed")
MANY = 7


def reply(**about: Any) -> Answer:
    """A chat completion with something in it that does not belong there."""
    body = completion('{"reason": "All done.", "label": "Completed"}').body
    assert isinstance(body, dict)
    return Answer(body | about)


def message(**about: Any) -> Answer:
    return reply(choices=[{"index": 0, "message": {"role": "assistant", **about}, "finish_reason": "stop"}])


def nested(text: str, depth: int) -> str:
    return '{"a": ' * depth + text + "}" * depth


RIGHT = {
    "in other case": completion('{"reason": "r", "label": " cOMPLETED\\n"}'),
    "in a fence": completion('Well.\n```json\n{"label": "Completed"}\n```\nBye.'),
    "nested": completion(nested('{"label": "Completed", "reason": "r"}', 5)),
    "in a list": completion('[{"label": "Completed"}]'),
    "said twice": completion('{"label": "Completed"}\n{"label": "completed"}'),
    "after thoughts of another": completion('<think>{"label": "failed"}?</think>{"label": "Completed"}'),
    "with another in its reason": completion(
        '{"reason": "{\\"label\\": \\"failed\\"} is what it says.", "label": "Completed"}'
    ),
    "with a reason that is no text": completion('{"reason": {"label": "failed"}, "label": "Completed"}'),
    "with a huge reason": completion(json.dumps({"reason": "a " * 5_000, "label": "Completed"})),
    "with markup": completion('{"reason": "<script>alert(1)</script>\\u0000\\u202e", "label": "Completed"}'),
    "after much talk": completion("Hm. " * 100_000 + '{"label": "Completed"}'),
    "with counts that lie": reply(usage={"prompt_tokens": -1, "completion_tokens": 10**30, "total_tokens": "many"}),
    "with usage of a wrong type": reply(usage=[1, 2]),
    "by a model with an odd name": reply(model="m\0\n" * 500),
    "with several choices": reply(choices=[{"message": {"content": f'{{"label": "{n}"}}'}} for n in LABELS]),
    "in parts": message(content=[{"type": "text", "text": '{"label": '}, {"type": "text", "text": '"Completed"}'}]),
    "with a tool call beside it": message(content='{"label": "Completed"}', tool_calls=[{"function": {"name": "x"}}]),
}
WRONG = {
    "nothing": (completion(""), "nothing at all"),
    "no text": (completion(None), "nothing at all"),
    "white space": (completion(" \n\t\u00a0"), "nothing at all"),
    "prose": (completion("The label is Completed."), "no answer in the agreed form"),
    "another label": (completion('{"reason": "r", "label": "yes"}'), "“yes”, which is none of"),
    "a label and more": (completion('{"label": "Completed, I think"}'), "none of"),
    "two labels in one": (completion('{"label": "Completed|failed"}'), "none of"),
    "a list of labels": (completion('{"label": ["Completed", "failed"]}'), "none of"),
    "a label in a label": (completion('{"label": {"label": "Completed"}}'), "none of"),
    "a homoglyph": (completion('{"label": "\u0421ompleted"}'), "none of"),
    "full width": (completion('{"label": "\uff23ompleted"}'), "none of"),
    "an invisible character": (completion('{"label": "Comp\u200bleted"}'), "none of"),
    "a number": (completion('{"label": 1}'), "none of"),
    "not a number": (completion('{"label": NaN}'), "none of"),
    "infinity": (completion('{"label": -Infinity}'), "none of"),
    "null": (completion('{"label": null}'), "none of"),
    "a label in the reason alone": (completion('{"reason": "label: Completed"}'), "no answer in the agreed form"),
    "another key": (completion('{"reason": "r", "answer": "Completed"}'), "no answer in the agreed form"),
    "two objects": (completion('{"label": "Completed"} {"label": "failed"}'), "disagree"),
    "two keys": (completion('{"label": "failed", "reason": "r", "label": "Completed"}'), "none of"),
    "two keys deep inside": (completion(nested('{"label": "failed", "label": "Completed"}', 3)), "none of"),
    "cut off": (completion('{"reason": "All d', finish_reason="length"), "Its answer was cut off"),
    "deep nesting": (completion(nested("1", 20_000)), "no answer in the agreed form"),
    "many brackets": (completion("{" * 300_000), "no answer in the agreed form"),
    "a huge number": (completion('{"label": ' + "9" * 19_000 + "}"), "no answer in the agreed form"),
    "an answer that ends beyond what is read": (
        completion('{"label": "Completed"}' + " and so on" * 5_000),
        "no answer in the agreed form",
    ),
    "a refusal": (completion(None, refusal="I won't judge that."), "refused to answer: I won't judge that."),
    "a refusal with a label": (completion('{"label": "Completed"}', refusal="No."), "refused to answer"),
    "a tool call": (
        message(content=None, tool_calls=[{"function": {"arguments": '{"label": "Completed"}'}}]),
        "nothing",
    ),
    "a list for a text": (message(content=[7]), "nothing at all"),
    "no choices": (reply(choices=[]), "sent no chat completion"),
    "HTML": (Answer(b"<!doctype html><title>Sign in</title>"), "sent no chat completion: <!doctype html>"),
    "an empty body": (Answer(b""), "sent no chat completion"),
    "a bare label": (Answer(b'"Completed"'), "sent no chat completion"),
    "an answer without its envelope": (Answer(b'{"label": "Completed"}'), "sent no chat completion"),
    "a stream": (
        Answer(b'data: {"choices":[{"delta":{"content":"Completed"}}]}\n\ndata: [DONE]\n\n', 200),
        "sent no chat completion: data:",
    ),
    "text that is not UTF-8": (Answer(b'{"choices":[{"message":{"content":"\xff\xfe"}}]}'), "sent no chat completion"),
    "half of a character": (Answer(b'{"choices":[{"message":{"content":"{\\"label\\":\\"\\ud800\\"}"}}]}'), ""),
    "binary junk": (Answer(bytes(range(256)) * 8), "sent no chat completion"),
    "deeply nested JSON": (Answer(b"[" * 200_000), "sent no chat completion"),
    "more than anybody reads": (Answer(b" " * (2 << 20)), "sent more than 1 MiB"),
    "a little that grows": (
        Answer(gzip.compress(b" " * (32 << 20)), headers={"Content-Encoding": "gzip"}),
        "sent more than 1 MiB",
    ),
}
GONE = {
    "a redirect": (error(302), "redirects to another address (302)"),
    "an error that quotes a label": (error(400, '{"label": "Completed"}'), "refused the request (400)"),
}
LATER_ON = {
    "a lie about its coding": (Answer(b"plain", headers={"Content-Encoding": "gzip"}), "broke the connection"),
    "an answer that takes too long": (Answer(b"", delay=2), "did not answer within 0.3 seconds"),
    "no word": (Answer(b"", status=0), "broke the connection"),
}


@pytest.fixture
def labels(project: Project, now: datetime) -> Sequence[Label]:
    signal = make_signal(make_agent(project), prompt="Was it done?", labels=LABELS, active_since=now)
    return make_labels(signal, project, 1, now=now)


def judged(server: JudgeServer, answer: Answer, now: datetime) -> Label:
    """The label after more tries than there are."""
    server.script = lambda _: answer
    for minute in range(MANY):
        judging.run(lambda minute=minute: now + timedelta(hours=3, minutes=minute))  # type: ignore[misc]
    assert set(Verdict.objects.values_list("value", flat=True)) <= {*LABELS, ""}
    return Label.objects.get()


@pytest.mark.usefixtures("labels")
@pytest.mark.parametrize("answer", RIGHT.values(), ids=RIGHT)
def test_it_takes_a_label_however_it_is_given(judge: JudgeServer, now: datetime, answer: Answer) -> None:
    label = judged(judge, answer, now)
    assert (label.status, label.value, label.error, len(judge.asked)) == ("done", "Completed", "", 1)
    assert len(label.reason) <= 500
    assert "\0" not in label.reason + label.judge


@pytest.mark.usefixtures("labels")
@pytest.mark.parametrize(("answer", "words"), WRONG.values(), ids=WRONG)
def test_it_makes_no_label_of_a_wrong_answer(judge: JudgeServer, now: datetime, answer: Answer, words: str) -> None:
    label = judged(judge, answer, now)
    assert (label.status, label.value, len(judge.asked)) == ("failed", "", 5)
    assert words in label.error
    assert label.error.endswith("(5 tries)")
    assert len(label.error) < 500


@pytest.mark.usefixtures("labels")
@pytest.mark.parametrize(("answer", "words"), GONE.values(), ids=GONE)
def test_it_gives_up_where_another_try_cannot_help(
    judge: JudgeServer, now: datetime, answer: Answer, words: str
) -> None:
    label = judged(judge, answer, now)
    assert (label.status, label.value, label.attempts) == ("failed", "", 1)
    assert words in label.error


@pytest.mark.usefixtures("labels")
@pytest.mark.parametrize(("answer", "words"), LATER_ON.values(), ids=LATER_ON)
def test_it_waits_for_a_judge_that_gives_no_answer(
    judge: JudgeServer, now: datetime, answer: Answer, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "judge_timeout_seconds", 0.3)
    label = judged(judge, answer, now)
    assert (label.status, label.value, label.attempts) == ("queued", "", 0)
    assert words in label.error
