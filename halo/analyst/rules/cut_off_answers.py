"""Answers of models that were cut off or refused, as the provider says, or are no JSON although it was asked for."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, override

import orjson

from catalyst import formats
from halo.analyst.citing import Place
from halo.analyst.material import Candidate, Rule, Step, Texts, TraceRun, Window
from halo.analyst.severities import RECOVERED_WEIGHT, severity_of
from halo.analyst.texts import Thinned, answer_text, asks_for_json, finish_reasons, read
from halo.analyst.touched import Touched
from halo.analyst.wording import counted, share_of_runs, short
from halo.choices import Category
from traces.records import PayloadRecord

MIN_RUNS = 3
# Calls whose texts are read: any, evenly spread, and those at the greatest number of output tokens of their step.
MAX_READ = 2_000
MAX_READ_AT_CEILING = 1_000
CUT_OFF = frozenset(("length", "max_tokens", "max_output_tokens", "model_length", "token_limit"))
REFUSED = frozenset(
    (
        *("content_filter", "content-filter", "content_filtered", "refusal", "safety", "guardrail_intervened"),
        *("recitation", "blocklist", "prohibited_content", "spii"),
    )
)

# Name of the step, and model.
type Where = tuple[str, str]


@dataclass(slots=True)
class _Ceiling:
    """The calls with the most output tokens of their step: where a limit cuts answers off, several have exactly "
    "it."""

    tokens: int = 0
    calls: Thinned[Place] = field(default_factory=lambda: Thinned(MAX_READ_AT_CEILING))

    def add(self, run: TraceRun, step: Step) -> None:
        tokens = step.output_tokens or 0
        if tokens > self.tokens:
            self.tokens, self.calls = tokens, Thinned(MAX_READ_AT_CEILING)
        if tokens == self.tokens:
            self.calls.add(Place(run, step.span_id))


class _Kind(NamedTuple):
    """One way to end badly. `ended`: what the answers are."""

    ended: str
    category: Category
    happens: str
    fix: str


class _Ended(NamedTuple):
    """An answer that ended badly. `reason`: the provider's word, if it has one."""

    where: Where
    kind: str
    reason: str


class CutOffAnswers(Rule):
    """Reads the finish reasons of calls at their greatest length, and of others up to a limit."""

    def __init__(self) -> None:
        self._ceilings: dict[Where, _Ceiling] = defaultdict(_Ceiling)
        self._any: Thinned[tuple[Where, Place]] = Thinned(MAX_READ)
        self._count = 0

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        for step in steps:
            if step.kind == "LLM" and step.duration_us is not None:
                where = (step.name, step.model)
                self._ceilings[where].add(run, step)
                self._any.add((where, Place(run, step.span_id)))
                self._count += 1

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        touched: dict[tuple[Where, str], Touched] = defaultdict(Touched)
        reasons: dict[tuple[Where, str], Counter[str]] = defaultdict(Counter)
        for place, ended in self._ended(texts):
            touched[ended.where, ended.kind].add(place.run, place.span_id)
            reasons[ended.where, ended.kind][ended.reason] += 1
        return [
            self._candidate(where, kind, runs, reasons[where, kind], window)
            for (where, kind), runs in touched.items()
            if len(runs) >= MIN_RUNS
        ]

    def _ended(self, texts: Texts) -> Iterator[tuple[Place, _Ended]]:
        at_ceilings = [
            (where, place)
            for where, ceiling in self._ceilings.items()
            if len(ceiling.calls.items) >= MIN_RUNS
            for place in ceiling.calls.items
        ]
        calls = {
            (place.run.trace_id, place.span_id): (where, place) for where, place in (*self._any.items, *at_ceilings)
        }
        for place, payload in read(texts, [place for _, place in calls.values()]):
            if ended := _kind_of(payload):
                yield place, _Ended(calls[place.run.trace_id, place.span_id][0], *ended)

    def _candidate(self, where: Where, kind: str, touched: Touched, reasons: Counter[str], window: Window) -> Candidate:
        name, model = where
        about, count = KINDS[kind], len(touched)
        # A run that ends well in spite of it counts less.
        failed = touched.failed_count + RECOVERED_WEIGHT * (count - touched.failed_count)
        return Candidate(
            kind=kind,
            title=f"Answers of {short(name)} are {about.ended} in {share_of_runs(count, window.total)}",
            category=about.category,
            severity=severity_of(failed=failed / window.total),
            signature=f"{kind}:{name}:{model}",
            happens=f"{_said(model, reasons)} {about.happens}",
            fix=about.fix,
            evidence=self._evidence(where, kind, touched),
            traces=touched.traces,
            harm=failed / window.total,
            cause=name,
            citations=touched.citations(),
        )

    def _evidence(self, where: Where, kind: str, touched: Touched) -> str:
        said = f"{formats.percent(touched.failed_count, len(touched))} of these runs failed."
        ceiling = self._ceilings[where]
        if kind == "cut_off_answer" and len(ceiling.calls.items) >= MIN_RUNS:
            said = f"{said} The longest answers of this step all have {counted(ceiling.tokens, 'token')}."
        if not self._any.is_whole:
            said = f"{said} The answers of {len(self._any.items):,} of {self._count:,} calls were read."
        return said


def _kind_of(payload: PayloadRecord) -> tuple[str, str] | None:
    """How an answer ended badly, and the reason that the provider gives; None if it did not."""
    said = finish_reasons(payload)
    for kind, known in (("refused_answer", REFUSED), ("cut_off_answer", CUT_OFF)):
        if reasons := sorted(said & known):
            return kind, reasons[0]
    return ("unreadable_json", "") if asks_for_json(payload) and not _is_json(answer_text(payload)) else None


def _is_json(text: str) -> bool:
    """Whether it parses; calls of tools have no text, and nothing to parse."""
    try:
        orjson.loads(text or "null")
    except orjson.JSONDecodeError:
        return False
    return True


def _said(model: str, reasons: Counter[str]) -> str:
    answers = f"{counted(reasons.total(), 'answer')} of {model or 'the model'}"
    words = " or ".join(f"“{reason}”" for reason, _ in reasons.most_common() if reason)
    return (
        f"The provider ended {answers} with {words}." if words else f"JSON was asked for, but {answers} do not parse."
    )


KINDS = {
    "cut_off_answer": _Kind(
        "cut off at their token limit",
        Category.QUALITY,
        "What follows them gets half a sentence, or JSON that does not parse.",
        "Raise max_tokens for this step, or ask for shorter answers. Check the finish reason before you use an "
        "answer, and continue or repeat it if it was cut off.",
    ),
    "refused_answer": _Kind(
        "refused or filtered",
        Category.SAFETY,
        "The user gets no answer, or one that does not help.",
        "Read the cited inputs: results of tools and quoted texts often trigger the filter, not the user. Tell users "
        "plainly that there is no answer, and send what is legitimate to a model or a filter level that allows it.",
    ),
    "unreadable_json": _Kind(
        "no JSON although it was asked for",
        Category.QUALITY,
        "What reads them fails, asks again, or goes on without them.",
        "Ask for strict JSON by a schema (response_format with strict, or a forced tool call) where the model has "
        "it, check the answer, and send the error back once. Sentences and code fences around the JSON are the "
        "usual cause.",
    ),
}
