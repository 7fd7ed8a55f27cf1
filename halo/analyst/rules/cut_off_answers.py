"""Answers of models that were cut off or refused, as the provider says."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, override

from catalyst import formats
from halo.analyst.citing import Place
from halo.analyst.material import Candidate, Rule, Step, Texts, TraceRun, Window
from halo.analyst.severities import RECOVERED_WEIGHT, severity_of
from halo.analyst.texts import Thinned, finish_reasons, read
from halo.analyst.touched import Touched
from halo.analyst.wording import counted, share_of_runs, short
from halo.choices import Category

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


class _Ended(NamedTuple):
    """An answer that ended too early. `reason`: the provider's word."""

    where: Where
    is_refused: bool
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
        touched: dict[tuple[Where, bool], Touched] = defaultdict(Touched)
        reasons: dict[tuple[Where, bool], Counter[str]] = defaultdict(Counter)
        for place, ended in self._ended(texts):
            touched[ended.where, ended.is_refused].add(place.run, place.span_id)
            reasons[ended.where, ended.is_refused][ended.reason] += 1
        return [
            self._candidate(where, runs, reasons[where, is_refused], window, is_refused=is_refused)
            for (where, is_refused), runs in touched.items()
            if len(runs) >= MIN_RUNS
        ]

    def _ended(self, texts: Texts) -> Iterator[tuple[Place, _Ended]]:
        at_ceilings = [
            (where, place)
            for where, ceiling in self._ceilings.items()
            if len(ceiling.calls.items) >= MIN_RUNS
            for place in ceiling.calls.items
        ]
        where_of = {(place.run.trace_id, place.span_id): where for where, place in (*self._any.items, *at_ceilings)}
        places = {(place.run.trace_id, place.span_id): place for _, place in (*self._any.items, *at_ceilings)}
        for place, payload in read(texts, list(places.values())):
            said = finish_reasons(payload)
            where = where_of[place.run.trace_id, place.span_id]
            for reason in sorted(said & REFUSED)[:1] or sorted(said & CUT_OFF)[:1]:
                yield place, _Ended(where, reason in REFUSED, reason)

    def _candidate(
        self, where: Where, touched: Touched, reasons: Counter[str], window: Window, *, is_refused: bool
    ) -> Candidate:
        name, model = where
        count = len(touched)
        # A run that ends well in spite of it counts less.
        failed = touched.failed_count + RECOVERED_WEIGHT * (count - touched.failed_count)
        words = " or ".join(f"“{reason}”" for reason, _ in reasons.most_common())
        said = f"The provider ended {counted(reasons.total(), 'answer')} of {model or 'the model'} with {words}."
        kind = "refused_answer" if is_refused else "cut_off_answer"
        return Candidate(
            kind=kind,
            title=f"Answers of {short(name)} are {ENDED[is_refused]} in {share_of_runs(count, window.total)}",
            category=Category.SAFETY if is_refused else Category.QUALITY,
            severity=severity_of(failed=failed / window.total),
            signature=f"{kind}:{name}:{model}",
            happens=f"{said} {HAPPENS[is_refused]}",
            fix=FIXES[is_refused],
            evidence=self._evidence(where, touched, is_refused=is_refused),
            traces=touched.traces,
            harm=failed / window.total,
            cause=name,
            citations=touched.citations(),
        )

    def _evidence(self, where: Where, touched: Touched, *, is_refused: bool) -> str:
        said = f"{formats.percent(touched.failed_count, len(touched))} of these runs failed."
        ceiling = self._ceilings[where]
        if not is_refused and len(ceiling.calls.items) >= MIN_RUNS:
            said = f"{said} The longest answers of this step all have {counted(ceiling.tokens, 'token')}."
        if not self._any.is_whole:
            said = f"{said} The finish reasons of {len(self._any.items):,} of {self._count:,} calls were read."
        return said


ENDED = {False: "cut off at their token limit", True: "refused or filtered"}
HAPPENS = {
    False: "What follows them gets half a sentence, or JSON that does not parse.",
    True: "The user gets no answer, or one that does not help.",
}
FIXES = {
    False: (
        "Raise max_tokens for this step, or ask for shorter answers. Check the finish reason before you use an "
        "answer, and continue or repeat it if it was cut off."
    ),
    True: (
        "Read the cited inputs: results of tools and quoted texts often trigger the filter, not the user. Tell users "
        "plainly that there is no answer, and send what is legitimate to a model or a filter level that allows it."
    ),
}
