"""Outcomes of a signal with their colors, and charts of them. Pure functions."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from catalyst import figures
from catalyst.confidence import wilson
from catalyst.figures import Bar, Series
from catalyst.timerange import TimeRange

SHADES = 3
# Amber first: it reads as something in between.
BEYOND = ("cat-2", "cat-1", "cat-3", "cat-4", "cat-5", "cat-6")
# Labels that stay grey. Other neutral labels have colors of their own.
QUIET = ("no", "neutral")
PERCENT = figures.Unit("%{y:.1f}%", suffix="%")
FROM_THE_BASE = ("negative", "neutral", "positive")


@dataclass(frozen=True, slots=True)
class Outcome:
    value: str
    color_class: str
    tone: str
    count: int
    total: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of `share`, in percent."""
        low, high = wilson(self.count, self.total)
        return 100 * low, 100 * high

    @property
    def width(self) -> float:
        low, high = self.interval
        return high - low

    @property
    def share(self) -> float:
        """In percent of `total`."""
        return 100 * self.count / self.total if self.total else 0


def sentiment_class(value: str, sentiment: str) -> str:
    # "No" to a bad thing is grey, not green, so that the one red stands out.
    return "neutral" if value == "no" and sentiment == "positive" else sentiment


def colors_for(outcomes: Sequence[tuple[str, str]]) -> list[str]:
    """Distinct colors for up to ten outcomes, each a value with its color class."""
    colors: list[str] = []
    for value, color_class in outcomes:
        shades = [color_class, *(f"{color_class}-{shade}" for shade in range(2, SHADES + 1))]
        if color_class == "neutral" and value not in QUIET:
            shades = []
        colors.append(next((color for color in [*shades, *BEYOND] if color not in colors), color_class))
    return colors


def color_of(value: str, labels: Sequence[str], sentiments: Mapping[str, str]) -> str:
    """The color of one of a version's labels, the same as in its charts."""
    classes = [(label, sentiment_class(label, sentiments.get(label, "neutral"))) for label in labels]
    return dict(zip(labels, colors_for(classes), strict=True)).get(value, "neutral")


def outcomes(
    sentiments: Mapping[str, str], counts: Mapping[str, int], offered: Collection[str] | None = None
) -> list[Outcome]:
    """Outcomes in the order of `sentiments`. `counts` may lack some.

    A value that is not `offered`, because no version that could give it has judged anything, has no share.
    """
    total = sum(counts.values())
    possible = sentiments.keys() if offered is None else {*offered, *counts}
    classes = [sentiment_class(value, sentiment) for value, sentiment in sentiments.items()]
    return [
        Outcome(value, color_class, color, counts.get(value, 0), total if value in possible else 0)
        for value, color_class, color in zip(
            sentiments, classes, colors_for(list(zip(sentiments, classes, strict=True))), strict=True
        )
    ]


def headline(found: Sequence[Outcome]) -> Outcome | None:
    """The most frequent negative outcome, else the most frequent one, or None."""
    judged = [outcome for outcome in found if outcome.total] or found
    bad = [outcome for outcome in judged if outcome.color_class == "negative"]
    return max(bad or judged, key=lambda outcome: outcome.count, default=None)


def breakdown(found: Sequence[Outcome]) -> list[Bar]:
    # Negative labels come first: at the left edge, bars can be compared.
    return figures.stackbar([(outcome.value, outcome.count, outcome.tone) for outcome in from_the_base(found)])


def over_time(
    found: Sequence[Outcome],
    counts: Mapping[tuple[datetime, str], int],
    time_range: TimeRange,
    *,
    shares: bool = False,
) -> dict[str, Any]:
    """Stacked bars of labels, or of their shares in percent, by target time."""
    starts = time_range.buckets()
    totals = Counter[datetime]()
    for (start, _), count in counts.items():
        totals[start] += count
    series = [
        Series(
            outcome.value,
            [_height(counts.get((start, outcome.value), 0), totals[start], shares) for start in starts],
            outcome.tone,
        )
        for outcome in from_the_base(found)
    ]
    unit = PERCENT if shares else figures.COUNT
    # Bars count labels, so a click lists targets with a label only.
    queries = [time_range.bucket_query(start, {"status": "labelled"}) for start in starts]
    return figures.stacked_bars(starts, series, queries, unit)


def _height(count: int, total: int, shares: bool) -> float | None:
    if not total:
        return None
    return 100 * count / total if shares else count


def from_the_base(found: Iterable[Outcome]) -> list[Outcome]:
    # Negative outcomes are drawn on the axis.
    return sorted(found, key=lambda outcome: FROM_THE_BASE.index(outcome.color_class))
