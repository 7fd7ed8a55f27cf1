"""Runs that take several times as long as usual, and the step or the pause that makes them slow."""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple, override

from catalyst import formats
from halo.analyst.citing import Place, cite
from halo.analyst.material import Candidate, Rule, Step, Texts, TraceRun, Window
from halo.analyst.severities import severity_of
from halo.analyst.timing import exclusive_us
from halo.analyst.wording import counted, share_of_runs, short
from halo.choices import Category

KIND = "slow_tail"
MIN_RUNS = 3
# A run is slow from so many medians on, unless more than SLOWEST_SHARE of the runs are: then the slowest ones are.
SLOW_FACTOR = 3
SLOWEST_SHARE = 0.2
# One name explains a slow run if so much of its extra time is there.
EXPLAINED_SHARE = 0.5
# Their own time is a pause between the steps below them.
CONTAINERS = frozenset(("AGENT", "CHAIN", "SPAN", "UNKNOWN"))

# Kind and name.
type Where = tuple[str, str]


@dataclass(slots=True)
class _Times:
    """The own time at one name: in which runs, how much, and the span with most of it."""

    runs: array[int] = field(default_factory=lambda: array("l"))
    times: array[int] = field(default_factory=lambda: array("q"))
    spans: array[int] = field(default_factory=lambda: array("q"))

    def outside(self, slow: set[int]) -> list[int]:
        return [took for number, took in zip(self.runs, self.times, strict=True) if number not in slow]

    def within(self, slow: set[int]) -> Iterator[tuple[int, int, int]]:
        return (each for each in zip(self.runs, self.times, self.spans, strict=True) if each[0] in slow)


class _Slow(NamedTuple):
    """A slow run, and how much longer than usual it was at one name."""

    run: TraceRun
    span_id: int
    extra_us: int
    at_us: int


class SlowTail(Rule):
    """Compares the own time of each step's name in slow runs with what is usual there."""

    def __init__(self) -> None:
        self._runs: list[TraceRun] = []
        self._times: dict[Where, _Times] = defaultdict(_Times)

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        if not run.root_ended:
            return
        of_run: dict[Where, list[int]] = {}
        for step, own_us in zip(steps, exclusive_us(steps), strict=True):
            where = (step.kind, step.tool or step.name)
            known = of_run.setdefault(where, [0, step.span_id, -1])
            known[0] += own_us
            if own_us > known[2]:
                known[1:] = step.span_id, own_us
        for where, (total, span_id, _) in of_run.items():
            times = self._times[where]
            times.runs.append(len(self._runs))
            times.times.append(total)
            times.spans.append(span_id)
        self._runs.append(run)

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        if not self._runs:
            return []
        durations = [run.duration_us for run in self._runs]
        usual = median(durations)
        limit = max(SLOW_FACTOR * usual, sorted(durations)[int((1 - SLOWEST_SHARE) * len(durations))])
        slow = {number for number, duration in enumerate(durations) if duration > limit}
        groups: dict[Where, list[_Slow]] = defaultdict(list)
        usual_at = self._usual(slow, usual)
        for number, (where, found) in self._explained(slow, usual_at).items():
            if found.extra_us >= EXPLAINED_SHARE * (durations[number] - usual):
                groups[where].append(found)
        total = sum(durations)
        return [
            _candidate(where, found, usual_at[where], _Whole(window, limit, total))
            for where, found in groups.items()
            if len(found) >= MIN_RUNS
        ]

    def _usual(self, slow: set[int], usual: float) -> dict[Where, float]:
        """The median time at each name in the other runs."""
        return {where: min(median(times.outside(slow) or [0]), usual) for where, times in self._times.items()}

    def _explained(self, slow: set[int], usual_at: Mapping[Where, float]) -> Mapping[int, tuple[Where, _Slow]]:
        """The name with the most extra time in each slow run."""
        best: dict[int, tuple[Where, _Slow]] = {}
        for where, times in self._times.items():
            for number, took, span_id in times.within(slow):
                extra = int(took - usual_at[where])
                if number not in best or extra > best[number][1].extra_us:
                    best[number] = where, _Slow(self._runs[number], span_id, extra, took)
        return best


class _Whole(NamedTuple):
    """All runs: from which duration on they are slow, and how long they took together."""

    window: Window
    limit_us: float
    total_us: int


def _candidate(where: Where, found: list[_Slow], usual: float, whole: _Whole) -> Candidate:
    window, limit, total_us = whole
    kind, name = where
    count, extra = len(found), sum(each.extra_us for each in found)
    wasted = extra / total_us if total_us else 0.0
    there = formats.duration(median(each.at_us for each in found))
    pauses = kind in CONTAINERS
    place = f"Pauses in {short(name)} make" if pauses else f"{short(name)} makes"
    what = "in which no step runs" if pauses else "there"
    return Candidate(
        kind=KIND,
        title=f"{place} {share_of_runs(count, window.total)} slow: {there} {what} instead of {formats.duration(usual)}",
        category=Category.LATENCY,
        severity=severity_of(wasted=wasted),
        signature=f"{KIND}:{kind}:{name}",
        happens=(
            f"{counted(count, 'run')} took more than {formats.duration(limit)}, and most of the extra time is "
            + (f"in {name} itself, between the steps below it." if pauses else f"in {name}.")
        ),
        fix=WAITING_FIX if pauses else MODEL_FIX if kind == "LLM" else TOOL_FIX,
        evidence=(
            f"The extra time is {formats.duration(extra)}, {formats.percent(extra, total_us)} of the time of all "
            f"runs. {name} usually takes {formats.duration(usual)} in a run; here the median is {there}."
        ),
        traces=frozenset(each.run.trace_id for each in found),
        harm=wasted,
        cause=name,
        duration_us=extra,
        citations=cite([Place(each.run, each.span_id, each.extra_us) for each in found]),
    )


TOOL_FIX = (
    "Set a time limit for this step and decide what happens when it ends: try once more, or go on without the "
    "result. Then look at what the cited calls have in common, such as large arguments or one service behind them."
)
MODEL_FIX = (
    "Limit the length of the answers, stream them, and set a time limit with one retry. Compare the cited calls: "
    "slow ones often have a long input or wait at a rate limit of the provider."
)
WAITING_FIX = (
    "Add spans to the work between the steps to see what it does: waiting for a queue, a lock, a rate limit or a "
    "person, retries that are not recorded, or slow code. Then set a time limit for it."
)
