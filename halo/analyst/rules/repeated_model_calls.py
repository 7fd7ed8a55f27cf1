"""Model calls with the same input again, right after each other."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple, override

from catalyst import formats
from halo.analyst.citing import Place
from halo.analyst.failures import TOOL_KINDS
from halo.analyst.material import Candidate, Rule, Step, Texts, TraceRun, Window
from halo.analyst.severities import severity_of
from halo.analyst.texts import Thinned, read, sent
from halo.analyst.touched import Touched
from halo.analyst.wording import counted, share_of_runs, short
from halo.choices import Category

KIND = "repeated_model_call"
MIN_RUNS = 3
# Pairs of calls of each step whose inputs are compared.
MAX_COMPARED = 1_000

# Name of the step, and model.
type Where = tuple[str, str]


class _Again(NamedTuple):
    """A call that has the size of the one before it, and may have its text."""

    run: TraceRun
    first_id: int
    span_id: int
    cost: float
    tokens: int
    duration_us: int
    after_error: bool


class RepeatedModelCalls(Rule):
    """Finds neighboring calls with inputs of one length in characters and tokens, and compares their texts."""

    def __init__(self) -> None:
        self._pairs: dict[Where, Thinned[_Again]] = defaultdict(lambda: Thinned(MAX_COMPARED))
        self._duration_us = 0
        self._cost = 0.0

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        self._duration_us += run.duration_us
        self._cost += float(run.cost)
        for first, again in _neighbors(steps):
            self._pairs[again.name, again.model].add(
                _Again(
                    run,
                    first.span_id,
                    again.span_id,
                    float(again.cost or 0),
                    (again.input_tokens or 0) + (again.output_tokens or 0),
                    again.duration_us or 0,
                    first.status == "error",
                )
            )

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        found = []
        for where, pairs in self._pairs.items():
            same = _same(pairs.items, texts)
            if len({each.run.trace_id for each in same}) >= MIN_RUNS:
                found.append(self._candidate(where, same, pairs, window))
        return found

    def _candidate(self, where: Where, same: Sequence[_Again], pairs: Thinned[_Again], window: Window) -> Candidate:
        name, model = where
        touched = Touched()
        for each in same:
            touched.add(each.run, each.span_id, each.cost or each.tokens)
        cost, tokens = sum(each.cost for each in same), sum(each.tokens for each in same)
        duration_us = sum(each.duration_us for each in same)
        after_errors = sum(each.after_error for each in same)
        wasted = max(duration_us / max(self._duration_us, 1), cost / self._cost if self._cost else 0)
        whole = "" if pairs.is_whole else f" {counted(len(pairs.items), 'pair')} of calls were compared."
        return Candidate(
            kind=KIND,
            title=(
                f"{short(name)} asks {short(model or 'its model')} the same again in "
                f"{share_of_runs(len(touched), window.total)}"
            ),
            category=Category.COST,
            severity=severity_of(wasted=wasted),
            signature=f"{KIND}:{name}:{model}",
            happens=(
                f"{counted(len(same), 'call')} have the same input as the model call before, with no tool between. "
                f"{after_errors:,} of them come after an error."
            ),
            fix=FIX if after_errors < len(same) / 2 else ERROR_FIX,
            evidence=(
                f"The repeats took {formats.duration(duration_us)} and {formats.short(tokens)} tokens"
                f"{f' for {formats.usd(cost)}' if cost else ''}.{whole}"
            ),
            traces=touched.traces,
            harm=wasted,
            cause=name,
            cost=Decimal(str(round(cost, 9))),
            tokens=tokens,
            duration_us=duration_us,
            citations=touched.citations(),
        )


FIX = (
    "If the answer was not usable, say in the next call what was wrong with it, or ask for a format by a schema. "
    "If two parts of the program ask the same, let them share the answer."
)
ERROR_FIX = (
    "Retry with growing pauses, and only failures that can pass, such as timeouts and rate limits. Limit the "
    "retries of all layers together: clients, frameworks and your own code often retry each."
)


def _neighbors(steps: Sequence[Step]) -> Iterator[tuple[Step, Step]]:
    """Model calls of one step with inputs of the same size, and no tool or other model call between."""
    last: Step | None = None
    for step in steps:
        if step.kind == "LLM":
            if last is not None and step.input_size and _shape(step) == _shape(last):
                yield last, step
            last = step
        elif step.kind in TOOL_KINDS:
            last = None


def _shape(step: Step) -> tuple[object, ...]:
    return step.name, step.model, step.parent_id, step.input_size, step.input_tokens


def _same(pairs: Sequence[_Again], texts: Texts) -> list[_Again]:
    """Those with the same text as the call before."""
    places = {
        (each.run.trace_id, span_id): Place(each.run, span_id)
        for each in pairs
        for span_id in (each.first_id, each.span_id)
    }
    said = {(place.run.trace_id, place.span_id): sent(payload) for place, payload in read(texts, list(places.values()))}
    return [
        each
        for each in pairs
        if (text := said.get((each.run.trace_id, each.span_id)))
        and text == said.get((each.run.trace_id, each.first_id))
    ]
