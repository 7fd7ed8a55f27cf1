"""Looks for quotations in what spans say. Pure."""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from halo.choices import QuoteState
from traces.records import PayloadRecord, SpanRecord

# Of one span. Longer texts are looked through up to here.
MAX_CHARACTERS = 1_000_000
_GAP = re.compile(r"\[?\s?(?:\u2026|\.{3,})\s?\]?")
_WORD = re.compile(r"\w+")
_ESCAPED = re.compile(r'\\(?:[nrt"/\\]|u[0-9a-fA-F]{4})')


class SpanText:
    """What a span says, for searches."""

    def __init__(self, span: SpanRecord, payload: PayloadRecord | None) -> None:
        said: list[Any] = [span.name, span.status_message]
        if payload:
            said += [payload.input, payload.output, payload.input_messages, payload.output_messages]
            said += [payload.attributes, payload.events]
        self._texts: list[str] = []
        room = MAX_CHARACTERS
        for text in _strings(said):
            self._texts.append(_words(text[:room]))
            room -= len(text)
            if room <= 0:
                break
        self.is_whole = room > 0 and payload is not None

    def has(self, quote: str) -> bool:
        """Whether one of its texts has the words of a quotation, in their order. An ellipsis stands for any words."""
        parts = [words for part in _GAP.split(quote) if (words := _words(part).strip())]
        return any(_has_parts(text, parts) for text in self._texts)


def state_of(quote: str, texts: list[SpanText], *, is_all: bool) -> QuoteState:
    """`is_all`: the texts are all that were to be looked through."""
    if not quote:
        return QuoteState.NONE
    if not _words(_GAP.sub(" ", quote)).strip():
        return QuoteState.UNCHECKED
    if any(text.has(quote) for text in texts):
        return QuoteState.FOUND
    is_checked = is_all and texts and all(text.is_whole for text in texts)
    return QuoteState.MISSING if is_checked else QuoteState.UNCHECKED


def _has_parts(text: str, parts: list[str]) -> bool:
    position = 0
    for part in parts:
        # The last word of a part may be cut.
        found = text.find(f" {part}", position)
        if found < 0:
            return False
        position = found + len(part)
    return True


def _words(text: str) -> str:
    """The words in one spelling, without marks, quotes and line breaks."""
    text = unicodedata.normalize("NFKC", _ESCAPED.sub(_unescaped, text)).casefold().replace("_", " ")
    return f" {' '.join(_WORD.findall(text))} "


def _unescaped(match: re.Match[str]) -> str:
    # A text within a text, as in arguments of tools.
    return chr(int(match[0][2:], 16)) if match[0][1] == "u" else " "


def _strings(values: list[Any]) -> Iterator[str]:
    """All texts within values, and each object or list as JSON."""
    pending = values[::-1]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value
            continue
        with suppress(ValueError, RecursionError):
            yield json.dumps(value, ensure_ascii=False)
        pending.extend(reversed([item for item in _inner(value) if isinstance(item, dict | list | str)]))


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
