"""From the counts of a window to the value of a metric, and what chance explains of it. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from typing import NamedTuple

from alerts.choices import Comparison, Metric, Operator
from catalyst import confidence
from catalyst.timerange import DAY

# At most this many alerts in a day without a change fire by chance.
FALSE_ALARMS_PER_DAY = 0.05
# A window ends at each minute. Those that end within one length of a window err at most as often as this many
# independent ones.
WINDOWS_PER_LENGTH = 16


class Counts(NamedTuple):
    """Settled targets of one window. `hits`: those with the metric's value, failed traces for an error rate.

    `waiting` are neither labelled nor given up.
    """

    labelled: int = 0
    hits: int = 0
    waiting: int = 0

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
    def needs_whole_windows(self) -> bool:
        """True if a window that is covered in part would mislead: it has too few labels, not another share."""
        return self.compares or (not self.metric.is_share and self.operator == Operator.LTE)

    def has_enough(self, now: Counts, before: Counts | None) -> bool:
        """True if the value is known: enough labels in each window, and any for a share."""
        needed = max(self.min_count, 1) if self.metric.is_share else self.min_count
        windows = [now, before or Counts()] if self.compares else [now]
        return all(window.labelled >= needed for window in windows)

    def value(self, now: Counts, before: Counts | None = None) -> float | None:
        """A count, a share from 0 to 1, or a change in percent. None if there are too few labels.

        A change from zero to zero is 0 %. One from zero to more is infinite: it reaches all `gte` thresholds, no `lte`.
        """
        if not self.has_enough(now, before):
            return None
        if not self.compares:
            return self._amount(now)
        return _change(self._amount(before or Counts()), self._amount(now))

    def waits_for_more(self, now: Counts, before: Counts | None = None) -> bool:
        """True if labels that still wait decide about the value: the minimum is not reached, or a count is too low."""
        if not (now.waiting or (before and before.waiting)):
            return False
        is_low_count = self.needs_whole_windows and not self.metric.is_share
        return is_low_count or not self.has_enough(now, before)

    def amount(self, counts: Counts) -> float | None:
        """The metric of one window, without a comparison. None for a share of nothing."""
        return None if self.metric.is_share and not counts.labelled else self._amount(counts)

    def _amount(self, counts: Counts) -> float:
        if self.metric.is_share:
            return counts.hits / counts.labelled
        return counts.hits if self.metric == Metric.VALUE_COUNT else counts.labelled

    def significance(self, now: Counts, before: Counts | None = None) -> Callable[[float], bool]:
        """Return whether a threshold is reached beyond chance, by exact tests.

        The chance of a false firing is bounded by day, over all windows of a day: see docs/reference/alerts.md.
        """
        error = FALSE_ALARMS_PER_DAY / (WINDOWS_PER_LENGTH * max(1.0, DAY / self.window))
        if self.compares:
            return lambda threshold: self._is_changed(now, before or Counts(), 1 + threshold / 100, error)
        return lambda threshold: self._is_beyond(now, threshold, error)

    def _is_beyond(self, counts: Counts, threshold: float, error: float) -> bool:
        if self.metric.is_share:
            test = confidence.binomial_at_least if self._rises else confidence.binomial_at_most
            return test(counts.hits, counts.labelled, threshold) <= error
        count = round(self._amount(counts))
        test_count = confidence.poisson_at_least if self._rises else confidence.poisson_at_most
        return test_count(count, threshold) <= error

    def _is_changed(self, now: Counts, before: Counts, factor: float, error: float) -> bool:
        if factor <= 0:
            return self._rises
        if self.metric.is_share:
            return self._is_other_share(now, before, factor, error)
        # Of two counts with a known ratio, each event is in the later window with the same probability.
        later, earlier = round(self._amount(now)), round(self._amount(before))
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

    @property
    def _rises(self) -> bool:
        return self.operator == Operator.GTE


def _change(before: float, now: float) -> float:
    if before:
        return (now - before) / before * 100
    return inf if now else 0.0
