"""Label counts, cost, trend and caps of each signal in a time range."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import chain
from operator import attrgetter

from catalyst.figures import Bar, sparkline, stackbar
from catalyst.timerange import TimeRange
from signals.filters import LabelFilter
from signals.judging.budget_checks import CapReached, caps_reached
from signals.judging.health import JudgeUnavailable, unavailable_judges
from signals.models import Signal, SignalRun, SignalVersion
from signals.models.label_rollup import Coverage, LabelCount
from signals.results import charts
from signals.results.charts import Outcome
from signals.results.rollups import CountsByBucket, sums
from signals.targets.scopes import targets_of

MAX_VERSIONS = 50
MAX_RUNS = 50
MAX_UNSETTLED = 1_000
# Of a sparkline: a third of the 91 bars that a range has at most.
MAX_POINTS = 31


@dataclass(frozen=True, slots=True)
class Summary:
    """Effective labels of one signal in a time range, or labels of one version.

    `versions` are numbers, ascending. `cost` covers all labels, in US dollars.
    """

    signal: Signal
    outcomes: list[Outcome]
    coverage: Coverage
    last: datetime | None
    cost: Decimal | None
    cap_reached: CapReached | None = None
    judge_unavailable: JudgeUnavailable | None = None
    trend: Sequence[str] = ()
    versions: Sequence[int] = ()
    queued: int = 0  # waiting labels, also of targets that another version labelled

    @property
    def labelled(self) -> int:
        """Labels with a value, including those that wait to be judged again."""
        return sum(outcome.count for outcome in self.outcomes)

    @property
    def waiting(self) -> int:
        return self.coverage.waiting

    @property
    def is_unjudged(self) -> bool:
        return self.signal.is_live and self.judge_unavailable is not None

    @property
    def version_range(self) -> str:
        """`version 1`, `versions 1 and 2` or `versions 1 to 3`. Empty if all labels are the current version's."""
        current = self.signal.current_version
        if not self.versions or (current and list(self.versions) == [current.number]):
            return ""
        first, last = self.versions[0], self.versions[-1]
        if first == last:
            return f"version {first}"
        return f"versions {first} {'and' if len(self.versions) == 2 else 'to'} {last}"

    @property
    def held_up(self) -> str:
        reasons = []
        if self.cap_reached:
            reasons.append(f"{self.cap_reached.title}: {self.cap_reached.text}.")
        if self.judge_unavailable:
            reasons.append(self.judge_unavailable.text)
        return " ".join(reasons)

    @property
    def earlier(self) -> int:
        """Labels of targets that grew and wait again, or failed."""
        return self.labelled - self.coverage.done

    @property
    def text(self) -> str:
        return ", ".join(f"{outcome.value} {outcome.count}" for outcome in self.outcomes)

    @property
    def stacked(self) -> list[Outcome]:
        """In the order of bars and charts."""
        return charts.from_the_base(self.outcomes)

    @property
    def bars(self) -> list[Bar]:
        return charts.breakdown(self.outcomes)

    @property
    def headline(self) -> Outcome | None:
        return charts.headline(self.outcomes)

    @property
    def coverage_bars(self) -> list[Bar]:
        covered = self.coverage
        parts = [("Labelled", covered.done, "accent"), ("Pending", self.waiting, "warn")]
        return stackbar([*parts, ("Failed", covered.failed, "error"), ("Skipped", covered.skipped, "neutral")])


def listed(signals: Sequence[Signal], time_range: TimeRange, now: datetime) -> list[Summary]:
    """Summaries with what holds up judging now."""
    current = [signal.current_version for signal in signals if signal.current_version]
    unarchived = [signal.current_version for signal in signals if signal.current_version and not signal.archived_at]
    stopped, silent = caps_reached(current, now), unavailable_judges(unarchived)
    found = []
    for each in summaries(signals, time_range):
        version = each.signal.current_version_id
        # A limit holds up nothing of a signal that judges nothing.
        stop = stopped.get(version) if each.signal.is_live or each.queued else None
        found.append(replace(each, cap_reached=stop, judge_unavailable=silent.get(version)))
    return found


def summaries(signals: Sequence[Signal], time_range: TimeRange) -> list[Summary]:
    """Summaries of labels in the range, in up to three queries."""
    of_all, coarse = sums(signal__in=signals), time_range.in_buckets(MAX_POINTS)
    found, counts = of_all.totals(coarse), of_all.over_time(coarse)
    starts = coarse.buckets()
    return [_with_trend(each, shares_by_start(counts[each.signal.pk], starts)) for each in summed_up(signals, found)]


def summed_up(signals: Sequence[Signal], found: Sequence[LabelCount]) -> list[Summary]:
    """Summaries of these counts, in up to one query."""
    known = {version.pk: version for signal in signals if (version := signal.current_version)}
    earlier = SignalVersion.objects.filter(pk__in={cell.version for cell in found if cell.value} - known.keys())
    known |= earlier.only("signal_id", "number", "labels", "sentiments").in_bulk()
    owned = grouped(found, attrgetter("signal"))
    summaries = []
    for signal in signals:
        gave = gave_labels(owned[signal.pk])
        used = [known[pk] for pk in {*gave, signal.current_version_id} if pk in known]
        each = summary(signal, sorted(used, key=lambda version: -version.number), owned[signal.pk])
        summaries.append(replace(each, versions=sorted(known[pk].number for pk in gave)))
    return summaries


def gave_labels(found: Iterable[LabelCount]) -> set[int]:
    """The ids of the versions with labels among these."""
    return {cell.version for cell in found if cell.value and cell.count}


def judge_troubles(of: Iterable[Summary]) -> list[tuple[JudgeUnavailable, int]]:
    """Why judges of live signals are unavailable, each with the number of signals."""
    found = Counter(each.judge_unavailable for each in of if each.is_unjudged and each.judge_unavailable)
    return sorted(found.items(), key=lambda item: item[0].text)


@dataclass(frozen=True, slots=True)
class Totals:
    labels: int
    waiting: int
    failed: int
    cost: Decimal | None


def total(of: Iterable[Summary]) -> Totals:
    of = list(of)
    costs = [each.cost for each in of if each.cost is not None]
    return Totals(
        sum(each.labelled for each in of),
        sum(each.waiting for each in of),
        sum(each.coverage.failed for each in of),
        sum(costs, Decimal(0)) if costs else None,
    )


def _with_trend(each: Summary, shares_of: Callable[[str], list[float | None]]) -> Summary:
    return replace(each, trend=sparkline(shares_of(each.headline.value), top=100) if each.headline else [])


def ordered(found: Iterable[Summary], sort: str) -> list[Summary]:
    """Sorted by name, or by `sort` descending."""
    found = sorted(found, key=lambda each: (each.signal.name.casefold(), each.signal.pk))
    amounts: dict[str, Callable[[Summary], float]] = {
        "volume": lambda each: each.labelled,
        "waiting": lambda each: each.waiting,
        "failed": lambda each: each.coverage.failed,
        "cost": lambda each: float(each.cost or 0),
        "last": lambda each: each.last.timestamp() if each.last else 0,
    }
    return sorted(found, key=amounts[sort], reverse=True) if sort in amounts else found


def summary(signal: Signal, versions: Sequence[SignalVersion], found: Sequence[LabelCount]) -> Summary:
    """`versions`: newest first."""
    gave = gave_labels(found)
    offered = {label for version in versions if version.pk in gave for label in version.labels}
    return summed(signal, found, lambda counts: outcomes(signal, sentiments_of(versions), counts, offered))


def summed(
    signal: Signal, found: Iterable[LabelCount], outcomes_of: Callable[[Mapping[str, int]], list[Outcome]]
) -> Summary:
    states, values = Counter[str](), Counter[str]()
    costs, last, queued = [], [], 0
    for cell in found:
        states[cell.state] += cell.count
        queued += cell.waiting
        if cell.value and cell.count:
            values[cell.value] += cell.count
            last += [cell.last] if cell.last else []
        costs += [cell.cost] if cell.cost is not None else []
    cost = sum(costs, Decimal(0)) if costs else None
    newest = max(last, default=None)
    return Summary(signal, outcomes_of(values), Coverage(**states), newest, cost, queued=queued)


def shares_by_start(counts: CountsByBucket, starts: Sequence[datetime]) -> Callable[[str], list[float | None]]:
    """A function from a value to its share by bucket, in percent. None for empty buckets."""
    totals = Counter[datetime]()
    for (start, _), count in counts.items():
        totals[start] += count
    return lambda value: [
        100 * counts.get((start, value), 0) / totals[start] if totals[start] else None for start in starts
    ]


def grouped(found: Iterable[LabelCount], of: Callable[[LabelCount], int]) -> Mapping[int, list[LabelCount]]:
    owned: dict[int, list[LabelCount]] = defaultdict(list)
    for cell in found:
        owned[of(cell)].append(cell)
    return owned


def outcomes(
    signal: Signal, known: Mapping[str, str], counts: Mapping[str, int], offered: Collection[str] | None = None
) -> list[Outcome]:
    # Older labels are shown if any were given.
    current = signal.current_version.labels if signal.current_version else []
    return charts.outcomes({value: known.get(value, "neutral") for value in chain(current, counts)}, counts, offered)


def sentiments_of(versions: Sequence[SignalVersion]) -> dict[str, str]:
    # The first version takes precedence.
    return dict(chain.from_iterable(version.sentiments.items() for version in reversed(versions)))


def versions(signal: Signal) -> list[SignalVersion]:
    return list(signal.versions.published().order_by("-number")[:MAX_VERSIONS])


def runs(signal: Signal) -> list[SignalRun]:
    return list(SignalRun.objects.filter(version__signal=signal).order_by("-id")[:MAX_RUNS])


@dataclass(frozen=True, slots=True)
class Estimate:
    """About `whole` targets, of which `rate` percent were sampled."""

    whole: int
    rate: int


def estimate(
    summary: Summary, versions: Sequence[SignalVersion], of_runs: Sequence[SignalRun], wanted: LabelFilter
) -> Estimate | None:
    # Several versions or rates give no estimate: a target that two versions judged would count twice. The labels of a
    # backfill give none either: it sampled further targets that had a label before.
    of_these = {version.pk for version in versions}
    rates = {version.sample_rate for version in versions}
    rates |= {run.sample_rate for run in of_runs if run.version_id in of_these}
    if wanted.run is not None or len(versions) != 1 or len(rates) != 1 or not (rate := rates.pop()):
        return None
    return Estimate(round(summary.coverage.sampled * 100 / rate), rate)


def is_open(signal: Signal, waiting: int) -> bool:
    """True while labels wait, or targets of an active signal have yet to settle."""
    return waiting > 0 or unsettled(signal) > 0


def unsettled(signal: Signal) -> int:
    """Return how many targets an active signal has yet to evaluate, up to MAX_UNSETTLED + 1. Of spans: their traces."""
    if not signal.is_live:
        return 0
    return targets_of(signal.scope).count_unsettled(signal.agent_id, signal.quiet_time, MAX_UNSETTLED + 1)
