"""Reads a judge's answer. Pure.

Models write JSON that is nearly right. Whatever can mean only one label is taken, and everything else is refused.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from catalyst.llm import plain
from catalyst.nearly_json import mend

MAX_ANSWER = 20_000
MAX_REASON = 500
MAX_CANDIDATES = 50
# Of objects that are not JSON, each of which is read in several ways.
MAX_MENDED = 5
# Also the full-width stops of Chinese and Japanese, which no space follows.
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^a-z\s])|(?<=[\u3002\uff01\uff1f])")

# What models wrap their thinking in. The answer follows it.
_THINKING = "think|thinking|thought|thoughts|reasoning|reflection|analysis|scratchpad"
_END_OF_THINKING = re.compile(
    rf"</(?:\w+:)?(?:{_THINKING})>|\[/(?:{_THINKING})\]|\u25c1/think\u25b7|<\|end_of_thought\|>"
    r"|<\|channel\|>final(?:(?!<\|message\|>).){0,60}<\|message\|>|assistantfinal(?=\s*\{)",
    re.IGNORECASE,
)
_START_OF_THINKING = re.compile(
    rf"<(?:\w+:)?(?:{_THINKING})(?:\s[^<>]{{0,60}})?>|\[(?:{_THINKING})\]|\u25c1think\u25b7|<\|begin_of_thought\|>"
    r"|<\|channel\|>(?:analysis|commentary)",
    re.IGNORECASE,
)
_PUNCTUATION = " \t\n.,;:!\"'`*\u201c\u201d\u2018\u2019\u3002\u200b\u2060\ufeff"
_JOINING = str.maketrans("_-", "  ")
_BOOLEANS = {True: ("true", "yes"), False: ("false", "no")}

NO_ANSWER = "The judge gave no answer in the agreed form, but: "
UNKNOWN_LABEL = "The judge answered \u201c"
DISAGREEING = "The judge gave several answers that disagree: "
# For the model that is asked again, by the start of the error. None of it comes from the traffic.
HINTS: Mapping[str, str] = {
    NO_ANSWER: "Your last answer could not be read. Write one JSON object with a reason and a label, and nothing else.",
    UNKNOWN_LABEL: "The label of your last answer is none of the allowed ones. Choose one of them, spelt exactly so.",
    DISAGREEING: "Your last answer had several labels. Write one JSON object, with the one label that fits best.",
}


class InvalidAnswer(Exception):
    """The answer is not one of the labels. The message is for people."""


@dataclass(frozen=True, slots=True)
class Answer:
    value: str
    reason: str


def hint(error: str) -> str:
    """Returns what to tell the model after an answer with this error, or "" for an error of another kind."""
    return next((text for start, text in HINTS.items() if error.startswith(start)), "")


def parse(text: str, labels: Sequence[str]) -> Answer:
    """Return the answer in a judge's text: JSON or nearly so, plain, fenced, or within prose.

    Raises InvalidAnswer if there is none, if its label is not allowed, or if answers disagree.
    """
    answers = [(_label(answer["label"], labels), answer) for answer in _objects(_said(text))]
    valid = {value for value, _ in answers if value is not None}
    if len(valid) == 1:
        value = valid.pop()
        answer = next(answer for candidate, answer in answers if candidate == value)
        return Answer(value, _two_sentences(answer.get("reason")))
    if valid:
        raise InvalidAnswer(f"{DISAGREEING}{', '.join(sorted(valid))}.")
    if answers:
        unknown = plain(str(answers[-1][1]["label"]), 80)
        raise InvalidAnswer(f"{UNKNOWN_LABEL}{unknown}\u201d, which is none of: {', '.join(labels)}.")
    raise InvalidAnswer(f"{NO_ANSWER}{plain(text, 120) or 'nothing at all'}")


def _said(text: str) -> str:
    """The text without the model's thinking, and unwrapped if it is JSON within a JSON text."""
    text = text.strip()
    # An answer that begins at once may speak of thinking in its reason.
    if not text.startswith(("{", '"', "`", "'")):
        text = _without_thinking(text)
    text = text[-MAX_ANSWER:]
    if text.startswith('"'):
        with suppress(ValueError, RecursionError):
            text = str(json.loads(text))
    return text


def _without_thinking(text: str) -> str:
    ends = [match.end() for match in _END_OF_THINKING.finditer(text)]
    if ends:
        return text[ends[-1] :]
    start = _START_OF_THINKING.search(text)
    return text[: start.start()] if start else text


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects with a label, of up to MAX_CANDIDATES places where one may begin."""
    position, left_to_mend = text.find("{"), MAX_MENDED
    for _ in range(MAX_CANDIDATES):
        if position < 0:
            return
        found = _read(text, position)
        if found is None and left_to_mend:
            left_to_mend -= 1
            found = _mend(text, position)
        # Within an object without a label there may be one that has it.
        end = position + 1
        if found is not None and "label" in found[0]:
            yield found[0]
            end = found[1]
        position = text.find("{", end)


def _read(text: str, position: int) -> tuple[dict[str, Any], int] | None:
    # Not strict: models put raw line breaks into their reasons.
    decoder = json.JSONDecoder(strict=False, object_pairs_hook=_object)
    try:
        return decoder.raw_decode(text, position)
    except (ValueError, RecursionError):
        return None


def _mend(text: str, position: int) -> tuple[dict[str, Any], int] | None:
    """Read what is nearly an object."""
    mended = mend(text, position)
    found = None if mended.is_cut else _read(mended.text, 0)
    return found and (found[0], mended.end)


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    # Several labels become a list of them, which matches no label.
    pairs = [(key.strip().casefold(), value) for key, value in pairs]
    labels = [value for key, value in pairs if key == "label"]
    return dict(pairs) if len(labels) < 2 else {**dict(pairs), "label": labels}


def _label(value: object, labels: Sequence[str]) -> str | None:
    """The one label that a value means, or None."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    canonical = {_folded(label): label for label in labels}
    found = {canonical[text] for text in _spellings(value) if text in canonical}
    if not found and isinstance(value, str):
        return _bare_label(value, labels)
    return found.pop() if len(found) == 1 else None


def _bare_label(value: str, labels: Sequence[str]) -> str | None:
    # Labels that differ in their punctuation alone can't be told apart without it.
    bare = {_bare(label): label for label in labels}
    return bare.get(_bare(value)) if len(bare) == len(labels) else None


def _bare(text: str) -> str:
    return _folded(text.translate(_JOINING)).strip(_PUNCTUATION)


def _spellings(value: object) -> Iterable[str]:
    if isinstance(value, bool):
        return _BOOLEANS[value]
    if isinstance(value, str):
        return [_folded(value)]
    return [str(value)] if isinstance(value, int) and abs(value) < 10**9 else []


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split()).casefold()


def _two_sentences(reason: object) -> str:
    if not isinstance(reason, str):
        return ""
    text = plain(reason, MAX_REASON)
    sentences = SENTENCE_END.split(text)
    return " ".join(sentence for sentence in sentences[:2] if sentence)
