"""Choices of alerts, with the names that machine interfaces use."""

from datetime import timedelta

from django.db import models

from catalyst.timerange import HOUR, MINUTE


class Metric(models.TextChoices):
    LABEL_VOLUME = "label_volume", "Number of labels"
    TRUE_RATE = "true_rate", "Share of yes"
    VALUE_COUNT = "value_count", "Number of one label"
    VALUE_SHARE = "value_share", "Share of one label"
    RUNS = "runs", "Number of traces"
    ERROR_RATE = "error_rate", "Share of failed traces"
    P95_LATENCY = "p95_latency", "95th percentile of latency"
    COST = "cost", "Cost"
    TOKENS = "tokens", "Tokens"

    @property
    def is_of_agent(self) -> bool:
        """True for an agent's own numbers, False for labels of a signal."""
        return self in _OF_AGENTS

    @property
    def takes_value(self) -> bool:
        return self in _OF_VALUES

    @property
    def is_share(self) -> bool:
        return self in {Metric.TRUE_RATE, Metric.VALUE_SHARE, Metric.ERROR_RATE}

    @property
    def adds_up(self) -> bool:
        """True for amounts, of which a part of a window has less. False for shares and percentiles."""
        return not self.is_share and self != Metric.P95_LATENCY

    @property
    def has_chance(self) -> bool:
        """True if a test can tell whether chance alone explains a value."""
        return self not in {Metric.COST, Metric.TOKENS}

    @property
    def noun(self) -> str:
        """What a window has, in the plural."""
        return "traces" if self.is_of_agent else "labels"


_OF_AGENTS = {Metric.RUNS, Metric.ERROR_RATE, Metric.P95_LATENCY, Metric.COST, Metric.TOKENS}
_OF_VALUES = {Metric.VALUE_COUNT, Metric.VALUE_SHARE}
OF_SIGNALS = [metric for metric in Metric if not metric.is_of_agent]
OF_AGENTS = [metric for metric in Metric if metric.is_of_agent]
OF_VALUES = [metric for metric in Metric if metric.takes_value]


class Comparison(models.TextChoices):
    ABSOLUTE = "absolute", "The number itself"
    PCT_CHANGE = "pct_change", "Change against the window before"


class Operator(models.TextChoices):
    GTE = "gte", "at least"
    LTE = "lte", "at most"


class Window(models.TextChoices):
    FIVE_MINUTES = "5m", "5 minutes"
    TEN_MINUTES = "10m", "10 minutes"
    QUARTER_HOUR = "15m", "15 minutes"
    HALF_HOUR = "30m", "30 minutes"
    HOUR = "1h", "1 hour"
    THREE_HOURS = "3h", "3 hours"
    SIX_HOURS = "6h", "6 hours"
    DAY = "24h", "24 hours"
    TWO_DAYS = "48h", "48 hours"

    @property
    def length(self) -> timedelta:
        number, unit = int(self.value[:-1]), self.value[-1]
        return number * (MINUTE if unit == "m" else HOUR)


class Cooldown(models.IntegerChoices):
    """Minutes after a firing in which an alert does not fire again."""

    NONE = 0, "None"
    QUARTER_HOUR = 15, "15 minutes"
    HOUR = 60, "1 hour"
    SIX_HOURS = 360, "6 hours"
    DAY = 1440, "24 hours"
