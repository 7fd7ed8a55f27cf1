"""Reads JSON that senders cut off, encode twice, or write with NaN. Pure."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import orjson

MAX_ENCODINGS = 3
MAX_OPEN = 200
_ENDS = {"[": "]", "{": "}"}
# Texts and brackets. A text that is not closed goes to the end.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+(?:(?P<closed>")|\\?\Z)|[\[\]{}]', re.DOTALL)
# The note of `traces.ingest.limits`, after a complete value.
_OUR_CUT = re.compile(r"(?<=[\]}])\u2026 \[cut, [\d,]+ characters\]\Z")
_CUT_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")


def read_json(text: str) -> Any:
    """The value of a JSON text, as far as it can be read. Raises ValueError if it is no JSON at all.

    A text that is encoded more than once is decoded. Of one that was cut off, what is complete is kept, and the text in
    which it was cut.
    """
    value: Any = text
    for _ in range(MAX_ENCODINGS):
        value = _read_once(value)
        if not (isinstance(value, str) and value.lstrip()[:1] in ("[", "{", '"')):
            return value
    return value


def _read_once(text: str) -> Any:
    with suppress(ValueError):
        return orjson.loads(text)
    for whole in _readings(text):
        with suppress(ValueError, RecursionError):
            # Knows NaN and Infinity, and raw line breaks.
            return json.loads(whole, strict=False)
    raise ValueError("This is no JSON that can be read.")


def _readings(text: str) -> Iterator[str]:
    yield text
    if text.lstrip()[:1] in ("[", "{"):
        yield from _completed(_OUR_CUT.sub("", text))


def _completed(text: str) -> Iterator[str]:
    """The text with what is open closed: as it is, and without what follows the last complete list or object."""
    place = _Place()
    for token in _TOKEN.finditer(text):
        if not place.pass_by(token):
            return
    ends = "".join(reversed(place.ends))
    yield f'{_CUT_ESCAPE.sub("", text)}"{ends}' if place.is_in_text else f"{text.rstrip(' ,:')}{ends}"
    yield text[: place.last_end] + place.last_ends


class _Place:
    """Where a reader of JSON is: the ends that are due, and those that were due after the last list or object."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.is_in_text = False
        self.last_end, self.last_ends = 0, ""

    def pass_by(self, token: re.Match[str]) -> bool:
        """Returns False if this can't be JSON."""
        text = token[0]
        self.is_in_text = text[0] == '"' and not token["closed"]
        if text in _ENDS:
            self.ends.append(_ENDS[text])
        elif text in _ENDS.values():
            if not self.ends or self.ends.pop() != text:
                return False
            self.last_end, self.last_ends = token.end(), "".join(reversed(self.ends))
        return len(self.ends) <= MAX_OPEN
