"""Which issue a finding of a new report belongs to. Pure.

A wrong match hides one fault behind another. So a finding in doubt becomes a new issue, which people can merge.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

# Of the traces that either has in the time that both reports read.
MIN_OVERLAP = 0.6
MIN_COMMON = 3
# What more than this share of all traces have in common tells no faults apart.
MAX_SHARE = 0.5
MIN_WORDS = 0.75
COMMON_WORDS = frozenset(
    "a an and are as at by for from in is it its no not of on or runs that the this to with".split()  # noqa: SIM905
)
WORD = re.compile(r"[^\W\d][\w.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finding of the new report. `aliases`: other signatures of its cause. `traces`: touched, or else cited.

    `pointer`: the issue that a model names.
    """

    title: str
    category: str
    kind: str = ""
    signature: str = ""
    aliases: Sequence[str] = ()
    traces: frozenset[UUID] = frozenset()
    pointer: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An issue, as its newest finding says it. `signatures`: of all its findings. `window`: of the newest one."""

    id: int
    title: str
    category: str
    window: tuple[datetime, datetime]
    kind: str = ""
    signatures: Collection[str] = ()
    traces: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was read: its window, how many traces, and when the traces of findings, new and earlier, began."""

    window: tuple[datetime, datetime]
    total: int
    times: Mapping[UUID, datetime]


def match(found: Sequence[Found], known: Sequence[Known], report: Report) -> list[int | None]:
    """The id of the issue of each finding; None if it is a new one. `known`: the last seen first."""
    return _Matching(found, known, report).issues()


class _Matching:
    """Surer reasons go first. An issue that a surer reason found is not guessed again."""

    def __init__(self, found: Sequence[Found], known: Sequence[Known], report: Report) -> None:
        self._found, self._known, self._report = found, known, report
        self._issues: dict[int, int] = {}

    def issues(self) -> list[int | None]:
        for number, each in enumerate(self._found):
            if issue := self._told(each):
                self._issues[number] = issue.id
        self._guess(self._same_cause)
        self._guess(self._same_traces)
        self._guess(self._same_words)
        return [self._issues.get(number) for number in range(len(self._found))]

    def _told(self, found: Found) -> Known | None:
        """By signature, else by the pointer of the model. Of several with one signature: the most alike."""
        same = [each for each in self._known if found.signature and _has(each, found.signature)]
        if same:
            return max(same, key=lambda each: (self._overlap(found, each), likeness(found.title, each.title)))
        return next((each for each in self._known if each.id == found.pointer), None)

    def _same_cause(self, found: Found, known: Known) -> float:
        return float(any(_has(known, name) for name in found.aliases))

    def _guess(self, score: Callable[[Found, Known], float]) -> None:
        """Match the most alike first, and each issue once."""
        for _, number, issue in sorted(self._scored(score), key=lambda each: -each[0]):
            if number not in self._issues and issue not in self._issues.values():
                self._issues[number] = issue

    def _scored(self, score: Callable[[Found, Known], float]) -> Iterator[tuple[float, int, int]]:
        for number, found in enumerate(self._found):
            for known in self._known if number not in self._issues else ():
                if value := score(found, known):
                    yield value, number, known.id

    def _same_traces(self, found: Found, known: Known) -> float:
        """The overlap, and as the last tie-break the words. 0 if it is too little."""
        overlap = self._overlap(found, known)
        return overlap + likeness(found.title, known.title) / 1_000 if overlap >= MIN_OVERLAP else 0

    def _overlap(self, found: Found, known: Known) -> float:
        """The Jaccard index of the traces, of the time that both reports read."""
        if len(found.traces) > MAX_SHARE * self._report.total:
            return 0
        mine, theirs = self._common(found.traces, known), self._common(known.traces, known)
        common = len(mine & theirs)
        return common / len(mine | theirs) if common >= MIN_COMMON else 0

    def _common(self, traces: frozenset[UUID], known: Known) -> set[UUID]:
        start = max(self._report.window[0], known.window[0])
        end = min(self._report.window[1], known.window[1])
        times = self._report.times
        return {each for each in traces if each in times and start <= times[each] < end}

    def _same_words(self, found: Found, known: Known) -> float:
        # Rules name the same cause by the same signature: another one is another cause, however alike it reads.
        if found.category != known.category or (found.kind and known.kind):
            return 0
        value = likeness(found.title, known.title)
        return value if value >= MIN_WORDS else 0


def _has(known: Known, signature: str) -> bool:
    return normalized(signature) in map(normalized, known.signatures)


def normalized(signature: str) -> str:
    return " ".join(signature.casefold().split())


def likeness(one: str, other: str) -> float:
    """The share of words that two titles have in common, from 0 to 1. Titles that name different things have none."""
    first, second = _words(one), _words(other)
    if _names(first) != _names(second):
        return 0
    return len(first & second) / len(first | second) if first | second else 0


def _words(title: str) -> set[str]:
    words = (word.rstrip(".-").casefold() for word in WORD.findall(title))
    return {word for word in words if word not in COMMON_WORDS}


def _names(words: Collection[str]) -> set[str]:
    """What looks like the name of a tool, a model or an error."""
    return {word for word in words if not word.isalpha()}
