"""Reads JSON that senders cut off, encode twice, write with NaN, or in Python's notation. Pure."""

import ast
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import orjson

MAX_ENCODINGS = 3
MAX_OPEN = 200
MAX_PYTHON_CHARACTERS = 100_000
MAX_MARK_CHARACTERS = 60
_ENDS = {"[": "]", "{": "}"}
# Texts and brackets. A text that is not closed goes to the end.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+(?:(?P<closed>")|\\?\Z)|[\[\]{}]', re.DOTALL)
# What senders put at the end of a text that they cut: dots, or a note in brackets, or both.
_MARK = re.compile(r"\s*(?:\.{3}|\u2026)?\s*(?:[\[(<][^\[\](){}<>\"]{3,50}[\])>])?\Z")
# An escaped backslash is whole.
_CUT_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*+)\\(?:u[0-9a-fA-F]{0,3})?(?=(?:\.{3}|\u2026|[\[(<])[^\\\"]{0,50}\Z|\Z)")
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")


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
    text = text.removeprefix("\ufeff")
    with suppress(ValueError):
        return orjson.loads(text)
    for whole in _readings(text):
        with suppress(ValueError, RecursionError):
            # Knows NaN and Infinity, and raw line breaks.
            return json.loads(whole, strict=False)
    return _python(text)


def _readings(text: str) -> Iterator[str]:
    yield text
    # Without a name or a text it is no cut JSON, but a list that a person wrote.
    if text.lstrip()[:1] not in ("[", "{") or '"' not in text:
        return
    end = max(0, len(text) - MAX_MARK_CHARACTERS)
    variants = dict.fromkeys((text, _TRAILING_COMMA.sub(r"\1", text), text[:end] + _MARK.sub("", text[end:])))
    completed = [_completed(variant) for variant in variants]
    for rank in range(2):
        yield from (readings[rank] for readings in completed if readings)


def _python(text: str) -> Any:
    """The list or object in Python's notation. Raises ValueError."""
    if len(text) > MAX_PYTHON_CHARACTERS or text.lstrip()[:1] not in ("[", "{"):
        raise ValueError("This is not in Python's notation.")
    try:
        return json.loads(json.dumps(ast.literal_eval(text.strip()), default=str))
    except (SyntaxError, MemoryError, RecursionError, TypeError) as error:
        raise ValueError("This is not in Python's notation.") from error


def _completed(text: str) -> tuple[str, str] | None:
    """The text with what is open closed: as it is, and without what follows the last complete list or object."""
    place = _Place()
    for token in _TOKEN.finditer(text):
        if not place.pass_by(token):
            return None
    ends = "".join(reversed(place.ends))
    whole = f'{_CUT_ESCAPE.sub(r"\1", text)}"{ends}' if place.is_in_text else f"{text.rstrip(' ,:')}{ends}"
    return whole, text[: place.last_end] + place.last_ends


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
