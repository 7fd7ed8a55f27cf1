"""From counts to values, and what chance explains of them."""

from datetime import timedelta
from math import inf

import pytest

from alerts.choices import Comparison, Metric, Operator
from alerts.measures import Counts, Measure
from catalyst.timerange import HOUR


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
