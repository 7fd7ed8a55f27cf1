"""What changed from one question to another, in words and line by line."""

from dataclasses import dataclass, field, replace

import pytest

from signals.definitions.definition import Definition
from signals.definitions.diff import Diff, Line, diff

ASKED = Definition(
    type="string",
    prompt="Is the user angry?\nLook at the last turn.",
    sample_rate=25,
    labels=("good", "bad"),
    sentiments={"good": "positive", "bad": "negative"},
)


def reworded(before: str, after: str) -> tuple[Line, ...]:
    return diff(replace(ASKED, prompt=before), replace(ASKED, prompt=after)).lines


def as_text(lines: tuple[Line, ...]) -> list[str]:
    """Lines as a patch, marked words in brackets."""
    signs = {"same": " ", "gone": "-", "new": "+"}
    return [
        signs[line.kind] + "".join(f"[{text}]" if marked else text for text, marked in line.parts)
        if line.kind in signs
        else f"~{line.count}"
        for line in lines
    ]


def test_it_finds_nothing_between_the_same_questions() -> None:
    assert diff(ASKED, replace(ASKED, labels=["good", "bad"])) == Diff((), (), ())
    assert diff(ASKED, ASKED).text == []


def test_it_marks_the_words_that_differ() -> None:
    assert as_text(reworded(ASKED.prompt, "Is the customer clearly angry?\nLook at the last turn.")) == [
        "-Is the [user] angry?",
        "+Is the [customer clearly] angry?",
        " Look at the last turn.",
    ]


def test_it_marks_whole_lines_where_nothing_is_alike() -> None:
    assert as_text(reworded("Is the user angry?", "Did anything go wrong with payments")) == [
        "-Is the user angry?",
        "+Did anything go wrong with payments",
    ]


def test_it_sees_lines_that_came_and_went_and_leaves_out_what_is_far_from_them() -> None:
    lines = [f"Rule {number}" for number in range(12)]
    assert as_text(reworded("\n".join(lines), "\n".join([*lines[:6], "And", *lines[6:11]]))) == [
        "~4",
        " Rule 4",
        " Rule 5",
        "+And",
        " Rule 6",
        " Rule 7",
        " Rule 8",
        " Rule 9",
        " Rule 10",
        "-Rule 11",
    ]


def test_it_keeps_every_character_of_both() -> None:
    before, after = "a  b\n\n c,d\n", "a b\n c;d\r\n\nnew é\u2028line"
    lines = reworded(before, after)
    for kinds, text in (({"same", "gone"}, before), ({"same", "new"}, after)):
        assert "\n".join("".join(part for part, _ in line.parts) for line in lines if line.kind in kinds) == text


@pytest.mark.parametrize("word", ["no", "no\n"])
def test_it_takes_no_long_over_the_longest_questions(word: str) -> None:
    assert reworded(word * 6_000, f"yes {word * 6_000}")


def test_it_says_what_changed_in_words() -> None:
    after = replace(
        ASKED,
        prompt="Is the customer angry?\nLook at the last turn.",
        sample_rate=50,
        judge_model="judge-2",
        labels=("good", "ugly", "fair"),
        sentiments={"good": "neutral", "ugly": "positive", "fair": "neutral"},
    )
    assert diff(ASKED, after).text == [
        "Sample rate: 25% → 50%",
        "Judge model: instance default → judge-2",
        "Good is now neutral",
        "Label ugly added",
        "Label fair added",
        "Label bad removed",
        "Prompt: 1 word added, 1 word removed",
    ]
    assert diff(ASKED, replace(ASKED, labels=("bad", "good"))).text == ["Labels in another order"]
    assert diff(ASKED, replace(ASKED, prompt=ASKED.prompt + " ")).text == ["Prompt: other order, spaces or marks"]


@dataclass(frozen=True, slots=True)
class Wider(Definition):
    """A question with fields that it does not have yet."""

    only_where: dict[str, object] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    with_tools: bool = True


def test_it_needs_not_be_told_of_new_fields() -> None:
    before = Wider(type="binary", prompt="a", sample_rate=1, only_where={"status": "error", "tokens": {"min": 5}})
    after = replace(before, only_where={"tokens": {"min": 7}}, kinds=("LLM", "TOOL"), with_tools=False)
    assert diff(before, after).text == [
        "Only where, status: error → none",
        "Only where, tokens, min: 5 → 7",
        "Kinds: none → LLM, TOOL",
        "With tools: yes → no",
    ]
