"""Between the editor and the backtest: a rule as it is typed, over past days."""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from math import isfinite
from typing import Any

from alerts import backtest, operations, sentences
from alerts.backtest import Backtest
from alerts.choices import Metric
from alerts.counts import of_alert
from alerts.forms.alerts import typed
from alerts.models import Alert
from alerts.operations import Definition, Subject
from alerts.views import charts
from catalyst import figures
from catalyst.formats import lasting
from catalyst.timerange import DAY
from traces.models.agent_minutes import MINUTES_KEPT

DAYS = (1, 3, 7, 14, 30)
DEFAULT_DAYS = 7
MAX_LISTED = 10
DAYS_A_WEEK = 7


@dataclass(frozen=True, slots=True)
class Held:
    """Something that held firings back."""

    what: str
    count: int


@dataclass(frozen=True, slots=True)
class Row:
    """A firing. `lasted` is empty while it goes on."""

    start: datetime
    lasted: str
    peak: str


@dataclass(frozen=True, slots=True)
class Tested:
    """What a rule would have done. `suggestion`: a threshold in words; empty without values. `note`: what limits it."""

    result: Backtest
    title: str
    figure: dict[str, Any] | None
    rows: list[Row]
    held: list[Held]
    suggestion: str
    noun: str
    note: str

    @property
    def days(self) -> str:
        number = sentences.number(round(self.result.days, 1))
        return f"{number} day{'' if number == '1' else 's'}"

    @property
    def per_day(self) -> str:
        """Empty below one."""
        rate = self.result.firings_per_day
        return sentences.number(round(rate, 1)) if rate >= 1 else ""

    @property
    def count(self) -> int:
        return len(self.result.firings)

    @property
    def unlisted(self) -> int:
        return self.count - len(self.rows)

    @property
    def unknown_percent(self) -> int:
        return round(100 * self.result.unknown)


def run(definition: Definition, subject: Subject, days: int, now: datetime) -> Tested:
    """`definition` must be a valid one."""
    alert = operations.draft(subject, definition)
    measure = alert.measure
    result = backtest.run(of_alert(alert), alert.rule, days, now)
    held = [
        Held("The cooldown", result.held_by_cooldown),
        Held("The minimum", result.held_by_minimum),
        Held("The rule of chance", result.held_by_chance),
    ]
    listed = list(reversed(result.firings))[:MAX_LISTED]
    return Tested(
        result,
        sentences.metric_text(measure, alert.string_label),
        _figure(alert, result),
        [_row(alert, firing) for firing in listed],
        [each for each in held if each.count],
        _in_words(alert, _suggested(alert, result)),
        alert.noun,
        _note(alert, days),
    )


def _note(alert: Alert, days: int) -> str:
    is_short = alert.signal is None and not alert.measure.is_hourly
    if not is_short or days * DAY <= MINUTES_KEPT:
        return ""
    return f"Windows below an hour can be tested over the last {MINUTES_KEPT // DAY} days."


def suggested_threshold(definition: Definition, subject: Subject, now: datetime) -> str:
    """A threshold that would have been reached about once a week, as people type it. Empty without values."""
    alert = operations.draft(subject, definition)
    result = backtest.run(of_alert(alert), alert.rule, DEFAULT_DAYS, now)
    value = _suggested(alert, result)
    return "" if value is None else typed(value, in_percent=_is_plain_share(alert))


def _suggested(alert: Alert, result: Backtest) -> float | None:
    """As `backtest.suggest` does, from the points that are there already: what one day in seven reached."""
    rule, peaks = alert.rule, dict[int, float]()
    for point in result.points:
        day = (point.end - result.start) // DAY
        if point.value is not None and isfinite(point.value) and rule.is_beyond(point.value, peaks.get(day)):
            peaks[day] = point.value
    ordered = sorted(peaks.values(), reverse=rule.rises)
    return _rounded(alert, ordered[max(round(len(ordered) / DAYS_A_WEEK), 1) - 1]) if ordered else None


def _in_words(alert: Alert, value: float | None) -> str:
    return "" if value is None else sentences.threshold_text(alert.measure, value)


def _rounded(alert: Alert, value: float) -> float:
    """Three digits of a share, of seconds and of dollars, else a whole number: one that was still reached."""
    exact = Decimal(repr(value))
    places = 0
    if _is_plain_share(alert):
        places = 3
    elif alert.metric in {Metric.P95_LATENCY, Metric.COST} and not alert.measure.compares:
        places = 2 - exact.adjusted()
    rounding = ROUND_FLOOR if alert.rule.rises else ROUND_CEILING
    return float(exact.quantize(Decimal(1).scaleb(-places), rounding))


def _is_plain_share(alert: Alert) -> bool:
    return alert.measure.metric.is_share and not alert.measure.compares


def _figure(alert: Alert, result: Backtest) -> dict[str, Any] | None:
    values = [point.value for point in result.points]
    if all(value is None for value in values):
        return None
    starts = [result.start + place * result.width for place in range(len(values))]
    figure = charts.drawn(alert.measure, starts, values, alert.threshold, alert.warning)
    return figures.shade(figure, [(firing.start, firing.end or result.end) for firing in result.firings])


def _row(alert: Alert, firing: backtest.Firing) -> Row:
    lasted = lasting(firing.end - firing.start) if firing.end else ""
    peak = "" if firing.peak is None else sentences.value_text(alert.measure, firing.peak)
    return Row(firing.start, lasted, peak)
