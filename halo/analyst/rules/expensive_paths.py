"""Where the money goes: expensive models for short answers, and runs that cost several times as much as usual."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import Decimal
from statistics import median
from typing import NamedTuple, override

from catalyst import formats
from halo.analyst.before import CountsBefore
from halo.analyst.material import Candidate, Step, Texts, TraceRun, Window
from halo.analyst.severities import severity_of
from halo.analyst.touched import Touched
from halo.analyst.wording import counted, runs, share_of_runs, short
from halo.choices import Category

MIN_RUNS = 3
MIN_CALLS = 10
# An answer of fewer tokens is short, such as a word of a classifier.
SHORT_TOKENS = 20
# A step gives short answers if so many of its calls do.
SHORT_SHARE = 0.8
# Dollars per million tokens, of input and output together.
EXPENSIVE = 2.0
# A run is costly from so many medians on, unless more than COSTLIEST_SHARE of the runs are: then the costliest are.
COSTLY_FACTOR = 5
COSTLIEST_SHARE = 0.2
# What costly runs cost is not all wasted: they may have had more to do.
COSTLY_WEIGHT = 0.5
# Of all cost: less than this is not worth a finding.
MIN_SHARE = 0.05

# Name of the step, and model.
type Where = tuple[str, str]


class ExpensiveModels(CountsBefore):
    """Finds steps whose answers are short and whose tokens are expensive."""

    def __init__(self) -> None:
        self._calls: Counter[Where] = Counter()
        self._short: Counter[Where] = Counter()
        self._tokens: Counter[Where] = Counter()
        self._touched: dict[Where, Touched] = defaultdict(Touched)
        self._total = 0.0

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        self._total += float(run.cost)
        for step in steps:
            if step.kind == "LLM" and step.output_tokens:
                where = (step.name, step.model)
                self._calls[where] += 1
                if step.output_tokens < SHORT_TOKENS and step.cost:
                    self._short[where] += 1
                    self._tokens[where] += (step.input_tokens or 0) + step.output_tokens
                    self._touched[where].add(run, step.span_id, float(step.cost))

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        return [
            self._candidate(where, touched)
            for where, touched in self._touched.items()
            if len(touched) >= MIN_RUNS
            and self._short[where] >= max(MIN_CALLS, SHORT_SHARE * self._calls[where])
            and touched.total > MIN_SHARE * self._total
            and self._per_million(where) >= EXPENSIVE
        ]

    def _per_million(self, where: Where) -> float:
        return self._touched[where].total / self._tokens[where] * 1_000_000

    def _candidate(self, where: Where, touched: Touched) -> Candidate:
        name, model = where
        share = touched.total / self._total
        spent, part = formats.usd(touched.total), formats.percent(touched.total, self._total)
        return Candidate(
            kind="expensive_model",
            title=(
                f"{short(name)} asks {short(model)} for answers of under {SHORT_TOKENS} tokens in "
                f"{runs(len(touched))}, for {spent} ({part} of the cost)"
            ),
            category=Category.COST,
            severity=severity_of(wasted=share),
            signature=f"expensive_model:{name}:{model}",
            happens=(
                f"{self._short[where]:,} of {counted(self._calls[where], 'call')} of {model} at this step return "
                f"fewer than {SHORT_TOKENS} tokens, as classifying, routing and yes-or-no questions do."
            ),
            fix=(
                "Try a small model for this step, and compare its answers on the cited runs before you switch. If "
                "the answer needs little of what is sent, send less: the input is most of the cost."
            ),
            evidence=(
                f"They cost {spent}, {part} of the cost of all runs, at {formats.usd(self._per_million(where))} per "
                "million tokens."
            ),
            traces=touched.traces,
            harm=share,
            prior_count=len(self.before._touched[where]) if self.before else None,
            cause=model,
            cost=Decimal(str(round(touched.total, 9))),
            citations=touched.citations(),
        )


class CostlyRuns(CountsBefore):
    """Finds runs that cost several times as much as usual, by the step and model that they spent most on."""

    def __init__(self) -> None:
        # With the step and model on which each spent most, and its most expensive call there.
        self._runs: list[tuple[TraceRun, Where, int]] = []
        # Equal ones are one object: there are few.
        self._known: dict[Where, Where] = {}

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        if not run.cost:
            return
        priced = [(step, float(step.cost)) for step in steps if step.cost]
        spent: dict[Where, float] = defaultdict(float)
        for step, cost in priced:
            spent[step.name, step.model] += cost
        if priced:
            where = max(spent, key=spent.__getitem__)
            _, span_id = max((cost, step.span_id) for step, cost in priced if (step.name, step.model) == where)
            self._runs.append((run, self._known.setdefault(where, where), span_id))

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        if not self._runs:
            return []
        costs = sorted(float(run.cost) for run, _, _ in self._runs)
        usual = median(costs)
        limit = max(COSTLY_FACTOR * usual, costs[int((1 - COSTLIEST_SHARE) * len(costs))])
        whole = _Whole(window, sum(costs), limit, usual)
        before = self.before._groups(whole) if self.before else None
        return [
            _candidate(where, touched, whole, None if before is None else len(before[where]))
            for where, touched in self._groups(whole).items()
            if len(touched) >= MIN_RUNS and touched.total > MIN_SHARE * whole.total
        ]

    def _groups(self, whole: "_Whole") -> defaultdict[Where, Touched]:
        groups: defaultdict[Where, Touched] = defaultdict(Touched)
        for run, where, span_id in self._runs:
            if run.cost > whole.limit:
                groups[where].add(run, span_id, float(run.cost) - whole.usual)
        return groups


class _Whole(NamedTuple):
    """All runs: what they cost, from which cost on one is costly, and what one usually costs."""

    window: Window
    total: float
    limit: float
    usual: float


def _candidate(where: Where, touched: Touched, whole: _Whole, prior_count: int | None) -> Candidate:
    name, model = where
    window, total, limit, usual = whole
    wasted = COSTLY_WEIGHT * touched.total / total
    each = formats.usd(touched.median + usual)
    failed = touched.failed_count
    return Candidate(
        kind="costly_run",
        title=(
            f"{share_of_runs(len(touched), window.total)} cost {each} instead of {formats.usd(usual)}, "
            f"mostly for {short(model or name)}"
        ),
        category=Category.COST,
        severity=severity_of(wasted=wasted),
        signature=f"costly_run:{name}:{model}",
        happens=f"These runs cost more than {formats.usd(limit)}. They spend most on {model or 'the model'} at {name}.",
        fix=(
            "Compare a cited run with a usual one: more model calls, a longer input, or another model explain the "
            "difference. Set a limit for the calls, or the tokens, of a run."
        ),
        evidence=(
            f"They cost {formats.usd(touched.total)} more than as many usual runs, which is "
            f"{formats.percent(touched.total, total)} of the cost of all runs. {failed:,} of them failed."
        ),
        traces=touched.traces,
        harm=wasted,
        prior_count=prior_count,
        cause=model,
        cost=Decimal(str(round(touched.total, 9))),
        citations=touched.citations(),
    )
