"""Tables for terminals: aligned, as wide as there is room, and safe to print whatever the text says. Pure."""

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from textwrap import wrap

GAP = "  "
MIN_WIDTH = 8
"""No column is cut to less."""
_NUMBER = re.compile(r"[<$]*[\d,]+(\.\d+)?[%kMG]?")


def table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str | int]],
    width: int | None = None,
    whole: Collection[str] = (),
) -> Iterator[str]:
    """Lines of at most `width` columns, if that can be; None for as wide as they get. Columns of numbers end right.

    Those with a heading in `whole` are never cut.
    """
    cells = [[plain(f"{cell:,}" if isinstance(cell, int) else cell) for cell in row] for row in rows]
    columns = list(zip(headings, *cells, strict=True))
    cut = [heading not in whole for heading in headings]
    widths = _fitted([max(map(_width, column)) for column in columns], cut, width)
    numbers = [all(not cell or _NUMBER.fullmatch(cell) for cell in column[1:]) for column in columns]
    for row in [headings, *cells]:
        parts = [_cell(*each) for each in zip(row, widths, numbers, strict=True)]
        yield GAP.join(parts).rstrip()


def facts(pairs: Sequence[tuple[str, str]], width: int | None = None) -> Iterator[str]:
    """A name and what is said of it, line by line; long ones go on below. Without those of which nothing is said."""
    first = max((len(name) for name, _ in pairs), default=0) + len(GAP)
    for name, said in pairs:
        lines = [part for line in said.splitlines() for part in _wrapped(line, width and max(width - first, 20))]
        for number, line in enumerate(lines):
            yield (("" if number else name).ljust(first) + line).rstrip()


def plain(text: str) -> str:
    """It on one line, without anything that a terminal would obey."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _wrapped(line: str, width: int | None) -> list[str]:
    said = plain(line)
    return (wrap(said, width) if width else [said]) or [""]


def _fitted(widths: Sequence[int], cut: Sequence[bool], most: int | None) -> list[int]:
    """The widest columns give way, of those that may be cut."""
    fitted = list(widths)
    room = sum(widths) if most is None else most - len(GAP) * (len(widths) - 1)
    while sum(fitted) > room:
        widest = max((index for index, may in enumerate(cut) if may), key=fitted.__getitem__, default=None)
        if widest is None or fitted[widest] <= MIN_WIDTH:
            break
        fitted[widest] -= 1
    return fitted


def _cell(text: str, width: int, is_number: bool) -> str:
    if _width(text) > width:
        while _width(text) > width - 1:
            text = text[:-1]
        text += "…"
    room = " " * (width - _width(text))
    return room + text if is_number else text + room


def _width(text: str) -> int:
    """Columns that a terminal gives it: two for wide characters, none for marks above others."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF") for char in text)
