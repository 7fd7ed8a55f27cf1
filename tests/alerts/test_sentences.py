"""Rules, values and names in words."""

from datetime import timedelta
from math import inf
from typing import Any

import pytest

from alerts import sentences
from alerts.choices import Comparison, Metric, Operator
from alerts.measures import Measure
from alerts.rules import Rule
from catalyst.timerange import HOUR

ABSOLUTE, CHANGE = Comparison.ABSOLUTE, Comparison.PCT_CHANGE
GTE, LTE = Operator.GTE, Operator.LTE


def measure(metric: Metric, comparison: Comparison = ABSOLUTE, operator: Operator = GTE, hours: float = 1) -> Measure:
    return Measure(metric, comparison, operator, hours * HOUR)


def rule(**about: Any) -> Rule:
    return Rule(operator=GTE, threshold=0.3, calm=timedelta(minutes=5), **about)


@pytest.mark.parametrize(
    ("measured", "threshold", "sentence"),
    [
        (measure(Metric.TRUE_RATE), 0.3, "Fires when at least 30% of the labels of an hour are “yes”."),
        (measure(Metric.VALUE_SHARE, operator=LTE), 0.07, "Fires when at most 7% of the labels of an hour are “bad”."),
        (measure(Metric.VALUE_COUNT, hours=3), 5, "Fires when “bad” is given at least 5 times in 3 hours."),
        (measure(Metric.VALUE_COUNT), 1, "Fires when “bad” is given at least 1 time in an hour."),
        (measure(Metric.LABEL_VOLUME, hours=0.5), 1_500, "Fires when there are at least 1,500 labels in 30 minutes."),
        (
            measure(Metric.TRUE_RATE, CHANGE),
            10,
            "Fires when “yes” is at least 10% more frequent than in the hour before.",
        ),
        (
            measure(Metric.VALUE_SHARE, CHANGE, LTE, 24),
            -50,
            "Fires when “bad” is at least 50% less frequent than in the 24 hours before.",
        ),
        (
            measure(Metric.VALUE_SHARE, CHANGE),
            -50,
            "Fires when “bad” is at most 50% less frequent than in the hour before.",
        ),
        (
            measure(Metric.VALUE_COUNT, CHANGE),
            12.5,
            "Fires when “bad” is given at least 12.5% more often than in the hour before.",
        ),
        (
            measure(Metric.LABEL_VOLUME, CHANGE, LTE),
            -25,
            "Fires when there are at least 25% fewer labels than in the hour before.",
        ),
        (measure(Metric.TRUE_RATE, CHANGE), 0, "Fires when “yes” is at least as frequent as in the hour before."),
        (
            measure(Metric.LABEL_VOLUME, CHANGE, LTE),
            0,
            "Fires when there are at most as many labels as in the hour before.",
        ),
        (measure(Metric.RUNS, operator=LTE), 0, "Fires when there are at most 0 traces in an hour."),
        (measure(Metric.RUNS), 1, "Fires when there is at least 1 trace in an hour."),
        (measure(Metric.ERROR_RATE), 0.05, "Fires when at least 5% of the traces of an hour failed."),
        (
            measure(Metric.P95_LATENCY, hours=0.25),
            30,
            "Fires when the 95th percentile of latency in 15 minutes is at least 30 s.",
        ),
        (measure(Metric.COST, hours=24), 12.5, "Fires when the traces of 24 hours cost at least $12.5."),
        (measure(Metric.TOKENS), 10**6, "Fires when the traces of an hour use at least 1,000,000 tokens."),
        (
            measure(Metric.RUNS, CHANGE, LTE),
            -25,
            "Fires when there are at least 25% fewer traces than in the hour before.",
        ),
        (
            measure(Metric.ERROR_RATE, CHANGE),
            10,
            "Fires when traces fail at least 10% more often than in the hour before.",
        ),
        (
            measure(Metric.P95_LATENCY, CHANGE),
            50,
            "Fires when the 95th percentile of latency is at least 50% higher than in the hour before.",
        ),
        (
            measure(Metric.P95_LATENCY, CHANGE, LTE),
            -50,
            "Fires when the 95th percentile of latency is at least 50% lower than in the hour before.",
        ),
        (measure(Metric.COST, CHANGE), 20, "Fires when the traces cost at least 20% more than in the hour before."),
        (measure(Metric.COST, CHANGE), 0, "Fires when the traces cost at least as much as in the hour before."),
        (
            measure(Metric.TOKENS, CHANGE, hours=3),
            20,
            "Fires when the traces use at least 20% more tokens than in the 3 hours before.",
        ),
    ],
)
def test_when_it_fires(measured: Measure, threshold: float, sentence: str) -> None:
    assert sentences.fires_when(measured, threshold, "bad") == sentence


def test_all_of_a_rule() -> None:
    compared = Measure(Metric.TRUE_RATE, CHANGE, GTE, HOUR, min_count=30)
    whole = rule(warning=0.1, cooldown=HOUR, only_significant=True, notify_no_data=True)
    assert sentences.rule_in_words(compared, whole)[1:] == [
        "Warns when “yes” is at least 0.1% more frequent than in the hour before.",
        "Does not fire on a value that chance alone explains.",
        "Needs at least 30 labels in both windows.",
        "Fires again after 1 hour at the earliest.",
        "Tells when there is no data.",
    ]
    assert len(sentences.rule_in_words(measure(Metric.TRUE_RATE), rule())) == 1
    of_traces = Measure(Metric.COST, ABSOLUTE, GTE, HOUR, min_count=1)
    assert sentences.rule_in_words(of_traces, rule())[1:] == ["Needs at least 1 trace in the window."]


@pytest.mark.parametrize(
    ("measured", "value", "text"),
    [
        (measure(Metric.TRUE_RATE), 0.2284, "22.8%"),
        (measure(Metric.LABEL_VOLUME), 1234, "1,234"),
        (measure(Metric.TRUE_RATE, CHANGE), 4, "+4%"),
        (measure(Metric.TRUE_RATE, CHANGE), -4.04, "-4%"),
        (measure(Metric.TRUE_RATE, CHANGE), 0, "0%"),
        (measure(Metric.TRUE_RATE, CHANGE), inf, "up from zero"),
        (measure(Metric.ERROR_RATE), 0.125, "12.5%"),
        (measure(Metric.P95_LATENCY), 11.83, "≈11.8 s"),
        (measure(Metric.P95_LATENCY), 184, "≈3m 04s"),
        (measure(Metric.P95_LATENCY, CHANGE), 50, "+50%"),
        (measure(Metric.COST), 1.923, "$1.92"),
        (measure(Metric.TOKENS), 12345, "12,345"),
    ],
)
def test_a_value_has_its_unit(measured: Measure, value: float, text: str) -> None:
    assert sentences.value_text(measured, value) == text


@pytest.mark.parametrize(
    ("measured", "threshold", "name"),
    [
        (measure(Metric.TRUE_RATE), 0.3, "yes at least 30%"),
        (measure(Metric.VALUE_SHARE, CHANGE), 10, "bad up 10%"),
        (measure(Metric.VALUE_COUNT, CHANGE, LTE), -10, "bad down 10%"),
        (measure(Metric.LABEL_VOLUME, operator=LTE), 50, "labels at most 50 in 1 hour"),
        (measure(Metric.RUNS), 50, "traces at least 50 in 1 hour"),
        (measure(Metric.ERROR_RATE), 0.05, "failed traces at least 5%"),
        (measure(Metric.P95_LATENCY), 30, "p95 latency at least 30 s"),
        (measure(Metric.COST, CHANGE), 20, "cost up 20%"),
    ],
)
def test_a_name_is_suggested(measured: Measure, threshold: float, name: str) -> None:
    assert sentences.suggested_name(measured, threshold, "bad") == name
