"""Mends JSON as models write it, which is nearly right. Pure.

Comments, trailing and missing commas, names without quotes, single and typographic quotes, quotes within texts, escapes
that JSON lacks, Python's constants, and texts that were cut off. Takes time in proportion to the length.
"""

import json
import re
from typing import NamedTuple

MAX_DEPTH = 100
_CONSTANTS = {"True": "true", "False": "false", "None": "null", "undefined": "null"}
_CONSTANTS |= {name: name for name in ("true", "false", "null", "NaN", "Infinity", "-Infinity")}
_ENDS = {"{": "}", "[": "]"}
# What follows the quote that ends a text. Another quote is part of the text.
_AFTER_TEXT = r"(?=\s{0,40}(?:[,:}\]]|//|/\*|\Z)|[ \t]{0,40}\r?\n)"
_DOUBLE, _SINGLE = (rf"(?:[^{quote}\\]|\\.|{quote}(?!{_AFTER_TEXT}))*+" for quote in "\"'")
_TOKEN = re.compile(
    rf"(?P<space>\s++|//[^\n]*+|\#[^\n]*+|/\*(?:(?!\*/).)*+(?:\*/)?)"
    rf'|"(?P<double>{_DOUBLE})"'
    rf"|'(?P<single>{_SINGLE})'"
    r"|[\u201c\u201d\u201e](?P<curly>(?:[^\u201c\u201d\\]|\\.)*+)[\u201c\u201d]"
    r"|(?P<mark>[{}\[\],:])"
    r"|(?P<open>[\"'\u201c\u201d\u201e].*)"
    r"|(?P<bare>[^\s,:{}\[\]\"]++(?:[ \t]++(?!//|/\*|\#)[^\s,:{}\[\]\"]++)*+)",
    re.DOTALL,
)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_ESCAPE = re.compile(r'\\(?P<right>["\\/bfnrt]|u[0-9a-fA-F]{4})|\\(?P<wrong>.?)|(?P<quote>")', re.DOTALL)


class Mended(NamedTuple):
    """`text`: JSON, which may have raw line breaks in its texts. `end`: where it ends in the original."""

    text: str
    end: int
    is_cut: bool


def mend(text: str, position: int = 0) -> Mended:
    """Mend the object or list that begins at a position. What it returns may be no JSON, if it is too far from it.

    Of one that was cut off, everything is kept up to the last object or list that is complete.
    """
    mender = _Mender()
    while (token := _TOKEN.match(text, position)) and not mender.is_done:
        position = token.end()
        mender.take(token)
    return mender.mended(position)


class _Mender:
    def __init__(self) -> None:
        self._parts: list[str] = []
        self._open: list[str] = []
        # A comma that is due before the next value, and whether one is missing.
        self._comma = self._after_value = False
        self._whole, self._whole_open = 0, ""
        self._is_cut = False

    @property
    def is_done(self) -> bool:
        return self._is_cut or (bool(self._parts) and not self._open)

    def mended(self, end: int) -> Mended:
        if not self._open:
            return Mended("".join(self._parts), end, is_cut=False)
        return Mended("".join(self._parts[: self._whole]) + self._whole_open, end, is_cut=True)

    def take(self, token: re.Match[str]) -> None:
        kind, text = str(token.lastgroup), token[str(token.lastgroup)]
        if kind == "mark":
            self._take_mark(text)
        elif kind == "open":
            self._is_cut = True
        elif kind == "bare":
            self._add(_literal(text))
        elif kind != "space":
            self._add(_quoted(text))

    def _take_mark(self, mark: str) -> None:
        if mark in _ENDS:
            self._add(mark)
            self._after_value = False
            self._open.append(_ENDS[mark])
            self._is_cut = self._is_cut or len(self._open) > MAX_DEPTH
        elif mark in self._open:
            self._close(mark)
        elif mark == ",":
            self._comma, self._after_value = self._after_value, False
        elif mark == ":":
            self._parts.append(mark)
            self._comma = self._after_value = False

    def _add(self, value: str) -> None:
        if self._comma or self._after_value:
            self._parts.append(",")
        self._parts.append(value)
        self._comma, self._after_value = False, True

    def _close(self, mark: str) -> None:
        """End the innermost object or list that this ends, and all within it."""
        self._comma = False
        while self._open:
            end = self._open.pop()
            self._parts.append(end)
            if end == mark:
                break
        self._after_value = True
        self._whole, self._whole_open = len(self._parts), "".join(reversed(self._open))


def _literal(text: str) -> str:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    return text if _NUMBER.fullmatch(text) else json.dumps(text.strip("'"))


def _quoted(text: str) -> str:
    return f'"{_ESCAPE.sub(_escaped, text)}"'


def _escaped(match: re.Match[str]) -> str:
    if match["right"]:
        return match[0]
    if match["quote"]:
        return r"\""
    return "'" if match["wrong"] == "'" else f"\\\\{match['wrong']}"
