"""Results in a terminal: aligned, no wider than there is room, and harmless."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from catalyst.core.management.drawing import draw
from catalyst.operations import Page


@dataclass(frozen=True)
class Row:
    id: str
    name: str
    cost: Decimal | None = None


@dataclass(frozen=True)
class Call:
    name: str
    arguments: str


@dataclass(frozen=True)
class Message:
    IN_FULL: ClassVar[bool] = True

    text: str
    calls: list[Call]


@dataclass(frozen=True)
class Talk:
    messages: list[Message]
    next: str | None = None


@dataclass(frozen=True)
class Detail:
    name: str
    amount: int | None
    rows: list[Row]


def table(*rows: Row, width: int | None = None) -> list[str]:
    return draw(Page(list(rows), None), width)


def test_it_aligns_text_left_and_numbers_right() -> None:
    assert table(Row("7", "Refund wanted", Decimal("1.2")), Row("1200", "Sad")) == [
        "ID    NAME            COST",
        "7     Refund wanted  $1.20",
        "1200  Sad",
    ]


def test_it_gives_wide_characters_two_columns_and_marks_none() -> None:
    lines = table(Row("日本", "x"), Row("e\u0301a", "y"))
    assert [line.split("  ")[0] for line in lines[1:]] == ["日本", "e\u0301a"]
    assert lines[1:] == ["日本  x", "e\u0301a    y"]


def test_it_cuts_text_to_the_width_of_the_terminal_and_no_id() -> None:
    lines = table(Row("0123456789abcdef", "x" * 90), width=40)
    assert max(len(line) for line in lines) <= 40
    assert lines[1].startswith("0123456789abcdef  xxxx")
    assert "…" in lines[1]
    assert table(Row("0123456789abcdef", "x" * 90), width=20)[1].startswith("0123456789abcdef")


def test_it_shows_names_with_values_and_leaves_out_what_is_empty() -> None:
    assert draw(Detail("a\nb", None, [Row("1", "x")])) == ["Name  a", "      b", "", "ID  NAME  COST", "1   x"]
    assert draw(Page([], None)) == ["None."]


def test_it_shows_long_text_whole_instead_of_in_a_table() -> None:
    talk = Talk([Message("One\ntwo", []), Message("", [Call("refund", "7")])])
    assert draw(talk) == ["Text  One", "      two", "", "Calls  name refund, arguments 7"]
    assert draw(Talk([])) == ["None."]


def test_it_wraps_values_beside_their_name() -> None:
    lines = draw(Detail("one two three four five six", 1200, []), width=20)
    assert lines == ["Name    one two", "        three four", "        five six", "Amount  1,200"]


def test_nothing_reaches_the_terminal_as_a_command_or_as_markup() -> None:
    hostile = "[red]a\x1b[2Jb\r\nc\x9b1md\u202ee :smile:"
    assert table(Row("1", hostile))[1] == "1   [red]a [2Jb c 1md e :smile:"
    assert draw(Detail("a\x1b]0;x\x07b", 1, [])) == ["Name    a ]0;x b", "Amount  1"]
