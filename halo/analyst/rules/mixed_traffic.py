"""One agent in several versions, environments or models that do not do equally well."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import NamedTuple, override

from catalyst import formats
from catalyst.confidence import shares_p_value
from halo.analyst.citing import Place, cite
from halo.analyst.material import Candidate, Rule, Step, Texts, TraceRun, Window
from halo.analyst.severities import severity_of
from halo.analyst.statistics import mann_whitney
from halo.analyst.wording import counted, share_of_runs, short
from halo.choices import Category

# Of a version, an environment or a model, and of all others at the same time.
MIN_RUNS = 20
# Of one kind: those with the most runs.
MAX_VALUES = 10
MIN_FAILED = 3
# How many times as often it fails, and how many times as long it takes or as much it costs.
FAILURE_FACTOR = 2
AMOUNT_FACTOR = 1.5
# Values that are compared on each side, evenly spread.
MAX_COMPARED = 5_000

DIMENSIONS: dict[str, Callable[[TraceRun], Sequence[str]]] = {
    "version": lambda run: [run.service_version] if run.service_version else [],
    "environment": lambda run: [run.environment] if run.environment else [],
    "model": lambda run: run.model_names,
}


@dataclass(frozen=True, slots=True)
class _Sides:
    """Runs with a version, an environment or a model, and those without it, while there were both."""

    dimension: str
    value: str
    runs: Sequence[TraceRun]
    others: Sequence[TraceRun]

    def has(self, run: TraceRun) -> bool:
        return self.value in DIMENSIONS[self.dimension](run)

    @property
    def words(self) -> str:
        """`version 1.4.0`, `the environment staging`, `gpt-4o`."""
        prefix = {"version": "version ", "environment": "the environment ", "model": ""}[self.dimension]
        return f"{prefix}{short(self.value)}"


class _Difference(NamedTuple):
    """What is worse. `said`: what the runs do; `than`: the same of the others; `excess`: by which share of all."""

    category: Category
    said: str
    than: str
    p_value: float
    failed: float = 0.0
    wasted: float = 0.0
    duration_us: int | None = None
    cost: Decimal | None = None


class MixedTraffic(Rule):
    """Compares runs of each version, environment and model with the others of the same time."""

    @override
    def add(self, run: TraceRun, steps: Sequence[Step]) -> None:
        """The rows of the runs say enough."""

    @override
    def candidates(self, window: Window, texts: Texts) -> Sequence[Candidate]:
        found = []
        for dimension in DIMENSIONS:
            sides = list(_sides(dimension, window.runs))
            for each in sides:
                for difference in _differences(each, window):
                    found.append(_candidate(each, difference, tests=len(sides), window=window))
                    # The others usually follow from the first.
                    break
        return found


def _sides(dimension: str, runs: Sequence[TraceRun]) -> Iterator[_Sides]:
    values_of = DIMENSIONS[dimension]
    by_value: dict[str, list[TraceRun]] = defaultdict(list)
    for run in runs:
        for value in values_of(run):
            by_value[value].append(run)
    for value in sorted(by_value, key=lambda value: -len(by_value[value]))[:MAX_VALUES]:
        others = [run for run in runs if (values := values_of(run)) and value not in values]
        sides = _Sides(dimension, value, *_at_once(by_value[value], others))
        if min(len(sides.runs), len(sides.others)) >= MIN_RUNS:
            yield sides


def _at_once(runs: Sequence[TraceRun], others: Sequence[TraceRun]) -> tuple[Sequence[TraceRun], Sequence[TraceRun]]:
    """Of both, while there are both: versions that follow each other are no mixture, but a change."""
    if not others:
        return [], []
    start, end = max(runs[0].start_time, others[0].start_time), min(runs[-1].start_time, others[-1].start_time)
    first, second = ([run for run in side if start <= run.start_time <= end] for side in (runs, others))
    return first, second


def _differences(sides: _Sides, window: Window) -> Iterator[_Difference]:
    """What is worse on the first side, what matters most first."""
    found = [_failures(sides, window)]
    # What most runs do is how the agent works: the others may do less, or fail early.
    if len(sides.runs) <= len(sides.others):
        found += [_slower(sides, window), _dearer(sides, window)]
    return (difference for difference in found if difference is not None)


def _failures(sides: _Sides, window: Window) -> _Difference | None:
    failed, other_failed = (sum(run.failed for run in side) for side in (sides.runs, sides.others))
    share, other_share = failed / len(sides.runs), other_failed / len(sides.others)
    if failed < MIN_FAILED or share < FAILURE_FACTOR * other_share:
        return None
    return _Difference(
        Category.RELIABILITY,
        f"fail in {share_of_runs(failed, len(sides.runs))}",
        formats.percent(other_failed, len(sides.others)),
        shares_p_value(failed, len(sides.runs), other_failed, len(sides.others)),
        failed=(share - other_share) * len(sides.runs) / window.total,
    )


def _slower(sides: _Sides, window: Window) -> _Difference | None:
    times, other_times = ([run.duration_us for run in side if run.root_ended] for side in (sides.runs, sides.others))
    if not times or not other_times:
        return None
    usual, other_usual = median(times), median(other_times)
    if usual < AMOUNT_FACTOR * other_usual:
        return None
    extra = (usual - other_usual) * len(times)
    return _Difference(
        Category.LATENCY,
        f"take {formats.duration(usual)}",
        formats.duration(other_usual),
        mann_whitney(_thinned(times), _thinned(other_times)),
        wasted=extra / max(sum(run.duration_us for run in window.runs), 1),
        duration_us=int(extra),
    )


def _dearer(sides: _Sides, window: Window) -> _Difference | None:
    costs, other_costs = ([float(run.cost) for run in side if run.cost] for side in (sides.runs, sides.others))
    if len(costs) < MIN_RUNS or len(other_costs) < MIN_RUNS:
        return None
    usual, other_usual = median(costs), median(other_costs)
    if usual < AMOUNT_FACTOR * other_usual:
        return None
    extra = (usual - other_usual) * len(costs)
    return _Difference(
        Category.COST,
        f"cost {formats.usd(usual)}",
        formats.usd(other_usual),
        mann_whitney(_thinned(costs), _thinned(other_costs)),
        wasted=extra / float(sum(run.cost for run in window.runs)),
        cost=Decimal(str(round(extra, 9))),
    )


def _thinned(values: Sequence[float]) -> Sequence[float]:
    return values[:: len(values) // MAX_COMPARED + 1]


def _candidate(sides: _Sides, difference: _Difference, *, tests: int, window: Window) -> Candidate:
    touched, before = (
        [run for run in runs if sides.has(run) and (run.failed or not difference.failed)]
        for runs in (window.runs, window.prior)
    )
    inside = "in " if difference.failed else ""
    median_of = "" if difference.failed else ", at the median"
    return Candidate(
        kind="mixed_traffic",
        title=f"Runs of {sides.words} {difference.said}, the others of this time {inside}{difference.than}",
        category=difference.category,
        severity=severity_of(failed=difference.failed, wasted=difference.wasted),
        signature=f"mixed_traffic:{sides.dimension}:{sides.value}:{difference.category}",
        happens=(
            f"{counted(len(sides.runs), 'run')} of {sides.words} {difference.said}{median_of}. In the same time "
            f"there were {counted(len(sides.others), 'other run')} of the agent."
        ),
        fix=FIXES[sides.dimension],
        evidence=f"Other runs of the same time: {difference.than}{median_of}.",
        traces=frozenset(run.trace_id for run in touched),
        harm=difference.failed + difference.wasted,
        prior_count=len(before) if window.prior else None,
        # Each value was a chance to find something.
        p_value=min(difference.p_value * tests, 1.0),
        cause=f"{sides.dimension}:{sides.value}",
        duration_us=difference.duration_us,
        cost=difference.cost,
        citations=cite([Place(run, badness=run.duration_us) for run in touched]),
    )


FIXES = {
    "version": (
        "Compare the two versions on the cited runs, and finish the roll-out or take it back. Set service.version on "
        "every deployment, so that lists and charts can be narrowed to one."
    ),
    "environment": (
        "Give the environment an agent of its own, or narrow pages, alerts and signals to the one that matters: its "
        "numbers are mixed into all others."
    ),
    "model": (
        "Compare cited runs of this model with similar runs of the others, and send what it does badly to another "
        "one. If it is a fallback, look at why it was needed."
    ),
}
