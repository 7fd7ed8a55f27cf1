"""Rules in words: for pages, messages and records. Pure."""

from collections.abc import Iterator
from datetime import timedelta
from math import isinf

from alerts.choices import Metric, Operator
from alerts.measures import Measure
from alerts.rules import Rule
from catalyst.timerange import HOUR, MINUTE

YES = "yes"
FROM_ZERO = "up from zero"


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
        noun = "label" if measure.min_count == 1 else "labels"
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
    return f"{what} {limit}" if measure.metric.is_share else f"{what} {limit} in {window_text(measure.window)}"


def value_text(measure: Measure, value: float) -> str:
    """A value with its unit: `22.8%`, `1,234`, `+4%`."""
    if isinf(value):
        return FROM_ZERO
    if measure.compares:
        return f"{'+' if value > 0 else ''}{number(round(value, 1))}%"
    return f"{number(round(100 * value, 1))}%" if measure.metric.is_share else number(value)


def threshold_text(measure: Measure, threshold: float) -> str:
    """`at least 20%`, `at most 50`, `+10% or more`."""
    if measure.compares:
        side = "more" if measure.operator == Operator.GTE else "less"
        return f"{'+' if threshold > 0 else ''}{number(threshold)}% or {side}"
    amount = f"{percent(threshold)}%" if measure.metric.is_share else number(threshold)
    return f"{measure.operator.label} {amount}"


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
    quoted = f"“{_name(measure.metric, label)}”"
    if measure.metric.is_share:
        return f"{limit} of the labels of {window} are {quoted}"
    if measure.metric == Metric.VALUE_COUNT:
        return f"{quoted} is given {limit} {'time' if threshold == 1 else 'times'} in {window}"
    return f"there {'is' if threshold == 1 else 'are'} {limit} {'label' if threshold == 1 else 'labels'} in {window}"


def _change_phrase(measure: Measure, threshold: float, label: str) -> str:
    before = _before(measure.window)
    quoted = f"“{_name(measure.metric, label)}”"
    if measure.metric.is_share:
        return f"{quoted} is {_change(measure.operator, threshold, 'frequent', 'frequent')} {before}"
    if measure.metric == Metric.VALUE_COUNT:
        return f"{quoted} is given {_change(measure.operator, threshold, 'often', 'often')} {before}"
    return f"there are {_change(measure.operator, threshold, 'many labels', 'labels')} {before}"


def _change(operator: Operator, threshold: float, equal: str, more: str) -> str:
    if not threshold:
        return f"{operator.label} as {equal} as in"
    # At least 10 % less is at most a change of -10 %.
    rises = threshold > 0
    shown = operator if rises else Operator.LTE if operator == Operator.GTE else Operator.GTE
    return f"{shown.label} {number(abs(threshold))}% {_compared(rises, more)} than in"


def _compared(rises: bool, what: str) -> str:
    if rises:
        return "more often" if what == "often" else f"more {what}"
    return {"often": "less often", "labels": "fewer labels"}.get(what, f"less {what}")


def _window(window: timedelta) -> str:
    return "an hour" if window == HOUR else window_text(window)


def _before(window: timedelta) -> str:
    return f"the {'hour' if window == HOUR else window_text(window)} before"


def _name(metric: Metric, label: str) -> str:
    if metric == Metric.TRUE_RATE:
        return YES
    return label if metric.takes_value else "labels"
