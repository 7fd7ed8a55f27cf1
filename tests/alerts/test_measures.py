"""From counts to values, and what chance explains of them."""

from datetime import timedelta
from math import inf

import pytest

from alerts.choices import Comparison, Metric, Operator
from alerts.measures import Counts, Measure
from catalyst.timerange import HOUR
from traces.summary import latency_bucket


def measure(metric: Metric = Metric.TRUE_RATE, *, change: bool = False, lte: bool = False, minimum: int = 0) -> Measure:
    comparison = Comparison.PCT_CHANGE if change else Comparison.ABSOLUTE
    return Measure(metric, comparison, Operator.LTE if lte else Operator.GTE, HOUR, minimum)


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (Metric.LABEL_VOLUME, 40),
        (Metric.VALUE_COUNT, 10),
        (Metric.TRUE_RATE, 0.25),
        (Metric.VALUE_SHARE, 0.25),
    ],
)
def test_the_value_of_a_window(metric: Metric, value: float) -> None:
    assert measure(metric).value(Counts(40, 10)) == value


@pytest.mark.parametrize(
    ("metric", "counts", "value"),
    [
        (Metric.RUNS, Counts(40, 10), 40),
        (Metric.ERROR_RATE, Counts(40, 10), 0.25),
        (Metric.ERROR_RATE, Counts(), None),
        (Metric.P95_LATENCY, Counts(40, amount=1.5), 1.5),
        (Metric.P95_LATENCY, Counts(), None),
        (Metric.COST, Counts(40, amount=2.5), 2.5),
        (Metric.COST, Counts(0, amount=0.0), 0),
        (Metric.COST, Counts(40, amount=None, unpriced=3), None),
        (Metric.TOKENS, Counts(40, amount=900.0), 900),
    ],
)
def test_the_value_of_an_agents_window(metric: Metric, counts: Counts, value: float | None) -> None:
    assert measure(metric).value(counts) == value
    assert measure(metric, minimum=41).value(counts) is None


@pytest.mark.parametrize(
    ("before", "now", "value"), [(2.0, 3.0, 50), (0.0, 3.0, inf), (0.0, 0.0, 0), (None, 3.0, None), (2.0, None, None)]
)
def test_a_change_of_cost_needs_both(before: float | None, now: float | None, value: float | None) -> None:
    counts = (Counts(9, amount=now), Counts(9, amount=before))
    assert measure(Metric.COST, change=True).value(*counts) == value


def test_cost_and_tokens_have_no_test_of_chance() -> None:
    for metric in (Metric.COST, Metric.TOKENS):
        assert measure(metric).significance(Counts(1, amount=5.0))(5)


def times(**runs: int) -> Counts:
    """Runs by how many seconds they take, as `s8=3`."""
    histogram = {latency_bucket(int(name[1:]) * 1_000_000): count for name, count in runs.items()}
    return Counts(sum(runs.values()), latencies=histogram)


@pytest.mark.parametrize(
    ("what", "threshold", "now", "before", "expected"),
    [
        (measure(Metric.P95_LATENCY), 5, times(s1=90, s8=10), None, False),
        (measure(Metric.P95_LATENCY), 5, times(s1=900, s8=100), None, True),
        (measure(Metric.P95_LATENCY), 5, times(s1=950, s8=50), None, False),
        (measure(Metric.P95_LATENCY), 5, times(s8=2), None, False),
        (measure(Metric.P95_LATENCY), 5, times(s8=4), None, True),
        (measure(Metric.P95_LATENCY, lte=True), 5, times(s1=100), None, False),
        (measure(Metric.P95_LATENCY, lte=True), 5, times(s1=1_000, s8=10), None, True),
        (measure(Metric.P95_LATENCY, change=True), 50, times(s8=20), times(s4=20), False),
        (measure(Metric.P95_LATENCY, change=True), 50, times(s8=500), times(s4=500), True),
        (measure(Metric.P95_LATENCY, change=True), 150, times(s8=500), times(s4=500), False),
        (measure(Metric.P95_LATENCY, change=True, lte=True), -25, times(s2=500), times(s4=500), True),
        (measure(Metric.P95_LATENCY, change=True, lte=True), -25, times(s2=500), times(s4=2), False),
        (measure(Metric.ERROR_RATE), 0.2, Counts(1_000, 400), None, True),
        (measure(Metric.RUNS), 10, Counts(15), None, False),
        (measure(Metric.RUNS, change=True), 10, Counts(5_000), Counts(2_500), True),
    ],
)
def test_a_percentile_is_tested_by_the_share_of_slower_runs(
    what: Measure, threshold: float, now: Counts, before: Counts | None, *, expected: bool
) -> None:
    assert what.significance(now, before)(threshold) is expected


@pytest.mark.parametrize(
    ("before", "now", "value"),
    [
        (Counts(100, 20), Counts(100, 22), 10),
        (Counts(100, 20), Counts(50, 5), -50),
        (Counts(100, 20), Counts(100, 0), -100),
        (Counts(100, 0), Counts(100, 0), 0),
        (Counts(100, 0), Counts(100, 1), inf),
    ],
)
def test_a_change_is_in_percent_of_the_window_before(before: Counts, now: Counts, value: float) -> None:
    assert measure(change=True).value(now, before) == pytest.approx(value)


@pytest.mark.parametrize(("before", "now"), [(Counts(9, 1), Counts(10, 1)), (Counts(10, 1), Counts(9, 1))])
def test_a_change_needs_the_minimum_in_both_windows(before: Counts, now: Counts) -> None:
    assert measure(change=True, minimum=10).value(now, before) is None


def test_a_share_of_nothing_is_unknown() -> None:
    assert measure().value(Counts()) is None


def test_no_labels_are_a_count_of_zero() -> None:
    assert measure(Metric.LABEL_VOLUME).value(Counts()) == 0


@pytest.mark.parametrize(
    ("metric", "change", "lte", "whole"),
    [
        (Metric.TRUE_RATE, False, False, False),
        (Metric.TRUE_RATE, False, True, False),
        (Metric.TRUE_RATE, True, False, True),
        (Metric.LABEL_VOLUME, False, False, False),
        (Metric.LABEL_VOLUME, False, True, True),
        (Metric.RUNS, False, True, True),
        (Metric.COST, False, True, True),
        (Metric.TOKENS, False, False, False),
        (Metric.P95_LATENCY, False, True, False),
        (Metric.P95_LATENCY, True, False, True),
    ],
)
def test_which_alerts_need_whole_windows(metric: Metric, *, change: bool, lte: bool, whole: bool) -> None:
    assert measure(metric, change=change, lte=lte).needs_whole_windows is whole


@pytest.mark.parametrize(
    ("what", "threshold", "now", "before", "expected"),
    [
        (measure(), 0.2, Counts(10, 4), None, False),
        (measure(), 0.2, Counts(1_000, 400), None, True),
        (measure(lte=True), 0.5, Counts(10, 3), None, False),
        (measure(lte=True), 0.5, Counts(1_000, 300), None, True),
        (measure(Metric.LABEL_VOLUME), 10, Counts(15), None, False),
        (measure(Metric.LABEL_VOLUME), 10, Counts(40), None, True),
        (measure(change=True), 10, Counts(50, 10), Counts(50, 5), False),
        (measure(change=True), 10, Counts(5_000, 1_000), Counts(5_000, 500), True),
        (measure(change=True, lte=True), -10, Counts(50, 5), Counts(50, 10), False),
        (measure(change=True, lte=True), -10, Counts(5_000, 500), Counts(5_000, 1_000), True),
        (measure(Metric.VALUE_COUNT, change=True), 10, Counts(50, 10), Counts(50, 5), False),
        (measure(Metric.VALUE_COUNT, change=True), 10, Counts(5_000, 1_000), Counts(5_000, 500), True),
    ],
)
def test_few_labels_may_be_chance_and_many_are_not(
    what: Measure, threshold: float, now: Counts, before: Counts | None, *, expected: bool
) -> None:
    assert what.significance(now, before)(threshold) is expected


def test_a_short_window_needs_more_as_there_are_more_of_them() -> None:
    counts = Counts(100, 38)
    short = Measure(Metric.TRUE_RATE, Comparison.ABSOLUTE, Operator.GTE, timedelta(minutes=5))
    long = Measure(Metric.TRUE_RATE, Comparison.ABSOLUTE, Operator.GTE, timedelta(days=2))
    assert not short.significance(counts)(0.2)
    assert long.significance(counts)(0.2)
