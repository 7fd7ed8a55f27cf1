"""Tools that fail, take too long, or answer nothing."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched, chain
from typing import NamedTuple, override
from uuid import UUID

import orjson

from catalyst import formats
from halo.analyst.advice import advice
from halo.analyst.citing import Place, cite
from halo.analyst.failures import TOOL_KINDS, place_of
from halo.analyst.material import Candidate, Rule, Step, Texts, TraceRun, Window
from halo.analyst.severities import RECOVERED_WEIGHT, severity_of
from halo.analyst.wording import counted, share_of_runs, short
from halo.choices import Category
from traces.records import PayloadRecord

FAILING, EMPTY = "failing_tool", "empty_tool"
MIN_RUNS = 3
# Of the calls of a tool. A few failures of a tool that is called often are recurring failures, and nothing more.
MIN_FAILED_SHARE = 0.1
# The failures that it is made of say more, so they name the finding if they are most of it.
FAILING_WEIGHT = 0.9
# Answers that say "nothing" are short.
MAX_SIZE = 120
# More short answers of a tool than these are first sampled, so many of each length.
MAX_READ_AT_ONCE, SAMPLE = 1_000, 20
MAX_READ, MAX_KEPT = 5_000, 50_000
# Texts that are held at once.
BATCH = 500

_TIMEOUT = re.compile(r"time[ds]?[ _-]?out|deadline", re.IGNORECASE)
_NOTHING = re.compile(
    r"""
    [\s"'`.\[\](){}:;,-]*(?:none|null|nil|undefined|n/?a|nan|empty|nothing|nada|nichts|rien)?[\s"'`.\[\](){}:;,-]*$
    | .*\b(?:
        (?:was |were |is |are )?not\ found | could(?:\ not|n't)\ (?:be\ )?f(?:ind|ound) | nothing\ (?:was\ )?found
        | (?:no|0|zero)\ (?:\w+\ ){0,2}(?:results?|match(?:es)?|records?|rows?|entr(?:y|ies)|items?|documents?|data)\b
        | no\ (?:\w+\ ){1,3}(?:found|available|match(?:es|ed)?) | no\ matching\ \w+
        | (?:keine?|0)\ (?:\w+\ )?(?:ergebnisse?|treffer|daten|einträge)|nichts\ gefunden|nicht\ gefunden
        | (?:sin|ning[uú]n|0)\ (?:resultados?|datos)|no\ se\ encontr|no\ encontrad[oa]
        | (?:aucun|pas\ de|0)\ (?:résultats?|données)|introuvable|non\ trouvée?|rien\ trouvé
    )
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


class _Answer(NamedTuple):
    """A short answer. Less than its step, as very many are kept."""

    run: TraceRun
    span_id: int
    output_size: int
    duration_us: int


@dataclass(slots=True)
class _Calls:
    """Calls of one tool. `failed`, `short`: of each run the first failed one, and all with a short answer."""

    count: int = 0
    failed_count: int = 0
    timeout_count: int = 0
    with_answer: int = 0
    short_count: int = 0
    failed: dict[UUID, tuple[TraceRun, Step]] = field(default_factory=dict)
    short: list[_Answer] = field(default_factory=list)
    message: str = ""

    def add(self, run: TraceRun, step: Step) -> None:
        self.count += 1
        if step.status == "error":
            self.failed_count += 1
            self.timeout_count += bool(_TIMEOUT.search(step.status_message))
            self.message = step.status_message or self.message
            self.failed.setdefault(run.trace_id, (run, step))
        elif step.duration_us is not None:
            self._add_answer(run, step)

    def _add_answer(self, run: TraceRun, step: Step) -> None:
        self.with_answer += step.output_size > 0
        if step.output_size <= MAX_SIZE:
            self.short_count += 1
            if len(self.short) < MAX_KEPT:
                self.short.append(_Answer(run, step.span_id, step.output_size, step.duration_us or 0))


class Tools(Rule):
    """Counts calls by tool."""

    def __init__(self) -> None:
        self._tools: dict[str, _Calls] = defaultdict(_Calls)
        self._prior_failed: dict[str, int] = defaultdict(int)

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        for step in steps:
            if step.kind in TOOL_KINDS:
                self._tools[place_of(step)].add(run, step)

    def add_prior(self, run: TraceRun, steps: Sequence[Step]) -> None:
        if run.error_count:
            for tool in {place_of(step) for step in steps if step.kind in TOOL_KINDS and step.status == "error"}:
                self._prior_failed[tool] += 1

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        return [candidate for tool, calls in self._tools.items() for candidate in self._of(tool, calls, window, texts)]

    def _of(self, tool: str, calls: _Calls, window: Window, texts: Texts) -> Iterator[Candidate]:
        if len(calls.failed) >= MIN_RUNS and calls.failed_count >= MIN_FAILED_SHARE * calls.count:
            yield _failing(tool, calls, self._prior_failed[tool], window)
        empty = [] if not calls.with_answer else _empty(calls, texts)
        if len({answer.run.trace_id for answer in empty}) >= MIN_RUNS:
            yield _answering_nothing(tool, calls, empty, window)


def _failing(tool: str, calls: _Calls, prior: int, window: Window) -> Candidate:
    fatal = sum(run.failed for run, _ in calls.failed.values())
    harm = FAILING_WEIGHT * (fatal + RECOVERED_WEIGHT * (len(calls.failed) - fatal)) / window.total
    does = "times out" if calls.timeout_count > calls.failed_count / 2 else "fails"
    share = formats.percent(calls.failed_count, calls.count)
    return Candidate(
        kind=FAILING,
        title=f"{short(tool)} {does} in {share} of its calls, in {share_of_runs(len(calls.failed), window.total)}",
        category=Category.TOOL_USE,
        severity=severity_of(failed=harm),
        signature=f"{FAILING}|{tool}",
        happens=f"{calls.failed_count:,} of {counted(calls.count, 'call')} fail. Of the runs in which it fails, "
        f"{fatal or 'none'} fail as a whole.",
        fix=advice(calls.message),
        traces=frozenset(calls.failed),
        harm=harm,
        prior_count=prior,
        cause=tool,
        duration_us=sum(step.duration_us or 0 for _, step in calls.failed.values()) or None,
        citations=cite([Place(run, step.span_id, step.duration_us or 0) for run, step in calls.failed.values()]),
    )


def _answering_nothing(tool: str, calls: _Calls, empty: Sequence[_Answer], window: Window) -> Candidate:
    runs = {answer.run.trace_id: answer.run for answer in empty}
    fatal = sum(run.failed for run in runs.values())
    harm = (fatal + RECOVERED_WEIGHT * (len(runs) - fatal)) / window.total
    is_sampled = calls.short_count > MAX_READ_AT_ONCE
    more = " Not all short answers were read, so there may be more." if is_sampled else ""
    return Candidate(
        kind=EMPTY,
        title=f"{short(tool)} answers nothing in {share_of_runs(len(runs), window.total)}",
        category=Category.TOOL_USE,
        severity=severity_of(failed=harm),
        signature=f"{EMPTY}|{tool}",
        happens=f"{len(empty):,} of {counted(calls.count, 'call')} end well, but their answer is empty, or says that "
        f"nothing was found.{more}",
        fix="Look at the arguments in the cited spans: often they are too narrow, or in another form than the tool "
        "expects. Let the tool say why it found nothing and what to try instead.",
        traces=frozenset(runs),
        harm=harm,
        cause=tool,
        duration_us=sum(answer.duration_us for answer in empty) or None,
        citations=cite([Place(answer.run, answer.span_id, answer.duration_us) for answer in empty]),
    )


def _empty(calls: _Calls, texts: Texts) -> list[_Answer]:
    """Short answers that say nothing. Of too many, all of the lengths of which some do."""
    if len(calls.short) <= MAX_READ_AT_ONCE:
        return _saying_nothing(calls.short, texts)
    by_size: dict[int, list[_Answer]] = defaultdict(list)
    for answer in calls.short:
        by_size[answer.output_size].append(answer)
    samples = [answers[:: -(-len(answers) // SAMPLE)] for answers in by_size.values()]
    found = {answer.output_size for answer in _saying_nothing(list(chain.from_iterable(samples)), texts)}
    wanted = [answer for size in sorted(found) for answer in by_size[size]]
    return _saying_nothing(wanted[:MAX_READ], texts)


def _saying_nothing(answers: Sequence[_Answer], texts: Texts) -> list[_Answer]:
    found: list[_Answer] = []
    for some in batched(answers, BATCH, strict=False):
        wanted: dict[UUID, list[int]] = defaultdict(list)
        for answer in some:
            if answer.output_size:
                wanted[answer.run.trace_id].append(answer.span_id)
        payloads = texts.of(wanted)
        found += [answer for answer in some if _is_nothing(answer, payloads)]
    return found


def _is_nothing(answer: _Answer, payloads: Mapping[UUID, Mapping[int, PayloadRecord]]) -> bool:
    return not answer.output_size or says_nothing(payloads.get(answer.run.trace_id, {}).get(answer.span_id))


def says_nothing(payload: PayloadRecord | None) -> bool:
    """Whether a tool answered with nothing, or said that it found nothing."""
    if payload is None or payload.output is None:
        return False
    return bool(_NOTHING.match(payload.output)) or _is_hollow(payload.output)


def _is_hollow(text: str) -> bool:
    """Whether a JSON object has only empty values, such as `{"results": [], "count": 0}`."""
    if not text.lstrip().startswith("{"):
        return False
    try:
        return not any(orjson.loads(text).values())
    except orjson.JSONDecodeError:
        return False
