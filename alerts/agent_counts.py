"""What an alert reads of an agent's own numbers.

Windows below an hour are read from sums of minutes: by when traces settled. Longer ones are read from sums of hours: by
when traces began.
"""

import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, repeat

from django.conf import settings

from alerts import latencies
from alerts.choices import Metric
from alerts.measures import NO_LATENCIES, Counts, Measure
from catalyst.agents.models import Agent
from catalyst.timerange import MINUTE, ceil, kept_since
from traces.analytics import agent_totals
from traces.analytics.agent_totals import AgentWindow, Totals
from traces.models.agent_minutes import MINUTES_KEPT

type Latencies = Mapping[int, int]


def known_since(measure: Measure, now: datetime) -> datetime:
    """Since when sums are kept."""
    return kept_since(now, settings.KEEP_ROLLUPS_DAYS) if measure.is_hourly else ceil(now - MINUTES_KEPT, MINUTE)


def first(measure: Measure, agent: Agent, start: datetime) -> datetime | None:
    """The first minute or hour since `start` that has traces."""
    return agent_totals.first(agent.project_id, agent.pk, start, hourly=measure.is_hourly)


@dataclass(frozen=True, slots=True)
class AgentWindowSums:
    """Counts of a few windows of many alerts, read at once."""

    measure: Measure
    agent: Agent
    sums: Mapping[tuple[bool, AgentWindow], tuple[Totals, Latencies]]

    def counts(self, _version_id: int | None, start: datetime, end: datetime) -> Counts:
        window = AgentWindow(self.agent.project_id, self.agent.pk, start, end)
        return _counts(self.measure.metric, *self.sums[self.measure.is_hourly, window])


def read(
    asked: Iterable[tuple[Measure, AgentWindow]],
) -> dict[tuple[bool, AgentWindow], tuple[Totals, Latencies]]:
    """Read the windows of many alerts, in up to four queries."""
    found: dict[tuple[bool, AgentWindow], tuple[Totals, Latencies]] = {}
    asked = list(asked)
    for hourly in (False, True):
        windows = list(dict.fromkeys(window for measure, window in asked if measure.is_hourly == hourly))
        timed = [
            window for measure, window in asked if measure.is_hourly == hourly and measure.metric == Metric.P95_LATENCY
        ]
        histograms = dict(zip(timed, agent_totals.latencies(timed, hourly=hourly), strict=True))
        for window, totals in zip(windows, agent_totals.totals(windows, hourly=hourly), strict=True):
            found[hourly, window] = totals, histograms.get(window, NO_LATENCIES)
    return found


class AgentSums:
    """Counts of any windows in a stretch of time, which is read once."""

    def __init__(self, measure: Measure, agent: Agent, start: datetime, end: datetime) -> None:
        self._measure = measure
        self._start = start
        window = AgentWindow(agent.project_id, agent.pk, start, end)
        # Of all steps before each one.
        self._sums = list(accumulate(agent_totals.steps(window, hourly=measure.is_hourly), _plus, initial=Totals()))
        self._latencies: Sequence[Latencies] = ()
        if measure.metric == Metric.P95_LATENCY:
            self._latencies = agent_totals.latency_steps(window, hourly=measure.is_hourly)

    def counts(self, version_id: int | None, start: datetime, end: datetime) -> Counts:
        step = self._measure.step
        first, last = (start - self._start) // step, (end - self._start) // step
        return next(self.windows(version_id, range(last, last + 1), last - first))

    def windows(self, _version_id: int | None, ends: range, steps: int) -> Iterator[Counts]:
        """Counts of the windows of so many steps with these ends, in steps after the start."""
        histograms = self._histograms(ends, steps) if self._latencies else repeat(NO_LATENCIES)
        for end, histogram in zip(ends, histograms, strict=False):
            sums = Totals(*map(operator.sub, self._sums[end], self._sums[end - steps]))
            yield _counts(self._measure.metric, sums, histogram)

    def _histograms(self, ends: range, steps: int) -> Iterator[Latencies]:
        inside: Counter[int] = Counter()
        for place in range(ends.start - steps, ends.stop - 1):
            inside.update(self._latencies[place])
            if place >= ends.start:
                inside.subtract(self._latencies[place - steps])
            if place >= ends.start - 1:
                yield +inside


def _plus(left: Totals, right: Totals) -> Totals:
    return Totals(*map(operator.add, left, right))


def _counts(metric: Metric, sums: Totals, histogram: Latencies) -> Counts:
    amount = _amount(metric, sums, histogram)
    unpriced = sums.unpriced if metric == Metric.COST else 0
    return Counts(sums.traces, sums.errors, 0, amount, unpriced, histogram)


def _amount(metric: Metric, sums: Totals, histogram: Latencies) -> float | None:
    if metric == Metric.P95_LATENCY:
        return latencies.p95(histogram)
    if metric == Metric.COST:
        # Without any known price the cost is not zero.
        return None if sums.unpriced and not sums.cost else float(sums.cost)
    return float(sums.tokens) if metric == Metric.TOKENS else None
