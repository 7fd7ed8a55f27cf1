"""A new signal as an address describes it, for links that open the editor with a draft. Nothing is saved."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from signals.definitions.choices import Scope, Sentiment, Type
from signals.definitions.definition import (
    LABEL_COUNTS,
    MAX_LABEL_CHARACTERS,
    MAX_NAME_CHARACTERS,
    MAX_PROMPT_CHARACTERS,
)
from signals.forms.widgets import LabelRow

CHOICES: Mapping[str, list[str]] = {"scope": Scope.values, "type": Type.values, "bad": ["yes", "no"]}
LENGTHS = {"name": MAX_NAME_CHARACTERS, "prompt": MAX_PROMPT_CHARACTERS}
# A field, what it begins with, and what is wrong with that.
type Read = tuple[str, Any, str]

NAMES = (*CHOICES, *LENGTHS, "label", "negative")


@dataclass(frozen=True, slots=True)
class Draft:
    """`initial`: of the form. `problems`: what the form can't take, in sentences for people."""

    initial: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def draft_in(query: QueryDict) -> Draft:
    """Read `name`, `scope`, `type`, `bad`, `prompt`, and each `label`. `negative`: labels that are bad news."""
    draft = Draft()
    for name, value, problem in (*_choices(query), *_texts(query), *_labels(query)):
        if problem:
            draft.problems.append(problem)
        else:
            draft.initial[name] = value
    return draft


def _choices(query: QueryDict) -> Iterator[Read]:
    for name, choices in CHOICES.items():
        if value := query.get(name):
            yield name, value, "" if value in choices else f"The {name} is one of {', '.join(choices)}."


def _texts(query: QueryDict) -> Iterator[Read]:
    for name, limit in LENGTHS.items():
        if value := _clean(query.get(name, "")):
            yield name, value, "" if len(value) <= limit else f"The {name} has at most {limit:,} characters."


def _labels(query: QueryDict) -> Iterator[Read]:
    labels = [label for each in query.getlist("label") if (label := _clean(each))]
    negative = set(map(_clean, query.getlist("negative")))
    rows = [LabelRow(label, Sentiment.NEGATIVE if label in negative else "") for label in labels]
    if rows:
        yield "labels", rows, _wrong_labels(labels)


def _wrong_labels(labels: list[str]) -> str:
    if len(labels) not in LABEL_COUNTS:
        return f"There are {LABEL_COUNTS[0]} to {LABEL_COUNTS[-1]} labels."
    is_long = any(len(label) > MAX_LABEL_CHARACTERS for label in labels)
    return f"A label has at most {MAX_LABEL_CHARACTERS} characters." if is_long else ""


def _clean(text: str) -> str:
    return text.replace("\0", "").strip()
