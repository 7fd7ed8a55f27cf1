"""Differences between two versions of a signal, as text for pages. Pure."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
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
TYPES = {"binary": "yes or no", "string": "one of several labels"}
NAMES = {
    "type": "Answer",
    "judge_model": "Judge model",
    "sample_rate": "Sample rate",
    "filter": "Looks at",
    "view": "The judge sees",
}
WORDS: dict[str, Callable[[Any], str]] = {
    "type": lambda value: TYPES.get(value, value),
    "judge_model": lambda value: value or "the instance's",
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
        said = [f"{change.name}: {change.before} → {change.after}" for change in self.changes]
        if self.outcomes:
            said += [words for outcome in self.outcomes if (words := outcome.text)] or ["Labels in another order"]
        if self.lines:
            said.append(f"Question: {_worded(self.lines)}")
        return [phrase[0].upper() + phrase[1:] for phrase in said]


def diff(before: Definition, after: Definition) -> Diff:
    old, new = _facts(before), _facts(after)
    names = dict.fromkeys([*old, *new])
    changes = [Change(name, old.get(name, "none"), new.get(name, "none")) for name in names]
    return Diff(
        lines=_lines(before.prompt, after.prompt),
        outcomes=_outcomes(before, after),
        changes=tuple(change for change in changes if change.before != change.after),
    )


def _facts(question: Definition) -> dict[str, str]:
    found: dict[str, str] = {}
    for field in fields(question):
        if field.name not in {"prompt", "labels", "sentiments"}:
            name = NAMES.get(field.name, field.name.replace("_", " ").capitalize())
            found.update(_flat(name, getattr(question, field.name), WORDS.get(field.name, _said)))
    return found


def _flat(name: str, value: Any, words: Callable[[Any], str]) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}, {key}", inner, words)
    else:
        yield name, words(value)


def _said(value: Any) -> str:
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None or value == "" else {True: "yes", False: "no"}.get(value, str(value))


def _outcomes(before: Definition, after: Definition) -> tuple[Outcome, ...]:
    if tuple(before.labels) == tuple(after.labels) and before.sentiments == after.sentiments:
        return ()
    return tuple(
        Outcome(
            value,
            before.sentiments[value] if value in before.labels else "",
            after.sentiments[value] if value in after.labels else "",
        )
        for value in dict.fromkeys([*after.labels, *before.labels])
    )


def _lines(before: str, after: str) -> tuple[Line, ...]:
    if before == after:
        return ()
    found: list[Line] = []
    old, new = before.split("\n"), after.split("\n")
    for code, start, end, new_start, new_end in SequenceMatcher(None, old, new).get_opcodes():
        if code == "equal":
            found += _shortened(old[start:end], at_start=not start, at_end=end == len(old))
        else:
            found += _replaced(old[start:end], new[new_start:new_end])
    return tuple(found)


def _shortened(lines: Sequence[str], *, at_start: bool, at_end: bool) -> Iterator[Line]:
    first, last = 0 if at_start else CONTEXT, 0 if at_end else CONTEXT
    left_out = len(lines) - first - last
    if left_out <= 1:
        first, left_out = len(lines), 0
    yield from (_whole("same", line) for line in lines[:first])
    if left_out:
        yield Line("left out", count=left_out)
        yield from (_whole("same", line) for line in lines[len(lines) - last :])


def _replaced(old: Sequence[str], new: Sequence[str]) -> list[Line]:
    gone, came = (_TOKENS.findall("\n".join(lines)) for lines in (old, new))
    whole = [*(_whole("gone", line) for line in old), *(_whole("new", line) for line in new)]
    if not old or not new or len(gone) * len(came) > MAX_PAIRS:
        return whole
    blocks = SequenceMatcher(str.isspace, gone, came).get_matching_blocks()
    alike = sum(not token.isspace() for block in blocks for token in gone[block.a : block.a + block.size])
    if 2 * alike < ALIKE * sum(not token.isspace() for token in (*gone, *came)):
        return whole
    kept_gone = {block.a + step for block in blocks for step in range(block.size)}
    kept_came = {block.b + step for block in blocks for step in range(block.size)}
    return [*_marked("gone", gone, kept_gone), *_marked("new", came, kept_came)]


def _whole(kind: Literal["same", "gone", "new"], line: str) -> Line:
    return Line(kind, ((line, False),))


def _marked(kind: Literal["gone", "new"], tokens: Sequence[str], kept: set[int]) -> Iterator[Line]:
    parts: list[tuple[str, bool]] = []
    for place, token in enumerate(tokens):
        if token == "\n":
            yield Line(kind, tuple(parts))
            parts = []
            continue
        between = token.isspace() and not {place - 1, place + 1} & kept
        marked = place not in kept or between
        if parts and parts[-1][1] == marked:
            parts[-1] = (parts[-1][0] + token, marked)
        else:
            parts.append((token, marked))
    yield Line(kind, tuple(parts))


def _worded(lines: Sequence[Line]) -> str:
    words = {kind: Counter[str]() for kind in ("new", "gone")}
    for line in lines:
        if line.kind in words:
            words[line.kind].update(re.findall(r"\w+", "".join(text for text, _ in line.parts)))
    added, removed = (words["new"] - words["gone"]).total(), (words["gone"] - words["new"]).total()
    said = [f"{n} word{'' if n == 1 else 's'} {verb}" for n, verb in ((added, "added"), (removed, "removed")) if n]
    return ", ".join(said) or "other order, spaces or marks"
