"""Answers of judges: what each means, from the wire to the label."""

import json
from datetime import datetime, timedelta

import pytest

from catalyst.core.models import Project
from signals.judging.worker import run
from signals.models import Label
from tests.factories import make_agent, make_labels, make_signal
from tests.judge_server import JudgeServer, completion

YES_NO = ()
GRADES = ("Good", "Not good", "C++")

type Labels = tuple[str, ...]


def judged(project: Project, now: datetime, judge: JudgeServer, labels: Labels, text: str) -> Label:
    """The label after one call."""
    label = make_labels(make_signal(make_agent(project), labels=labels, active_since=now), project, 1, now=now)[0]
    judge.script = lambda _: completion(text)
    later = now + timedelta(hours=3)
    run(lambda: later)
    label.refresh_from_db()
    return label


def answer(label: object = "no", reason: str = "r") -> str:
    return json.dumps({"reason": reason, "label": label})


DRAFT = '{"reason": "a draft", "label": "yes"}'
NO = answer()

ANSWERS: dict[str, tuple[Labels, str, str | None]] = {
    # Characters that JSON forbids in a text.
    "raw newline": (YES_NO, '{"reason": "one\ntwo", "label": "no"}', "no"),
    "raw Windows newline": (YES_NO, '{"reason": "one\r\ntwo", "label": "no"}', "no"),
    "raw tab": (YES_NO, '{"reason": "a\tb", "label": "no"}', "no"),
    "form feed": (YES_NO, '{"reason": "a\fb", "label": "no"}', "no"),
    "line separator": (YES_NO, '{"reason": "a\u2028b", "label": "no"}', "no"),
    "raw newline in the label": (YES_NO, '{"reason": "r", "label": "no\n"}', "no"),
    "escaped dollar": (YES_NO, '{"reason": "it costs \\$5", "label": "no"}', "no"),
    "escaped quote of a person": (YES_NO, '{"reason": "don\\\'t", "label": "no"}', "no"),
    "LaTeX": (YES_NO, '{"reason": "\\(x\\) and \\alpha", "label": "no"}', "no"),
    "path of Windows": (YES_NO, '{"reason": "C:\\temp\\users", "label": "no"}', "no"),
    "half an escape": (YES_NO, '{"reason": "\\u12", "label": "no"}', "no"),
    "lone surrogate": (YES_NO, '{"reason": "\\ud83d", "label": "no"}', "no"),
    # Other types.
    "false": (YES_NO, answer(False), "no"),
    "true": (YES_NO, answer(True), "yes"),
    "True as text": (YES_NO, answer("True"), None),
    "a list of one": (YES_NO, answer(["no"]), "no"),
    "a list of two": (YES_NO, answer(["no", "yes"]), None),
    "null": (YES_NO, answer(None), None),
    "a number": (YES_NO, answer(0), None),
    "no label": (YES_NO, '{"reason": "r"}', None),
    # Spelling.
    "full stop": (YES_NO, answer("No."), "no"),
    "exclamation mark": (YES_NO, answer("NO!"), "no"),
    "bold": (YES_NO, answer("**no**"), "no"),
    "code": (YES_NO, answer("`no`"), "no"),
    "quoted": (YES_NO, answer('"no"'), "no"),
    "quoted by people": (YES_NO, answer("“no”"), "no"),
    "space that does not break": (YES_NO, answer("\u00a0no\u200b"), "no"),
    "capital key": (YES_NO, '{"Reason": "r", "Label": "no"}', "no"),
    "label with a space": (GRADES, answer("not  good"), "Not good"),
    "label with an underscore": (GRADES, answer("not_good"), "Not good"),
    "label with a hyphen": (GRADES, answer("not-good"), "Not good"),
    "part of a label": (GRADES, answer("not"), None),
    "label with signs": (GRADES, answer("C++"), "C++"),
    "another language": (YES_NO, answer("nein"), None),
    "explained": (YES_NO, answer("no, because it is late"), None),
    # Not quite JSON.
    "trailing comma": (YES_NO, '{"reason": "r", "label": "no",}', "no"),
    "Python's quotes": (YES_NO, "{'reason': 'it\\'s', 'label': 'no'}", "no"),
    "Python's False": (YES_NO, "{'reason': 'r', 'label': False}", "no"),
    "JSON within JSON": (YES_NO, json.dumps(NO), "no"),
    "fence": (YES_NO, f"```json\n{NO}\n```", "no"),
    "fence of another name": (YES_NO, f"```JSON5\n{NO}\n```", "no"),
    "fence without an end": (YES_NO, f"```json\n{NO}", "no"),
    "prose around": (YES_NO, f"Here you go:\n{NO}\nLet me know!", "no"),
    "byte order mark": (YES_NO, f"\ufeff{NO}", "no"),
    "a list around": (YES_NO, f"[{NO}]", "no"),
    "wrapped": (YES_NO, json.dumps({"answer": json.loads(NO)}), "no"),
    "wrapped in arguments": (YES_NO, json.dumps({"name": "label", "arguments": json.loads(NO)}), "no"),
    "comment": (YES_NO, '{"reason": "r", // why\n "label": "no"}', "no"),
    "keys without quotes": (YES_NO, '{reason: "r", label: "no"}', "no"),
    "quotes of people": (YES_NO, "{“reason”: “r”, “label”: “no”}", "no"),
    "quote within": (YES_NO, '{"reason": "it said \\"no\\"", "label": "no"}', "no"),
    "label first": (YES_NO, '{"label": "no", "reason": "r"}', "no"),
    "more fields": (YES_NO, '{"label": "no", "reason": "r", "confidence": 0.9, "evidence": [{"line": 3}]}', "no"),
    "twice the same": (YES_NO, f"{NO}\n{NO}", "no"),
    "two that disagree": (YES_NO, f"{DRAFT} {NO}", None),
    "cut off": (YES_NO, '{"reason": "long', None),
    "cut off in the label": (YES_NO, '{"reason": "r", "label": "no', None),
    "the word alone": (YES_NO, "no", None),
    "empty": (YES_NO, "", None),
    "the schema": (YES_NO, '{"type": "object", "properties": {"label": {"enum": ["yes", "no"]}}}', None),
    # Thinking aloud.
    "<think>": (YES_NO, f"<think>{DRAFT}</think>{NO}", "no"),
    "<thinking>": (YES_NO, f"<thinking>\n{DRAFT}\n</thinking>\n{NO}", "no"),
    "<THINKING>": (YES_NO, f"<THINKING>{DRAFT}</THINKING>{NO}", "no"),
    "<reasoning>": (YES_NO, f"<reasoning>{DRAFT}</reasoning>{NO}", "no"),
    "<thought>": (YES_NO, f"<thought>{DRAFT}</thought>{NO}", "no"),
    "<scratchpad>": (YES_NO, f"<scratchpad>{DRAFT}</scratchpad>{NO}", "no"),
    "<analysis>": (YES_NO, f"<analysis>{DRAFT}</analysis>{NO}", "no"),
    "<reflection>": (YES_NO, f"<reflection>{DRAFT}</reflection>{NO}", "no"),
    "<think> with an attribute": (YES_NO, f'<think budget="9">{DRAFT}</think>{NO}', "no"),
    "[THINK]": (YES_NO, f"[THINK]{DRAFT}[/THINK]{NO}", "no"),
    "no start": (YES_NO, f"Perhaps {DRAFT}</think>{NO}", "no"),
    "twice": (YES_NO, f"<think>{DRAFT}</think><think>{DRAFT}</think>{NO}", "no"),
    "harmony": (
        YES_NO,
        f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{NO}<|return|>",
        "no",
    ),
    "harmony with commentary": (
        YES_NO,
        f"<|channel|>commentary<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{NO}",
        "no",
    ),
    "harmony without special tokens": (YES_NO, f"analysis{DRAFT}assistantfinal{NO}", "no"),
    "answer in a tag": (YES_NO, f"<think>{DRAFT}</think><answer>{NO}</answer>", "no"),
    "thinking cut off": (YES_NO, f"<think>{DRAFT}", None),
    "thinking is spoken of": (YES_NO, answer(reason="It wrote <think> and </think>."), "no"),
}


@pytest.mark.parametrize(("labels", "text", "value"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_means_one_label_or_none(
    project: Project, now: datetime, judge: JudgeServer, labels: Labels, text: str, value: str | None
) -> None:
    label = judged(project, now, judge, labels, text)
    assert (label.value, label.status) == ((value, "done") if value else ("", "queued"))


def test_a_reason_keeps_its_words(project: Project, now: datetime, judge: JudgeServer) -> None:
    label = judged(project, now, judge, YES_NO, '{"reason": "He said “déjà vu” 🎲\nand left.", "label": "no"}')
    assert (label.value, label.reason) == ("no", "He said “déjà vu” 🎲 and left.")
