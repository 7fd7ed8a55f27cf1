"""Runs that take several times as long as usual, and the step or the pause that makes them slow."""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple, override

from catalyst import formats
from halo.analyst.before import CountsBefore
from halo.analyst.citing import Place, cite
from halo.analyst.material import Candidate, Step, Texts, TraceRun, Window
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
# From so many times the usual number of calls on, these explain the time.
CALLS_FACTOR = 1.5
# Time of further calls is not all wasted: the run may have had more to do.
MORE_CALLS_WEIGHT = 0.3
# Their own time is a pause between the steps below them.
CONTAINERS = frozenset(("AGENT", "CHAIN", "SPAN", "UNKNOWN"))

# Kind and name.
type Where = tuple[str, str]


class _Took(NamedTuple):
    """The own time of a run at one name, the span with most of it, and how many spans there are."""

    number: int
    own_us: int
    span_id: int
    call_count: int


@dataclass(slots=True)
class _Times:
    """What each run took at one name. Arrays, as there may be 100,000 runs."""

    numbers: array[int] = field(default_factory=lambda: array("l"))
    own_us: array[int] = field(default_factory=lambda: array("q"))
    span_ids: array[int] = field(default_factory=lambda: array("q"))
    call_counts: array[int] = field(default_factory=lambda: array("l"))

    def __iter__(self) -> Iterator[_Took]:
        return map(_Took._make, zip(self.numbers, self.own_us, self.span_ids, self.call_counts, strict=True))


class _Usual(NamedTuple):
    """The median time and number of spans at one name, of runs that are not slow and have any."""

    own_us: float
    call_count: float


class _Slow(NamedTuple):
    """A slow run, what it took at one name, and how much of that is beyond the usual."""

    run: TraceRun
    took: _Took
    extra_us: int


class _Norm(NamedTuple):
    """What is usual, and from which duration on a run is slow."""

    duration_us: float
    limit_us: float
    at: Mapping[Where, _Usual]


NOTHING = _Usual(0, 0)


class SlowTail(CountsBefore):
    """Compares the own time of each step's name in slow runs with what is usual there."""

    def __init__(self) -> None:
        self._runs: list[TraceRun] = []
        self._times: dict[Where, _Times] = defaultdict(_Times)

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        if not run.root_ended:
            return
        # Own time, span with most of it, that much, number of spans.
        of_run: dict[Where, list[int]] = {}
        for step, own_us in zip(steps, exclusive_us(steps), strict=True):
            known = of_run.setdefault((step.kind, step.tool or step.name), [0, step.span_id, -1, 0])
            known[0] += own_us
            known[3] += 1
            if own_us > known[2]:
                known[1:3] = step.span_id, own_us
        for where, (total, span_id, _, count) in of_run.items():
            times = self._times[where]
            times.numbers.append(len(self._runs))
            times.own_us.append(total)
            times.span_ids.append(span_id)
            times.call_counts.append(count)
        self._runs.append(run)

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        if not self._runs:
            return []
        norm = self._norm()
        before = self.before._groups(norm) if self.before else None
        return [
            _candidate(where, found, norm, _Whole(window, before, sum(run.duration_us for run in self._runs)))
            for where, found in self._groups(norm).items()
            if len(found) >= MIN_RUNS
        ]

    def _norm(self) -> _Norm:
        durations = sorted(run.duration_us for run in self._runs)
        usual = median(durations)
        limit = max(SLOW_FACTOR * usual, durations[int((1 - SLOWEST_SHARE) * len(durations))])
        bodies = (
            (where, [took for took in times if self._runs[took.number].duration_us <= limit])
            for where, times in self._times.items()
        )
        return _Norm(usual, limit, {where: _usual(body, usual) for where, body in bodies if body})

    def _groups(self, norm: _Norm) -> Mapping[Where, list[_Slow]]:
        """Slow runs by the name that explains them: with the most extra time, and enough of all extra time."""
        best: dict[int, tuple[Where, _Slow]] = {}
        for where, slow in self._slow(norm):
            known = best.get(slow.took.number)
            if known is None or slow.extra_us > known[1].extra_us:
                best[slow.took.number] = where, slow
        groups: dict[Where, list[_Slow]] = defaultdict(list)
        for where, slow in best.values():
            if slow.extra_us >= EXPLAINED_SHARE * (slow.run.duration_us - norm.duration_us):
                groups[where].append(slow)
        return groups

    def _slow(self, norm: _Norm) -> Iterator[tuple[Where, _Slow]]:
        """What slow runs took at each name."""
        for where, times in self._times.items():
            usual_us = norm.at.get(where, NOTHING).own_us
            for took in times:
                run = self._runs[took.number]
                if run.duration_us > norm.limit_us:
                    yield where, _Slow(run, took, int(took.own_us - usual_us))


def _usual(body: Sequence[_Took], duration_us: float) -> _Usual:
    own_us = min(median(took.own_us for took in body), duration_us)
    return _Usual(own_us, median(took.call_count for took in body))


class _Whole(NamedTuple):
    """All runs: the window, the slow ones of the window before, and the time that all took together."""

    window: Window
    before: Mapping[Where, list[_Slow]] | None
    total_us: int


def _candidate(where: Where, found: list[_Slow], norm: _Norm, whole: _Whole) -> Candidate:
    kind, name = where
    count, extra = len(found), sum(each.extra_us for each in found)
    more_calls = _has_more_calls(where, found, norm)
    wasted = extra / whole.total_us * (MORE_CALLS_WEIGHT if more_calls else 1) if whole.total_us else 0.0
    pauses = kind in CONTAINERS
    place = f"Pauses in {short(name)} make" if pauses else f"{short(name)} makes"
    return Candidate(
        kind=KIND,
        title=f"{place} {share_of_runs(count, whole.window.total)} slow: {_instead(where, found, norm)}",
        category=Category.LATENCY,
        severity=severity_of(wasted=wasted),
        signature=f"{KIND}:{kind}:{name}",
        happens=(
            f"{counted(count, 'run')} took more than {formats.duration(norm.limit_us)}, and most of the extra time "
            "is " + (f"in {name} itself, between the steps below it." if pauses else f"in {name}.")
        ),
        fix=CALLS_FIX if more_calls else WAITING_FIX if pauses else MODEL_FIX if kind == "LLM" else TOOL_FIX,
        evidence=(
            f"The extra time is {formats.duration(extra)}, {formats.percent(extra, whole.total_us)} of the time of "
            "all runs."
        ),
        traces=frozenset(each.run.trace_id for each in found),
        harm=wasted,
        prior_count=None if whole.before is None else len(whole.before.get(where, [])),
        cause=name,
        duration_us=extra,
        citations=cite([Place(each.run, each.took.span_id, each.extra_us) for each in found]),
    )


def _instead(where: Where, found: list[_Slow], norm: _Norm) -> str:
    """`30.4 s there instead of 292 ms`, `8 calls take 9.88 s instead of 2 in 2.61 s`."""
    there = median(each.took.own_us for each in found)
    usual = norm.at.get(where)
    if usual is None:
        return f"{formats.duration(there)} there, other runs none"
    if _has_more_calls(where, found, norm):
        took = f"{median(each.took.call_count for each in found):.0f} calls take {formats.duration(there)}"
        return f"{took} instead of {usual.call_count:.0f} in {formats.duration(usual.own_us)}"
    what = "in which no step runs" if where[0] in CONTAINERS else "there"
    return f"{formats.duration(there)} {what} instead of {formats.duration(usual.own_us)}"


def _has_more_calls(where: Where, found: list[_Slow], norm: _Norm) -> bool:
    usual = norm.at.get(where)
    if where[0] in CONTAINERS or usual is None:
        return False
    return median(each.took.call_count for each in found) >= CALLS_FACTOR * usual.call_count


TOOL_FIX = (
    "Set a time limit for this step and decide what happens when it ends: try once more, or go on without the "
    "result. Then look at what the cited calls have in common, such as large arguments or one service behind them."
)
CALLS_FIX = (
    "Read the cited runs for what asks for so many calls: loops, failures that are tried again, results that come in "
    "small parts. Let one call do more, run calls at once that do not need each other, and limit their number."
)
MODEL_FIX = (
    "Limit the length of the answers, stream them, and set a time limit with one retry. Compare the cited calls: "
    "slow ones often have a long input or wait at a rate limit of the provider."
)
WAITING_FIX = (
    "Add spans to the work between the steps to see what it does: waiting for a queue, a lock, a rate limit or a "
    "person, retries that are not recorded, or slow code. Then set a time limit for it."
)
