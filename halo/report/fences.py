"""Fenced code of Markdown. Pure."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_FENCE = re.compile(r"^[ \t]{0,3}(?P<fence>`{3,}+|~{3,}+)(?P<info>[^\n]*)$", re.MULTILINE)


class Fence(NamedTuple):
    """From `start` to `end`, the code from `inner_start` to `inner_end`. One that is not closed goes to the end."""

    start: int
    inner_start: int
    inner_end: int
    end: int


def fences(text: str) -> Iterator[Fence]:
    opening: re.Match[str] | None = None
    for line in _FENCE.finditer(text):
        if opening is None:
            opening = line
        elif line["fence"].startswith(opening["fence"]) and not line["info"].strip():
            yield Fence(opening.start(), opening.end(), line.start(), line.end())
            opening = None
    if opening:
        yield Fence(opening.start(), opening.end(), len(text), len(text))
