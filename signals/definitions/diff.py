"""Differences between two versions of a signal, as text for pages. Pure."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import SequenceMatcher
from typing import Any, Literal

from signals.definitions.definition import Definition

# Unchanged lines shown before and after changed ones.
CONTEXT = 2
# Words before times words after. Beyond that a word diff takes too long, and whole lines are marked.
MAX_PAIRS = 4_000_000
# The share of common words from which single words are marked instead of lines.
ALIKE = 0.35
TYPES = {"binary": "binary", "string": "labels"}
NAMES = {
    "type": "Type",
    "connection": "Model connection",
    "judge_model": "Judge model",
    "sample_rate": "Sample rate",
    "descriptions": "Description",
    "filter": "Filters",
    "view": "Judge input",
}
FORMATTERS: dict[str, Callable[[Any], str]] = {
    "type": lambda value: TYPES.get(value, value),
    "connection": lambda value: value or "instance default",
    "judge_model": lambda value: value or "instance default",
    "sample_rate": "{}%".format,
    "filter": lambda value: value.text,
    "view": lambda value: value.text,
}
_TOKENS = re.compile(r"\n|[^\S\n]+|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the prompt as (text, is marked) parts. A line of kind "left out" stands for `count` unchanged lines."""

    kind: Literal["same", "gone", "new", "left out"]
    parts: tuple[tuple[str, bool], ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """A label with its sentiment before and after. The sentiment is empty if the version lacks the label."""

    value: str
    before: str
    after: str

    @property
    def text(self) -> str:
        if not self.before:
            return f"label {self.value} added"
        if not self.after:
            return f"label {self.value} removed"
        return f"{self.value} is now {self.after}" if self.before != self.after else ""


@dataclass(frozen=True, slots=True)
class Change:
    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Diff:
    """Differences between two versions. `lines` and `outcomes` are empty if unchanged."""

    lines: tuple[Line, ...]
    outcomes: tuple[Outcome, ...]
    changes: tuple[Change, ...]

    @property
    def text(self) -> list[str]:
        phrases = [f"{change.name}: {change.before} → {change.after}" for change in self.changes]
        if self.outcomes:
            texts = [outcome.text for outcome in self.outcomes if outcome.text]
            phrases += texts or ["Labels in another order"]
        if self.lines:
            phrases.append(f"Prompt: {_word_counts(self.lines)}")
        return [phrase[0].upper() + phrase[1:] for phrase in phrases]


def diff(before: Definition, after: Definition) -> Diff:
    old, new = _facts(before), _facts(after)
    names = dict.fromkeys([*old, *new])
    changes = [Change(name, old.get(name, "none"), new.get(name, "none")) for name in names]
    return Diff(
        lines=_lines(before.prompt, after.prompt),
        outcomes=_outcomes(before, after),
        changes=tuple(change for change in changes if change.before != change.after),
    )


def _facts(definition: Definition) -> dict[str, str]:
    facts: dict[str, str] = {}
    for field in fields(definition):
        if field.name not in {"prompt", "labels", "sentiments"}:
            name = NAMES.get(field.name, field.name.replace("_", " ").capitalize())
            facts.update(_flat(name, getattr(definition, field.name), FORMATTERS.get(field.name, _to_text)))
    return facts


def _flat(name: str, value: Any, to_text: Callable[[Any], str]) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _flat(f"{name}, {key}", entry, to_text)
    else:
        yield name, to_text(value)


def _to_text(value: Any) -> str:
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None or value == "" else {True: "yes", False: "no"}.get(value, str(value))


def _outcomes(before: Definition, after: Definition) -> tuple[Outcome, ...]:
    if tuple(before.labels) == tuple(after.labels) and before.sentiments == after.sentiments:
        return ()
    values = dict.fromkeys([*after.labels, *before.labels])
    return tuple(Outcome(value, _sentiment(before, value), _sentiment(after, value)) for value in values)


def _sentiment(definition: Definition, value: str) -> str:
    return definition.sentiments[value] if value in definition.labels else ""


def _lines(before: str, after: str) -> tuple[Line, ...]:
    if before == after:
        return ()
    lines: list[Line] = []
    old, new = before.split("\n"), after.split("\n")
    for code, start, end, new_start, new_end in SequenceMatcher(None, old, new).get_opcodes():
        if code == "equal":
            lines += _shortened(old[start:end], at_start=not start, at_end=end == len(old))
        else:
            lines += _replaced(old[start:end], new[new_start:new_end])
    return tuple(lines)


def _shortened(lines: Sequence[str], *, at_start: bool, at_end: bool) -> Iterator[Line]:
    shown_before = 0 if at_start else CONTEXT
    shown_after = 0 if at_end else CONTEXT
    left_out = len(lines) - shown_before - shown_after
    if left_out <= 1:
        shown_before, left_out = len(lines), 0
    yield from (_unmarked("same", line) for line in lines[:shown_before])
    if left_out:
        yield Line("left out", count=left_out)
        yield from (_unmarked("same", line) for line in lines[len(lines) - shown_after :])


def _replaced(old: Sequence[str], new: Sequence[str]) -> list[Line]:
    old_tokens = _TOKENS.findall("\n".join(old))
    new_tokens = _TOKENS.findall("\n".join(new))
    unmarked_lines = [_unmarked("gone", line) for line in old]
    unmarked_lines += [_unmarked("new", line) for line in new]
    if not old or not new or len(old_tokens) * len(new_tokens) > MAX_PAIRS:
        return unmarked_lines
    blocks = SequenceMatcher(str.isspace, old_tokens, new_tokens).get_matching_blocks()
    kept_old = {block.a + step for block in blocks for step in range(block.size)}
    kept_new = {block.b + step for block in blocks for step in range(block.size)}
    common_count = _count_words(old_tokens[index] for index in kept_old)
    if 2 * common_count < ALIKE * _count_words((*old_tokens, *new_tokens)):
        return unmarked_lines
    return [*_marked("gone", old_tokens, kept_old), *_marked("new", new_tokens, kept_new)]


def _count_words(tokens: Iterable[str]) -> int:
    return sum(not token.isspace() for token in tokens)


def _unmarked(kind: Literal["same", "gone", "new"], line: str) -> Line:
    return Line(kind, ((line, False),))


def _marked(kind: Literal["gone", "new"], tokens: Sequence[str], kept: set[int]) -> Iterator[Line]:
    parts: list[tuple[str, bool]] = []
    for index, token in enumerate(tokens):
        if token == "\n":
            yield Line(kind, tuple(parts))
            parts = []
            continue
        # A space between two marked words is marked too.
        is_space_between = token.isspace() and not {index - 1, index + 1} & kept
        marked = index not in kept or is_space_between
        if parts and parts[-1][1] == marked:
            parts[-1] = (parts[-1][0] + token, marked)
        else:
            parts.append((token, marked))
    yield Line(kind, tuple(parts))


def _word_counts(lines: Sequence[Line]) -> str:
    words = {kind: Counter[str]() for kind in ("new", "gone")}
    for line in lines:
        if line.kind in words:
            words[line.kind].update(re.findall(r"\w+", "".join(text for text, _ in line.parts)))
    added = _counted((words["new"] - words["gone"]).total(), "added")
    removed = _counted((words["gone"] - words["new"]).total(), "removed")
    return ", ".join(filter(None, (added, removed))) or "other order, spaces or marks"


def _counted(words: int, verb: str) -> str:
    if not words:
        return ""
    return f"{words} word{'' if words == 1 else 's'} {verb}"
