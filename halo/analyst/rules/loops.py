"""Runs that go in circles: the same tools again and again, a failing tool tried on, far too many model calls."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from statistics import median
from typing import NamedTuple, override

from catalyst import formats
from halo.analyst.citing import Place, cite
from halo.analyst.failures import TOOL_KINDS, place_of
from halo.analyst.material import Candidate, Rule, Step, Texts, TraceRun, Window
from halo.analyst.severities import RECOVERED_WEIGHT, severity_of
from halo.analyst.wording import counted, none_or, share_of_runs, short, spending
from halo.choices import Category

KIND = "loop"
MIN_RUNS = 3
MAX_PERIOD = 4
MIN_REPEATS = 5
MIN_FAILED_IN_A_ROW = 3
# Of the median: for repeats and for model calls.
TIMES_MEDIAN = 3
MIN_MODEL_CALLS = 5


class _Loop(NamedTuple):
    """Steps of a run that repeat. `pattern`: names of tools; `is_failing`: each of the calls failed."""

    run: TraceRun
    pattern: tuple[str, ...]
    repeats: int
    is_failing: bool
    span_id: int
    cost: Decimal
    tokens: int
    duration_us: int


class Loops(Rule):
    """Looks for the longest repetition of one to four tools in each run."""

    def __init__(self) -> None:
        self._repeats: Counter[int] = Counter()
        self._loops: list[_Loop] = []
        # Patterns and repeats in runs of the window before.
        self._prior: Counter[tuple[tuple[str, ...], bool, int]] = Counter()

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        calls = [step for step in steps if step.kind in TOOL_KINDS]
        if not calls:
            return
        repeats = _longest([place_of(step) for step in calls])[2]
        self._repeats[repeats] += 1
        if repeats >= MIN_REPEATS or (len(calls) >= MIN_FAILED_IN_A_ROW and run.error_count >= MIN_FAILED_IN_A_ROW):
            self._loops += _loops(run, steps, calls)

    def add_prior(self, run: TraceRun, steps: Sequence[Step]) -> None:
        calls = [step for step in steps if step.kind in TOOL_KINDS]
        if len(calls) >= MIN_FAILED_IN_A_ROW:
            self._prior.update((loop.pattern, loop.is_failing, loop.repeats) for loop in _loops(run, steps, calls))

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        usual = _median(self._repeats)
        least = max(MIN_REPEATS, TIMES_MEDIAN * usual)
        groups: dict[tuple[tuple[str, ...], bool], list[_Loop]] = defaultdict(list)
        for loop in self._loops:
            if loop.is_failing or loop.repeats >= least:
                groups[loop.pattern, loop.is_failing].append(loop)
        found = [
            _candidate(loops, self._prior_count(loops[0], least), window)
            for loops in groups.values()
            if len({loop.run.trace_id for loop in loops}) >= MIN_RUNS
        ]
        return [*found, *_many_model_calls(window)]

    def _prior_count(self, loop: _Loop, least: float) -> int:
        return sum(
            count
            for (pattern, is_failing, repeats), count in self._prior.items()
            if (pattern, is_failing) == (loop.pattern, loop.is_failing) and (is_failing or repeats >= least)
        )


def _longest(names: Sequence[str]) -> tuple[int, int, int]:
    """Where the pattern of up to MAX_PERIOD names that repeats most often begins, its length, and how often it "
    "runs."""
    best = (0, 1, 1)
    for period in range(1, min(MAX_PERIOD, len(names) // 2) + 1):
        matched = 0
        for at in range(period, len(names)):
            matched = matched + 1 if names[at] == names[at - period] else 0
            repeats = matched // period + 1
            if repeats > best[2]:
                best = (at + 1 - repeats * period, period, repeats)
    return best


def _loops(run: TraceRun, steps: Sequence[Step], calls: Sequence[Step]) -> Iterator[_Loop]:
    """The longest stretch in which one tool fails, else the longest repetition."""
    failing = _longest_failing(calls)
    if len(failing) >= MIN_FAILED_IN_A_ROW:
        yield _loop(run, steps, failing, (place_of(failing[0]),), is_failing=True)
        return
    start, period, repeats = _longest([place_of(step) for step in calls])
    if repeats >= MIN_REPEATS:
        stretch = calls[start : start + period * repeats]
        yield _loop(run, steps, stretch, tuple(place_of(step) for step in stretch[:period]), is_failing=False)


def _longest_failing(calls: Sequence[Step]) -> Sequence[Step]:
    longest: list[Step] = []
    current: list[Step] = []
    for step in calls:
        if step.status != "error":
            current = []
            continue
        current = [*current, step] if current and place_of(current[0]) == place_of(step) else [step]
        longest = max(longest, current, key=len)
    return longest


def _loop(
    run: TraceRun, steps: Sequence[Step], stretch: Sequence[Step], pattern: tuple[str, ...], *, is_failing: bool
) -> _Loop:
    """A loop, with what was spent after its first round."""
    later = stretch[len(pattern)]
    spent = [
        step
        for step in steps
        if later.start_time <= step.start_time <= stretch[-1].start_time
        and (step.kind == "LLM" or step.kind in TOOL_KINDS)
    ]
    # However the round is turned: A, B, A, B and B, A, B, A are one pattern.
    turned = min(pattern[at:] + pattern[:at] for at in range(len(pattern)))
    return _Loop(
        run=run,
        pattern=turned,
        repeats=len(stretch) // len(pattern),
        is_failing=is_failing,
        span_id=stretch[-1].span_id,
        cost=sum((step.cost or Decimal(0) for step in spent), Decimal(0)),
        tokens=sum((step.input_tokens or 0) + (step.output_tokens or 0) for step in spent),
        duration_us=sum(step.duration_us or 0 for step in spent),
    )


def _candidate(loops: Sequence[_Loop], prior: int, window: Window) -> Candidate:
    pattern, is_failing = loops[0].pattern, loops[0].is_failing
    runs = {loop.run.trace_id: loop.run for loop in loops}
    fatal = sum(run.failed for run in runs.values())
    harm = (fatal + RECOVERED_WEIGHT * (len(runs) - fatal)) / window.total
    tokens, cost = sum(loop.tokens for loop in loops), sum((loop.cost for loop in loops), Decimal(0))
    duration_us = sum(loop.duration_us for loop in loops)
    return Candidate(
        kind=KIND,
        title=f"{_does(loops)} in {share_of_runs(len(runs), window.total)}",
        category=Category.TOOL_USE,
        severity=severity_of(failed=harm),
        signature=f"{KIND}|{'failing' if is_failing else 'round'}|{' > '.join(pattern)}",
        happens=f"{none_or(fatal, len(runs))} fail. After the first round, tools and model calls took "
        f"{spending(duration_us, tokens, cost)}.",
        fix=_FIX_FAILING if is_failing else _FIX_ROUND,
        traces=frozenset(runs),
        harm=harm,
        prior_count=prior,
        cause=pattern[0] if len(pattern) == 1 else "",
        cost=cost or None,
        tokens=tokens or None,
        duration_us=duration_us or None,
        citations=cite([Place(loop.run, loop.span_id, loop.repeats) for loop in loops]),
    )


def _does(loops: Sequence[_Loop]) -> str:
    """`search runs 6 to 9 times in a row`."""
    names = [short(name) for name in loops[0].pattern]
    verb = "fails" if loops[0].is_failing else "runs" if len(names) == 1 else "run"
    least, most = min(loop.repeats for loop in loops), max(loop.repeats for loop in loops)
    often = f"{least}" if least == most else f"{least} to {most}"
    return f"{' and '.join(names)} {verb} {often} times in a row"


_FIX_FAILING = (
    "Stop after the second failure of a tool, and tell the model why it failed and what to do instead: ask the user "
    "or use another tool."
)
_FIX_ROUND = (
    "If these calls belong together, let the tool take several items at once. If the model makes no progress, limit "
    "the rounds, and tell it after the third to answer with what it has."
)


def _many_model_calls(window: Window) -> Iterator[Candidate]:
    """Runs with far more model calls than others."""
    calls = sorted(run.llm_count for run in window.runs if run.llm_count)
    if not calls:
        return
    least = max(TIMES_MEDIAN * median(calls), calls[len(calls) * 99 // 100], MIN_MODEL_CALLS)
    runs = [run for run in window.runs if run.llm_count > least]
    if len(runs) < MIN_RUNS:
        return
    usual, made = round(median(calls)), sorted(run.llm_count for run in runs)
    spent = sum((run.cost * (run.llm_count - usual) / run.llm_count for run in runs), Decimal(0))
    cost = sum((run.cost for run in window.runs), Decimal(0))
    wasted = float(spent / cost) if cost else 0.0
    yield Candidate(
        kind=KIND,
        title=f"{share_of_runs(len(runs), window.total)} make more than {least:.0f} model calls",
        category=Category.COST,
        severity=severity_of(wasted=wasted),
        signature=f"{KIND}|model calls",
        happens=f"The median run makes {counted(usual, 'model call')}, these make {made[0]:,} to {made[-1]:,}. What "
        f"they spend beyond the median is {formats.percent(wasted, 1)} of all cost.",
        fix="Limit the model calls of a run, and let the agent tell the user what it has when it reaches the limit. "
        "Read the cited runs for what kept it from ending.",
        traces=frozenset(run.trace_id for run in runs),
        harm=max(wasted, RECOVERED_WEIGHT * len(runs) / window.total),
        prior_count=sum(run.llm_count > least for run in window.prior),
        cost=spent or None,
        citations=cite([Place(run, badness=run.llm_count) for run in runs]),
    )


def _median(counts: Counter[int]) -> float:
    return float(median(counts.elements())) if counts else 0.0
