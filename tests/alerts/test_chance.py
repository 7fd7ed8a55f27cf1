"""On days in which nothing changes, the rule of chance fires as rarely as it says. Without it, alerts cry wolf."""

import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate

import pytest

from alerts import latencies
from alerts.choices import Comparison, Metric, Operator, Window
from alerts.measures import FALSE_ALARMS_PER_DAY, Counts, Measure
from alerts.rules import EventKind, Reading, Rule, State, calm_of, step
from catalyst.timerange import MINUTE
from traces.summary import latency_bucket

pytestmark = pytest.mark.slow
MINUTES = 1440
START = datetime(2026, 11, 1, tzinfo=UTC)


def poisson(chance: random.Random, mean: float) -> int:
    left, count = chance.random(), 0
    limit = math.exp(-mean)
    while left > limit:
        left *= chance.random()
        count += 1
    return count


def quiet_day(chance: random.Random, per_minute: float, share: float, warm_up: int) -> list[Counts]:
    """The sums up to each minute of a day whose traffic and share never change."""
    labelled, hits = [], []
    for _ in range(MINUTES + warm_up):
        count = poisson(chance, per_minute)
        labelled.append(count)
        hits.append(sum(chance.random() < share for _ in range(count)))
    columns = (accumulate(column, initial=0) for column in (labelled, hits))
    return [Counts(*sums) for sums in zip(*columns, strict=True)]


def readings(measure: Measure, sums: list[Counts], warm_up: int) -> Iterator[Reading]:
    length = measure.window // MINUTE
    for end in range(warm_up, MINUTES + warm_up):
        now, before = (
            Counts(last.labelled - first.labelled, last.hits - first.hits)
            for last, first in ((sums[end], sums[end - length]), (sums[end - length], sums[end - 2 * length]))
        )
        value = measure.value(now, before)
        yield Reading(START + end * MINUTE, value, is_significant=measure.significance(now, before))


def fires(rule: Rule, day: list[Reading]) -> bool:
    state = State()
    for reading in day:
        state, events = step(rule, state, reading)
        if any(event.kind == EventKind.FIRED for event in events):
            return True
    return False


@pytest.mark.parametrize(
    ("metric", "comparison", "window", "threshold", "days"),
    [
        # The worst that a quiet day can be: it stands exactly at the threshold.
        (Metric.TRUE_RATE, Comparison.ABSOLUTE, Window.HOUR, 0.2, 1_000),
        (Metric.TRUE_RATE, Comparison.PCT_CHANGE, Window.HOUR, 0, 100),
        (Metric.LABEL_VOLUME, Comparison.ABSOLUTE, Window.DAY, MINUTES, 100),
        (Metric.LABEL_VOLUME, Comparison.PCT_CHANGE, Window.FIVE_MINUTES, 0, 100),
    ],
)
def test_false_alarms_are_as_rare_as_stated(
    metric: Metric, comparison: Comparison, window: Window, threshold: float, days: int
) -> None:
    chance = random.Random(f"{metric} {comparison} {window}")
    measure = Measure(metric, comparison, Operator.GTE, window.length)
    careful = Rule(Operator.GTE, threshold, calm_of(window.length), only_significant=True)
    plain = replace(careful, only_significant=False)
    warm_up = 2 * (window.length // MINUTE)
    false_alarms = {"careful": 0, "plain": 0}
    for _ in range(days):
        day = list(readings(measure, quiet_day(chance, 1, 0.2, warm_up), warm_up))
        false_alarms["careful"] += fires(careful, day)
        false_alarms["plain"] += fires(plain, day)
    assert false_alarms["careful"] <= FALSE_ALARMS_PER_DAY * days
    assert false_alarms["plain"] > 0.8 * days


def test_it_still_finds_a_spike() -> None:
    chance = random.Random(1)
    measure = Measure(Metric.TRUE_RATE, Comparison.ABSOLUTE, Operator.GTE, Window.HOUR.length)
    rule = Rule(Operator.GTE, 0.2, calm_of(Window.HOUR.length), only_significant=True)
    calm, spike = quiet_day(chance, 1, 0.1, 120), quiet_day(chance, 1, 0.6, 120)
    assert not fires(rule, list(readings(measure, calm, 120)))
    assert fires(rule, list(readings(measure, spike, 120)))


def quiet_latencies(chance: random.Random, measure: Measure, buckets: list[int]) -> Iterator[Reading]:
    """The windows of a day whose runs take as long as a random one of the buckets."""
    length = measure.window // MINUTE
    runs = [Counter(chance.choices(buckets, k=poisson(chance, 1))) for _ in range(MINUTES + 2 * length)]
    now, before = (sum(runs[first : first + length], Counter()) for first in (length, 0))
    for end in range(2 * length, MINUTES + 2 * length):
        counts = (Counts(window.total(), latencies=dict(window)) for window in (now, before))
        later, earlier = (each._replace(amount=latencies.p95(each.latencies)) for each in counts)
        significance = measure.significance(later, earlier)
        yield Reading(START + end * MINUTE, measure.value(later, earlier), is_significant=significance)
        now = now + runs[end] - runs[end - length]
        before = before + runs[end - length] - runs[end - 2 * length]


@pytest.mark.parametrize(
    ("comparison", "threshold", "days"), [(Comparison.ABSOLUTE, 10, 100), (Comparison.PCT_CHANGE, 0, 20)]
)
def test_false_alarms_of_latency_are_as_rare_as_stated(comparison: Comparison, threshold: float, days: int) -> None:
    chance = random.Random(f"latency {comparison}")
    measure = Measure(Metric.P95_LATENCY, comparison, Operator.GTE, Window.HALF_HOUR.length)
    careful = Rule(Operator.GTE, threshold, calm_of(measure.window), only_significant=True)
    plain = replace(careful, only_significant=False)
    # One in twenty takes ten seconds and more.
    buckets = [latency_bucket(500_000 * number) for number in range(1, 20)] + [latency_bucket(11_000_000)]
    false_alarms = {"careful": 0, "plain": 0}
    for _ in range(days):
        day = list(quiet_latencies(chance, measure, buckets))
        false_alarms["careful"] += fires(careful, day)
        false_alarms["plain"] += fires(plain, day)
    assert false_alarms["careful"] <= FALSE_ALARMS_PER_DAY * days
    assert false_alarms["plain"] > 0.8 * days
