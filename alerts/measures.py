"""From the counts of a window to the value of a metric, and what chance explains of it. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from types import MappingProxyType
from typing import NamedTuple

from alerts import latencies
from alerts.choices import Comparison, Metric, Operator
from catalyst import confidence
from catalyst.timerange import DAY, HOUR, MINUTE

# At most this many alerts in a day without a change fire by chance.
FALSE_ALARMS_PER_DAY = 0.05
# A window ends at each minute. Those that end within one length of a window err at most as often as this many
# independent ones.
WINDOWS_PER_LENGTH = 16
NO_LATENCIES: Mapping[int, int] = MappingProxyType({})


class Counts(NamedTuple):
    """Settled targets of one window. `hits`: those with the metric's value, failed traces for an error rate.

    `waiting` are neither labelled nor given up. Of an agent, `labelled` are its traces, `amount` is its latency in
    seconds, cost in dollars or number of tokens (None: not known), and `unpriced` are model calls without a price.
    """

    labelled: int = 0
    hits: int = 0
    waiting: int = 0
    amount: float | None = None
    unpriced: int = 0
    latencies: Mapping[int, int] = NO_LATENCIES

    @property
    def requested(self) -> int:
        return self.labelled + self.waiting


@dataclass(frozen=True, slots=True)
class Measure:
    """What an alert measures. `window`: its length."""

    metric: Metric
    comparison: Comparison
    operator: Operator
    window: timedelta
    min_count: int = 0

    @property
    def compares(self) -> bool:
        return self.comparison == Comparison.PCT_CHANGE

    @property
    def is_hourly(self) -> bool:
        """True if a window is of whole hours, as the sums are that it is read from."""
        return self.metric.is_of_agent and self.window >= HOUR

    @property
    def step(self) -> timedelta:
        """The time from the end of a window to that of the next one."""
        return HOUR if self.is_hourly else MINUTE

    @property
    def needs_whole_windows(self) -> bool:
        """True if a window that is covered in part would mislead: it has too few labels, not another share."""
        return self.compares or (self.metric.adds_up and self.operator == Operator.LTE)

    def has_enough(self, now: Counts, before: Counts | None) -> bool:
        """True if the value is known: enough labels in each window, and any for a share."""
        needed = self.min_count if self.metric.adds_up else max(self.min_count, 1)
        windows = [now, before or Counts()] if self.compares else [now]
        return all(window.labelled >= needed for window in windows)

    def value(self, now: Counts, before: Counts | None = None) -> float | None:
        """An amount, a share from 0 to 1, or a change in percent. None if there are too few labels, or no known price.

        A change from zero to zero is 0 %. One from zero to more is infinite: it reaches all `gte` thresholds, no `lte`.
        """
        if not self.has_enough(now, before):
            return None
        later = self._amount(now)
        if not self.compares or later is None:
            return later
        earlier = self._amount(before or Counts())
        return None if earlier is None else _change(earlier, later)

    def waits_for_more(self, now: Counts, before: Counts | None = None) -> bool:
        """True if labels that still wait decide about the value: the minimum is not reached, or a count is too low."""
        if not (now.waiting or (before and before.waiting)):
            return False
        is_low_count = self.needs_whole_windows and self.metric.adds_up
        return is_low_count or not self.has_enough(now, before)

    def amount(self, counts: Counts) -> float | None:
        """The metric of one window, without a comparison. None for a share of nothing."""
        return None if self.metric.is_share and not counts.labelled else self._amount(counts)

    def _amount(self, counts: Counts) -> float | None:
        if self.metric.is_share:
            return counts.hits / counts.labelled
        if self.metric in _AMOUNTS:
            return counts.amount
        return self._count(counts)

    def _count(self, counts: Counts) -> int:
        return counts.hits if self.metric == Metric.VALUE_COUNT else counts.labelled

    def significance(self, now: Counts, before: Counts | None = None) -> Callable[[float], bool]:
        """Return whether a threshold is reached beyond chance, by exact tests.

        The chance of a false firing is bounded by day, over all windows of a day: see docs/reference/alerts.md. Cost
        and tokens have no test: what single traces cost may be anything.
        """
        if not self.metric.has_chance:
            return lambda _threshold: True
        error = FALSE_ALARMS_PER_DAY / (WINDOWS_PER_LENGTH * max(1.0, DAY / self.window))
        if self.compares:
            return lambda threshold: self._is_changed(now, before or Counts(), 1 + threshold / 100, error)
        return lambda threshold: self._is_beyond(now, threshold, error)

    def _is_beyond(self, counts: Counts, threshold: float, error: float) -> bool:
        if self.metric == Metric.P95_LATENCY:
            test_latency = latencies.is_at_least if self._rises else latencies.is_at_most
            return test_latency(counts.latencies, threshold, error)
        if self.metric.is_share:
            test = confidence.binomial_at_least if self._rises else confidence.binomial_at_most
            return test(counts.hits, counts.labelled, threshold) <= error
        count = self._count(counts)
        test_count = confidence.poisson_at_least if self._rises else confidence.poisson_at_most
        return test_count(count, threshold) <= error

    def _is_changed(self, now: Counts, before: Counts, factor: float, error: float) -> bool:
        if factor <= 0:
            return self._rises
        if self.metric.is_share:
            return self._is_other_share(now, before, factor, error)
        if self.metric == Metric.P95_LATENCY:
            return self._is_other_latency(now, before, factor, error)
        # Of two counts with a known ratio, each event is in the later window with the same probability.
        later, earlier = self._count(now), self._count(before)
        share = factor / (1 + factor)
        test = confidence.binomial_at_least if self._rises else confidence.binomial_at_most
        return test(later, later + earlier, share) <= error

    def _is_other_share(self, now: Counts, before: Counts, factor: float, error: float) -> bool:
        # Each side may err with half of the probability.
        half = error / 2
        if self._rises:
            low = confidence.exact_low(now.hits, now.labelled, half)
            return low > factor * confidence.exact_high(before.hits, before.labelled, half)
        high = confidence.exact_high(now.hits, now.labelled, half)
        return high < factor * confidence.exact_low(before.hits, before.labelled, half)

    def _is_other_latency(self, now: Counts, before: Counts, factor: float, error: float) -> bool:
        half = error / 2
        bound = latencies.high if self._rises else latencies.low
        test = latencies.is_at_least if self._rises else latencies.is_at_most
        earlier = bound(before.latencies, half)
        return earlier is not None and test(now.latencies, factor * earlier, half)

    @property
    def _rises(self) -> bool:
        return self.operator == Operator.GTE


# Metrics whose value is the `amount` of the counts.
_AMOUNTS = {Metric.P95_LATENCY, Metric.COST, Metric.TOKENS}


def _change(before: float, now: float) -> float:
    if before:
        return (now - before) / before * 100
    return inf if now else 0.0
