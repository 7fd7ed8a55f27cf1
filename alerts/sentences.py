"""Rules in words: for pages, messages and records. Pure."""

from collections.abc import Iterator
from datetime import timedelta
from math import isinf
from typing import NamedTuple

from alerts.choices import Metric, Operator
from alerts.measures import Measure
from alerts.rules import Rule
from catalyst import formats
from catalyst.timerange import HOUR, MINUTE

YES = "yes"
FROM_ZERO = "up from zero"
MICROSECONDS = 1_000_000
# Of the metrics of agents, in suggested names.
NAMES = {
    Metric.RUNS: "traces",
    Metric.ERROR_RATE: "failed traces",
    Metric.P95_LATENCY: "p95 latency",
    Metric.COST: "cost",
    Metric.TOKENS: "tokens",
}


def fires_when(measure: Measure, threshold: float, label: str = "") -> str:
    """`Fires when “yes” is at least 10% more frequent than in the hour before.` `label`: the value that is counted."""
    return f"Fires when {_phrase(measure, threshold, label)}."


def rule_in_words(measure: Measure, rule: Rule, label: str = "") -> list[str]:
    """All of a rule, one sentence each."""
    return [fires_when(measure, rule.threshold, label), *_conditions(measure, rule, label)]


def _conditions(measure: Measure, rule: Rule, label: str) -> Iterator[str]:
    if rule.warning is not None:
        yield f"Warns when {_phrase(measure, rule.warning, label)}."
    if rule.only_significant:
        yield "Does not fire on a value that chance alone explains."
    if measure.min_count:
        noun = _counted(measure.metric, measure.min_count)
        yield f"Needs at least {measure.min_count:,} {noun} in {'both windows' if measure.compares else 'the window'}."
    if rule.cooldown:
        yield f"Fires again after {window_text(rule.cooldown)} at the earliest."
    if rule.notify_no_data:
        yield "Tells when there is no data."


def suggested_name(measure: Measure, threshold: float, label: str = "") -> str:
    """`yes at least 30%`, `failed up 10%`, `labels at least 50 in 1 hour`."""
    what = _name(measure.metric, label)
    if measure.compares:
        return f"{what} {'up' if threshold >= 0 else 'down'} {number(abs(threshold))}%"
    limit = threshold_text(measure, threshold)
    return f"{what} {limit} in {window_text(measure.window)}" if measure.metric.adds_up else f"{what} {limit}"


def value_text(measure: Measure, value: float) -> str:
    """A value with its unit: `22.8%`, `1,234`, `+4%`."""
    if isinf(value):
        return FROM_ZERO
    if measure.compares:
        return f"{'+' if value > 0 else ''}{number(round(value, 1))}%"
    if measure.metric.is_share:
        return f"{number(round(100 * value, 1))}%"
    if measure.metric == Metric.P95_LATENCY:
        return formats.about(value * MICROSECONDS)
    return formats.usd(value) if measure.metric == Metric.COST else number(value)


def threshold_text(measure: Measure, threshold: float) -> str:
    """`at least 20%`, `at most 50`, `+10% or more`."""
    if measure.compares:
        side = "more" if measure.operator == Operator.GTE else "less"
        return f"{'+' if threshold > 0 else ''}{number(threshold)}% or {side}"
    return f"{measure.operator.label} {_amount(measure.metric, threshold)}"


def _amount(metric: Metric, threshold: float) -> str:
    if metric.is_share:
        return f"{percent(threshold)}%"
    if metric == Metric.P95_LATENCY:
        return f"{number(threshold)} s"
    return f"${number(threshold)}" if metric == Metric.COST else number(threshold)


def metric_text(measure: Measure, label: str = "") -> str:
    """What is measured: `Share of “yes” in 1 hour`."""
    whats = {
        Metric.TRUE_RATE: "Share of “yes”",
        Metric.VALUE_SHARE: f"Share of “{label}”",
        Metric.VALUE_COUNT: f"Number of “{label}”",
    }
    text = f"{whats.get(measure.metric, measure.metric.label)} in {window_text(measure.window)}"
    return f"{text}, against {_before(measure.window)}" if measure.compares else text


def window_text(window: timedelta) -> str:
    """`5 minutes`, `1 hour`, `48 hours`."""
    count, unit = (window // HOUR, "hour") if window % HOUR == timedelta() else (window // MINUTE, "minute")
    return f"{count} {unit}{'' if count == 1 else 's'}"


def percent(share: float) -> str:
    return number(100 * share)


def number(amount: float) -> str:
    """`1,234`, `0.5`, without what binary fractions add."""
    text = f"{round(amount, 6):,.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _phrase(measure: Measure, threshold: float, label: str) -> str:
    if measure.compares:
        return _change_phrase(measure, threshold, label)
    limit, window = threshold_text(measure, threshold), _window(measure.window)
    if measure.metric.is_of_agent:
        return _agent_phrase(measure.metric, limit, threshold, window)
    quoted = f"“{_name(measure.metric, label)}”"
    if measure.metric.is_share:
        return f"{limit} of the labels of {window} are {quoted}"
    if measure.metric == Metric.VALUE_COUNT:
        return f"{quoted} is given {limit} {'time' if threshold == 1 else 'times'} in {window}"
    return _there_are(measure.metric, limit, threshold, window)


def _agent_phrase(metric: Metric, limit: str, threshold: float, window: str) -> str:
    if metric == Metric.RUNS:
        return _there_are(metric, limit, threshold, window)
    if metric == Metric.P95_LATENCY:
        return f"the 95th percentile of latency in {window} is {limit}"
    does = {
        Metric.ERROR_RATE: f"{limit} of the traces of {window} failed",
        Metric.COST: f"the traces of {window} cost {limit}",
        Metric.TOKENS: f"the traces of {window} use {limit} {'token' if threshold == 1 else 'tokens'}",
    }
    return does[metric]


def _there_are(metric: Metric, limit: str, threshold: float, window: str) -> str:
    return f"there {'is' if threshold == 1 else 'are'} {limit} {_counted(metric, threshold)} in {window}"


def _counted(metric: Metric, count: float) -> str:
    return metric.noun.removesuffix("s") if count == 1 else metric.noun


class Words(NamedTuple):
    """Of a comparison: `as many labels as`, `more labels than`, `fewer labels than`."""

    equal: str
    more: str
    less: str


def _many(noun: str) -> Words:
    return Words(f"many {noun}", f"more {noun}", f"fewer {noun}")


FREQUENT = Words("frequent", "more frequent", "less frequent")
OFTEN = Words("often", "more often", "less often")
# What happens, and how it is compared.
CHANGES = {
    Metric.LABEL_VOLUME: ("there are", _many("labels")),
    Metric.TRUE_RATE: ("{} is", FREQUENT),
    Metric.VALUE_SHARE: ("{} is", FREQUENT),
    Metric.VALUE_COUNT: ("{} is given", OFTEN),
    Metric.RUNS: ("there are", _many("traces")),
    Metric.ERROR_RATE: ("traces fail", OFTEN),
    Metric.P95_LATENCY: ("the 95th percentile of latency is", Words("high", "higher", "lower")),
    Metric.COST: ("the traces cost", Words("much", "more", "less")),
    Metric.TOKENS: ("the traces use", _many("tokens")),
}


def _change_phrase(measure: Measure, threshold: float, label: str) -> str:
    happens, words = CHANGES[measure.metric]
    subject = happens.replace("{}", f"“{_name(measure.metric, label)}”")
    return f"{subject} {_change(measure.operator, threshold, words)} {_before(measure.window)}"


def _change(operator: Operator, threshold: float, words: Words) -> str:
    if not threshold:
        return f"{operator.label} as {words.equal} as in"
    # At least 10 % less is at most a change of -10 %.
    rises = threshold > 0
    shown = operator if rises else Operator.LTE if operator == Operator.GTE else Operator.GTE
    return f"{shown.label} {number(abs(threshold))}% {words.more if rises else words.less} than in"


def _window(window: timedelta) -> str:
    return "an hour" if window == HOUR else window_text(window)


def _before(window: timedelta) -> str:
    return f"the {'hour' if window == HOUR else window_text(window)} before"


def _name(metric: Metric, label: str) -> str:
    if metric == Metric.TRUE_RATE:
        return YES
    return label if metric.takes_value else NAMES.get(metric, "labels")
