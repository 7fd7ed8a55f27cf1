"""What got worse: failures, latency, cost and tokens, against the window before and within this one.

Within the window, for good or for a while.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean, median
from typing import NamedTuple, override

from catalyst import formats
from catalyst.confidence import shares_p_value
from halo.analyst.citing import Place, cite
from halo.analyst.material import ENOUGH_RUNS, Candidate, Rule, Step, Texts, TraceRun, Window
from halo.analyst.severities import severity_of
from halo.analyst.statistics import change_point, episode, mann_whitney
from halo.analyst.wording import runs as runs_of
from halo.analyst.wording import short
from halo.choices import Category, Severity

KIND = "regression"
# A test finds differences that nobody minds. Failures: growth, and points of all runs. Numbers: growth.
MIN_FAILURE_GROWTH, MIN_FAILURE_POINTS = 1.5, 0.01
MIN_GROWTH = 1.25
# Each side of a change has so many runs, and this part of all.
MIN_SIDE = 0.05
# Four numbers, each against the window before, and within this one for good and for a while.
TESTS = 12
SIGNIFICANT = 0.05
# So many values are enough to test and to place a change, evenly chosen.
MAX_VALUES = 10_000
# A version, model or environment names a change that is found within this part of all runs from its first run, and if
# its share of runs grows so much.
NEAR, MIN_NEW_SHARE = 0.1, 0.5
# They name an episode if the runs from their first to their last and those of the episode are so much the same.
MIN_OVERLAP = 0.5
# At the end of an episode, a number falls by so much of its rise.
MIN_FALL = 0.5

CHANGES = (
    ("version", lambda run: (run.service_version,)),
    ("model", lambda run: run.model_names),
    ("environment", lambda run: (run.environment,)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Number:
    """A number of runs that may get worse."""

    name: str
    category: Category
    of: Callable[[TraceRun], float | None]
    text: Callable[[float], str]
    fix: str


class _Split(NamedTuple):
    """Runs before a change, since it, and after its end if it has one. `when`: how a title names the change; `cause`:
    what changed, if it is known.
    """

    before: Sequence[TraceRun]
    after: Sequence[TraceRun]
    when: str
    cause: str
    p_value: float
    later: Sequence[TraceRun] = ()

    @property
    def advice(self) -> str:
        """What to do about it, which ends before what to compare."""
        if self.later and self.cause:
            return f"It ended with {self.cause}. Find out what went wrong before it runs again."
        if self.later:
            return "It ended by itself. Find out what was different at that time: a deploy, a setting, a provider."
        if self.cause:
            return f"Go back to what ran before {self.cause} until the cause is found."
        return "Find out what changed at that time: code, prompts, settings, or a service that the agent depends on."


NUMBERS = (
    _Number(
        "latency", Category.LATENCY, lambda run: run.duration_us if run.root_ended else None, formats.duration,
        "Compare a cited run with one from before, step by step: which step takes longer, and which is new?",
    ),
    _Number(
        "cost of a run", Category.COST, lambda run: float(run.cost) if run.cost else None, formats.usd,
        "Compare the model calls of a cited run with those of one from before: model, number of calls, tokens.",
    ),
    _Number(
        "tokens of a run", Category.COST, lambda run: (run.input_tokens + run.output_tokens) or None, formats.short,
        "Compare what is sent to the model in a cited run and in one from before: prompt, history, results of tools.",
    ),
)  # fmt: skip


class Regressions(Rule):
    """Needs only rows of runs."""

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        """Rows are in the window."""

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        found = list(_failures(window))
        for number in NUMBERS:
            found += _slower(number, window)
        return found


def _failures(window: Window) -> Iterator[Candidate]:
    for split in (*_within(window, _has_failed), *_against_prior(window, _failed_p_value)):
        before, after = _failed_share(split.before), _failed_share(split.after)
        if after < MIN_FAILURE_GROWTH * before or after - before < MIN_FAILURE_POINTS:
            continue
        if split.later and not _falls(before, after, _failed_share(split.later)):
            continue
        failed = [run for run in split.after if run.failed]
        rise = f"from {formats.percent(before, 1)} to {formats.percent(after, 1)} of runs"
        harm = (after - before) * len(split.after) / max(len(window.runs), 1)
        yield Candidate(
            kind=KIND,
            title=f"Failures rose {rise} {split.when}",
            category=Category.RELIABILITY,
            severity=Severity.CRITICAL if after >= 2 * before else severity_of(failed=harm),
            signature=f"{KIND}|failures",
            happens=_failed_in_words(split),
            fix=f"{split.advice} Compare a cited run with one from before.",
            traces=frozenset(run.trace_id for run in failed),
            harm=harm,
            p_value=split.p_value,
            prior_count=sum(run.failed for run in window.prior),
            cause=split.cause,
            citations=cite([Place(run, badness=run.duration_us) for run in failed]),
        )
        return


def _failed_in_words(split: _Split) -> str:
    count, before = sum(run.failed for run in split.after), sum(run.failed for run in split.before)
    said = f"{count:,} of {runs_of(len(split.after))} failed {'then' if split.later else 'since'}"
    said += f", before {before:,} of {len(split.before):,}"
    if split.later:
        said += f", and afterward {sum(run.failed for run in split.later):,} of {len(split.later):,}"
    return f"{said}."


def _falls(before: float, within: float, later: float) -> bool:
    """Whether a number fell again at the end of an episode."""
    return within - later >= MIN_FALL * (within - before)


def _slower(number: _Number, window: Window) -> Iterator[Candidate]:
    """The number rose: its median or its 95th percentile, whichever rose more."""
    splits = [*_within(window, number.of), *_against_prior(window, lambda *sides: _number_p_value(number, *sides))]
    for split in splits:
        if rise := _rise_of(number, split):
            yield _slower_since(number, window, split, rise)
            return


def _rise_of(number: _Number, split: _Split) -> tuple[str, float, float] | None:
    """By which statistic a number rose, from and to which value; None unless it rose enough."""
    before, after, later = (_values(number, runs) for runs in (split.before, split.after, split.later))
    rises = [(name, of(before), of(after)) for name, of in STATISTICS.items()]
    name, was, now = max(rises, key=lambda rise: rise[2] / rise[1] if rise[1] else 0)
    is_rise = now >= MIN_GROWTH * was and fmean(after) > fmean(before)
    return (name, was, now) if is_rise and (not later or _falls(was, now, STATISTICS[name](later))) else None


def _slower_since(number: _Number, window: Window, split: _Split, rise: tuple[str, float, float]) -> Candidate:
    before, after = _values(number, split.before), _values(number, split.after)
    name, was, now = rise
    limit = _p95(before)
    above = [run for run in split.after if (number.of(run) or 0) > limit]
    wasted = (fmean(after) - fmean(before)) * len(after) / sum(_values(number, window.runs))
    return Candidate(
        kind=KIND,
        title=f"{name} {number.name} rose from {number.text(was)} to {number.text(now)} {split.when}",
        category=number.category,
        severity=severity_of(wasted=wasted),
        signature=f"{KIND}|{number.name}",
        happens=f"The median went from {number.text(median(before))} to {number.text(median(after))}, the 95th "
        f"percentile from {number.text(limit)} to {number.text(_p95(after))}. The runs of this finding are "
        f"those {'of that time' if split.later else 'since then'} that are above the earlier 95th percentile.",
        fix=f"{split.advice} {number.fix}",
        traces=frozenset(run.trace_id for run in above),
        harm=wasted,
        p_value=split.p_value,
        cause=split.cause,
        citations=cite([Place(run, badness=number.of(run) or 0) for run in above]),
    )


def _within(window: Window, of: Callable[[TraceRun], float | None]) -> Iterator[_Split]:
    """The part that differs most from what is around it, and the moment that splits the window best."""
    runs = [run for run in window.runs if of(run) is not None]
    units = _thinned(_units(runs, of))
    values = [value for _, value in units]
    yield from _episode(runs, units, values, window)
    change = change_point(values)
    if change is None:
        return
    at, cause = _nearest_change(runs, units[min(change.at, len(units) - 1)][0])
    if min(at, len(runs) - at) < max(ENOUGH_RUNS, MIN_SIDE * len(runs)):
        return
    moment = formats.at(runs[at].start_time, window.end)
    when = f"on {moment}, when {cause} started" if cause else f"on {moment}"
    yield _Split(runs[:at], runs[at:], when, cause, min(change.p_value * TESTS, 1))


def _episode(
    runs: Sequence[TraceRun], units: Sequence[tuple[int, float]], values: Sequence[float], window: Window
) -> Iterator[_Split]:
    """A while that passes its tests, moved to the runs of what was new then."""
    found = episode(values)
    if found is None or found.p_value * TESTS >= SIGNIFICANT:
        return
    start, end, cause = _nearest_stay(runs, units[found.start][0], units[found.end][0])
    if min(start, end - start, len(runs) - end) < ENOUGH_RUNS:
        return
    # To the minute before the first run of it that is none, so that the last one is in it.
    when = f"from {_period(runs[start].start_time, runs[end].start_time, window.end)}"
    if cause:
        when += f", with {cause}"
    yield _Split(runs[:start], runs[start:end], when, cause, found.p_value * TESTS, runs[end:])


def _period(start: datetime, end: datetime, now: datetime) -> str:
    """`27 Nov 13:17 to 19:02 UTC`."""
    first, last = formats.at(start, now).removesuffix(" UTC"), formats.at(end, now)
    day, _, _ = first.rpartition(" ")
    return f"{first} to {last.removeprefix(f'{day} ')}"


def _nearest_stay(runs: Sequence[TraceRun], start: int, end: int) -> tuple[int, int, str]:
    """From the first to the last run of a version, model or environment that came and went then, and its name; else
    the same period.
    """
    nearest, overlap = (start, end, ""), MIN_OVERLAP
    for kind, values in CHANGES:
        for value, places in _places(runs, values).items():
            first, last = places[0], places[-1] + 1
            common, either = min(end, last) - max(start, first), max(end, last) - min(start, first)
            if value and len(places) >= MIN_NEW_SHARE * (last - first) and common >= overlap * either:
                nearest, overlap = (first, last, f"{kind} {short(value)}"), common / either
    return nearest


def _places(runs: Sequence[TraceRun], values: Callable[[TraceRun], Sequence[str]]) -> Mapping[str, Sequence[int]]:
    """The positions of the runs with each value."""
    places: dict[str, list[int]] = defaultdict(list)
    for at, run in enumerate(runs):
        for value in values(run):
            places[value].append(at)
    return places


def _units(runs: Sequence[TraceRun], of: Callable[[TraceRun], float | None]) -> list[tuple[int, float]]:
    """The mean of each session, with the position of its first run.

    Runs of one session are alike, so tests take it as one case.
    """
    first: dict[object, int] = {}
    values: dict[object, list[float]] = defaultdict(list)
    for at, run in enumerate(runs):
        if (value := of(run)) is not None:
            session = run.session_id or run.trace_id
            first.setdefault(session, at)
            values[session].append(value)
    return [(at, fmean(values[session])) for session, at in first.items()]


def _nearest_change(runs: Sequence[TraceRun], index: int) -> tuple[int, str]:
    """Where a version, model or environment first ran near a change, and its name; else the change itself."""
    nearest, cause = index, ""
    distance = NEAR * len(runs)
    for kind, values in CHANGES:
        for value, at in _new_values(runs, values):
            if abs(at - index) <= distance:
                nearest, cause, distance = at, f"{kind} {short(value)}", abs(at - index)
    return nearest, cause


def _new_values(runs: Sequence[TraceRun], values: Callable[[TraceRun], Sequence[str]]) -> Iterator[tuple[str, int]]:
    """Values that the first runs don't have, and most do from their first run on."""
    for value, places in _places(runs, values).items():
        if value and places[0] and len(places) >= MIN_NEW_SHARE * (len(runs) - places[0]):
            yield value, places[0]


def _against_prior(
    window: Window, p_value: Callable[[Sequence[TraceRun], Sequence[TraceRun]], float]
) -> Iterator[_Split]:
    if min(len(window.prior), len(window.runs)) < ENOUGH_RUNS:
        return
    seen = min(p_value(window.prior, window.runs) * TESTS, 1)
    yield _Split(window.prior, window.runs, "since the window before", "", seen)


def _failed_p_value(prior: Sequence[TraceRun], runs: Sequence[TraceRun]) -> float:
    """Of the shares of sessions with a failure."""
    before, after = ([bool(value) for _, value in _units(each, _has_failed)] for each in (prior, runs))
    return shares_p_value(sum(after), len(after), sum(before), len(before))


def _has_failed(run: TraceRun) -> float:
    return float(run.failed)


def _number_p_value(number: _Number, prior: Sequence[TraceRun], runs: Sequence[TraceRun]) -> float:
    before, after = ([value for _, value in _thinned(_units(each, number.of))] for each in (prior, runs))
    return mann_whitney(after, before)


def _thinned[T](values: Sequence[T]) -> Sequence[T]:
    return values[:: -(-len(values) // MAX_VALUES) or 1]


def _values(number: _Number, runs: Sequence[TraceRun]) -> list[float]:
    return [value for run in runs if (value := number.of(run)) is not None]


def _failed_share(runs: Sequence[TraceRun]) -> float:
    return sum(run.failed for run in runs) / len(runs) if runs else 0.0


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[len(values) * 95 // 100] if values else 0.0


STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {"Median": median, "p95": _p95}
