"""Reading what a judge answers."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.judging.answers import HINTS, Answer, InvalidAnswer, hint, parse

LABELS = ["Completed", "partial", "failed", "not started"]
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
YES_NO = ("yes", "no")


@pytest.mark.parametrize(
    "text",
    [
        '{"reason": "All done.", "label": "Completed"}',
        '```json\n{"label": "completed", "reason": "All done."}\n```',
        'Sure! Here it is:\n\n{"label": "  COMPLETED ", "reason": "All done."}\nAnything else?',
        '<think>{"label": "failed"} perhaps? No.</think>{"label": "Completed", "reason": "All done."}',
        '{"answer": {"label": "Completed", "reason": "All done."}}',
        'It fits {the schema}. {"label": "Completed", "reason": "All done."} {"label": "Completed"}',
        '{"label": "Completed", "reason": "All\\ndone.", "confidence": 0.3}',
    ],
)
def test_it_finds_the_answer(text: str) -> None:
    assert parse(text, LABELS) == Answer("Completed", "All done.")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no answer in the agreed form, but: nothing at all"),
        ("Completed", "no answer in the agreed form, but: Completed"),
        ('{"label": "done"}', "“done”, which is none of: Completed, partial"),
        ('{"label": "Completed or failed"}', "none of"),
        ('{"label": ""}', "none of"),
        ('{"label": null}', "none of"),
        ('{"label": ["Completed", "failed"]}', "none of"),
        ('{"label": []}', "none of"),
        ('{"label": {"label": "x"}}', "none of"),
        ('{"label": "Completed"', "no answer"),
        ('{"label": "Completed"} {"label": "failed"}', "several answers that disagree: Completed, failed"),
        ('{"label": ' * 5_000, "no answer"),
        ("{" * 500_000, "no answer"),
        ('{"a": ' + "[" * 30_000, "no answer"),
        ("I can't help with that.", "no answer"),
        ('{"label": ' + "9" * 15_000 + "}", "no answer"),
    ],
)
def test_it_takes_nothing_but_an_allowed_label(text: str, words: str) -> None:
    with pytest.raises(InvalidAnswer, match=words):
        parse(text, LABELS)


@given(ANY_TEXT)
def test_it_never_makes_a_label_of_any_text(text: str) -> None:
    for wrapped in (text, json.dumps({"label": text})):
        with suppress(InvalidAnswer):
            assert parse(wrapped, LABELS).value in LABELS


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("One. Two! Three?", "One. Two!"),
        ("It cost 3.50 dollars, e.g. for tea. Fine. More.", "It cost 3.50 dollars, e.g. for tea. Fine."),
        ("一。二。三。", "一。 二。"),
        ("a" * 2_000, "a" * 499 + "…"),
        ("bad \x00 \ud800 bytes", "bad ? bytes"),
        (None, ""),
        (42, ""),
    ],
)
def test_it_keeps_at_most_two_sentences_of_the_reason(reason: object, kept: str) -> None:
    assert parse(json.dumps({"label": "failed", "reason": reason}), LABELS).reason == kept


@pytest.mark.parametrize(
    ("labels", "text", "value"),
    [
        (YES_NO, '{"reason":"line one\nline two","label":"no"}', "no"),
        (YES_NO, '{"reason":"a\tb","label":"no"}', "no"),
        (YES_NO, '{"reason":"bell \x07","label":"no"}', "no"),
        (YES_NO, '{"reason":"it costs \\$5","label":"no"}', "no"),
        (YES_NO, '{"reason":"C:\\users and \\d","label":"no"}', "no"),
        (YES_NO, '{"reason":"r","label":false}', "no"),
        (YES_NO, '{"reason":"r","label":true}', "yes"),
        (("True", "False"), '{"reason":"r","label":true}', "True"),
        (("true", "yes"), '{"reason":"r","label":true}', None),
        (("1", "2"), '{"reason":"r","label":2}', "2"),
        (("1", "2"), '{"reason":"r","label":1.0}', None),
        (("0", "1"), '{"reason":"r","label":true}', None),
        (YES_NO, '{"reason":"r","label":["no"]}', "no"),
        (YES_NO, '{"reason":"r","label":["no","yes"]}', None),
        (YES_NO, '{"reason":"r","label":"No."}', "no"),
        (YES_NO, '{"reason":"r","label":"**no**"}', "no"),
        (YES_NO, '{"reason":"r","label":"\\"no\\""}', "no"),
        (("C", "C++"), '{"label":"C++"}', "C++"),
        (("wait", "wait!"), '{"label":"wait."}', None),
        (("no.", "yes."), '{"label":"no"}', "no."),
        (YES_NO, '{"Reason":"r","Label":"no"}', "no"),
        (YES_NO, '{"LABEL":"no","label":"yes"}', None),
        (YES_NO, '{"reason":"r","label":"no",}', "no"),
        (YES_NO, '```\n{"reason":"r","label":"no",\n}\n```', "no"),
        (YES_NO, "{'reason': 'r', 'label': 'no'}", "no"),
        (YES_NO, "{'reason': \"it's\", 'label': False}", "no"),
        (YES_NO, "{'label': 'no', 'label': 'yes'}", None),
        (YES_NO, "{'label': __import__('os').getcwd()}", None),
        (YES_NO, '"{\\"reason\\":\\"r\\",\\"label\\":\\"no\\"}"', "no"),
        (("caf\u00e9", "th\u00e9"), '{"label":"cafe\u0301"}', "caf\u00e9"),
        (("cafe\u0301", "th\u00e9"), '{"label":"caf\u00e9"}', "cafe\u0301"),
        (YES_NO, '{"label":"yes"} {"label":"no"}', None),
        (YES_NO, '{"label":"nein"}', None),
        (YES_NO, '{"reason":"long', None),
        (("no", "no answer"), '{"label":"no', None),
        (("no", "no answer"), "{'label': 'no", None),
    ],
)
def test_it_takes_what_can_mean_one_label_only(labels: tuple[str, ...], text: str, value: str | None) -> None:
    if value is None:
        with pytest.raises(InvalidAnswer):
            parse(text, labels)
    else:
        assert parse(text, labels).value == value


@pytest.mark.parametrize(
    "thinking",
    [
        "<think>{}</think>",
        "<thinking>{}</thinking>\n",
        "<Thought>{}</Thought>",
        "<seed:think>{}</seed:think>",
        "<reasoning>{}</reasoning>",
        "[THINK]{}[/THINK]",
        "\u25c1think\u25b7{}\u25c1/think\u25b7",
        "<|begin_of_thought|>{}<|end_of_thought|>",
        "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>",
        "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>",
        "<think>{}</think> hm <think>again {}</think>",
        "{} never opened</think>",
    ],
)
def test_a_draft_in_the_thinking_does_not_count(thinking: str) -> None:
    draft = 'perhaps {"label": "yes"}'
    assert parse(thinking.replace("{}", draft) + '{"reason": "r", "label": "no"}', YES_NO) == Answer("no", "r")


def test_thinking_that_was_cut_off_is_no_answer() -> None:
    for start in ("<think>", "[THINK]", "<|channel|>analysis<|message|>"):
        with pytest.raises(InvalidAnswer):
            parse(f'{start}perhaps {{"label": "yes"}}', YES_NO)


def test_a_reason_may_speak_of_thinking() -> None:
    text = '{"reason": "It wrote </think> and <thinking>.", "label": "no"}'
    assert parse(text, YES_NO) == Answer("no", "It wrote </think> and <thinking>.")


def test_a_model_that_is_asked_again_is_told_what_was_wrong() -> None:
    wrong = {
        "nothing": "could not be read",
        '{"label": "Evil words"}': "none of the allowed",
        '{"label":"yes"} {"label":"no"}': "several labels",
    }
    for text, told in wrong.items():
        with pytest.raises(InvalidAnswer) as refused:
            parse(text, YES_NO)
        assert told in hint(str(refused.value))
        assert "Evil" not in hint(str(refused.value))
    assert hint("The judge did not answer within 60 seconds.") == ""
    assert len(HINTS) == len(wrong)
