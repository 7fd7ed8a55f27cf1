"""Tables in a terminal: aligned, no wider than there is room, and harmless."""

from catalyst.terminal import facts, table


def test_it_aligns_text_left_and_numbers_right() -> None:
    rows = [(7, "Refund wanted", "$1.20"), (1200, "Sad", "")]
    assert list(table(("ID", "NAME", "COST"), rows)) == [
        "   ID  NAME            COST",
        "    7  Refund wanted  $1.20",
        "1,200  Sad",
    ]


def test_it_gives_wide_characters_two_columns_and_marks_none() -> None:
    assert list(table(("A", "B"), [("日本", "x"), ("e\u0301a", "y")])) == ["A     B", "日本  x", "e\u0301a    y"]


def test_it_cuts_the_widest_column_to_the_width_of_the_terminal() -> None:
    lines = list(table(("ID", "REASON", "LABEL"), [(1, "x" * 90, "abandoned")], width=40))
    assert [len(line) for line in lines] == [40 - len("abandoned") + len("LABEL"), 40]
    assert lines[1] == f" 1  {'x' * 24}…  abandoned"


def test_it_stays_readable_where_there_is_hardly_any_room() -> None:
    assert list(table(("A", "B"), [("x" * 20, "y" * 20)], width=5))[1] == "xxxxxxx…  yyyyyyy…"


def test_it_never_cuts_what_must_stay_whole() -> None:
    rows = [("0123456789abcdef", "x" * 90)]
    assert list(table(("ID", "REASON"), rows, width=30, whole=("ID",)))[1] == f"0123456789abcdef  {'x' * 11}…"
    assert list(table(("ID", "REASON"), rows, width=5, whole=("ID",)))[1] == "0123456789abcdef  xxxxxxx…"
    assert list(table(("ID",), [("0123456789abcdef",)], width=5, whole=("ID",)))[1] == "0123456789abcdef"


def test_nothing_in_it_reaches_the_terminal_as_a_command() -> None:
    (_, line) = table(("NAME",), [("a\x1b[2Jb\r\nc\x9b1md\u202ee",)])
    assert line == "a [2Jb c 1md e"
    assert list(facts([("Name", "a\x1b]0;x\x07b")])) == ["Name  a ]0;x b"]


def test_it_wraps_what_is_said_beside_its_name() -> None:
    pairs = [("Name", "one two three four five six"), ("None", ""), ("Last", "a\n\nb")]
    assert [line.rstrip() for line in facts(pairs, width=30)] == [
        "Name  one two three four five",
        "      six",
        "Last  a",
        "",
        "      b",
    ]
