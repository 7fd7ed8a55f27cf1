"""The time range that a page shows: in the URL as `range=7d`, or as `from=…&to=…`. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import urlencode

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

type RangeName = Literal["1h", "6h", "12h", "1d", "3d", "7d", "14d", "30d", "90d"]

# Each range and the width of one bar in its charts.
RANGES: Mapping[str, tuple[timedelta, timedelta]] = {
    "1h": (HOUR, MINUTE),
    "6h": (6 * HOUR, 5 * MINUTE),
    "12h": (12 * HOUR, 10 * MINUTE),
    "1d": (DAY, HOUR),
    "3d": (3 * DAY, HOUR),
    "7d": (7 * DAY, 3 * HOUR),
    "14d": (14 * DAY, 6 * HOUR),
    "30d": (30 * DAY, 12 * HOUR),
    "90d": (90 * DAY, DAY),
}
DEFAULT = "1d"
CUSTOM = "custom"
PARAMETERS = ("range", "from", "to", "after")
STEPS = [MINUTE, 5 * MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 7 * DAY, 28 * DAY]
MAX_BARS = 90
WIDTHS = {"hour": HOUR, "day": DAY}
"""Of a bar, to choose from in place of the range's own."""
MAX_CHOSEN_BARS = 200
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""No span can start before it."""
AHEAD = 366 * DAY
"""Ranges end at most this long after now."""


type Query = Mapping[str, str] | Mapping[str, Sequence[str]]
"""The parameters of a page, each with its value or all of its values."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `start` (kept) to `end` (left out). Its own bars begin at the start; chosen ones may reach out of it."""

    key: str
    start: datetime
    end: datetime
    step: timedelta
    own_step: timedelta | None = None
    """The width of a bar if none is chosen, where another one is."""

    @property
    def query(self) -> dict[str, str | None]:
        """The range as query parameters; None takes one away."""
        if self.key != CUSTOM:
            return {"range": self.key, "from": None, "to": None}
        return {"range": None, "from": iso(self.start), "to": iso(self.end)}

    @property
    def text(self) -> str:
        """`the last 7 d`, or the two ends."""
        if self.key != CUSTOM:
            return f"the last {self.key[:-1]} {self.key[-1]}"
        return f"{self.start:%-d %b %Y %H:%M} to {self.end:%-d %b %Y %H:%M}"

    @property
    def choices(self) -> list[str]:
        """The ranges to choose from."""
        return list(RANGES)

    @property
    def first_bar(self) -> datetime:
        """Where the first bar starts. Hours and days that are chosen are those of the clock, in UTC."""
        return floor(self.start, self.step) if self.own_step else self.start

    def in_bars(self, name: str) -> "TimeRange":
        """The same range in bars as wide as `name` (one of WIDTHS) says, if that makes a chart; else in its own."""
        width = WIDTHS.get(name, self.step)
        if width == self.step or not _is_offered(width, self.end - self.start):
            return self
        return replace(self, step=width, own_step=self.step)

    @property
    def widths(self) -> list[tuple[str | None, str, bool]]:
        """How wide a bar can be: the parameter (None: the range's own), in words, and whether it is so wide."""
        own = self.own_step or self.step
        offered = {
            step: name for name, step in WIDTHS.items() if step != own and _is_offered(step, self.end - self.start)
        }
        return [(offered.get(step), _words(step), step == self.step) for step in sorted({own, *offered})]

    def prior_start(self, now: datetime) -> datetime:
        """Where the equal period before this one starts; what has not passed yet does not count."""
        passed = min(self.end, ceil(now, min(self.step, HOUR)))
        return self.start - ((passed if passed > self.start else self.end) - self.start)

    def buckets(self) -> list[datetime]:
        """The start of every bar."""
        count = -((self.first_bar - self.end) // self.step)
        return [self.first_bar + index * self.step for index in range(count)]

    def with_bars(self, most: int) -> "TimeRange":
        """The same stretch of time in at most so many bars, each as wide as some of these together."""
        return replace(self, step=self.step * -(-len(self.buckets()) // most))

    def bucket_query(self, start: datetime, keep: Query) -> str:
        """Query string of what is in the range of one bar, with the other parameters of the page."""
        others = {name: value for name, value in keep.items() if name not in PARAMETERS}
        shown = {"from": iso(max(start, self.start)), "to": iso(min(start + self.step, self.end))}
        return urlencode({**others, **shown}, doseq=True)


def iso(when: datetime) -> str:
    """A time for the URL, to the minute, in UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M}"


def floor(when: datetime, step: timedelta) -> datetime:
    """The last bar edge at or before this time."""
    return when - (when - EPOCH) % step


def ceil(when: datetime, step: timedelta) -> datetime:
    """The first bar edge at or after this time."""
    return -(-(when - EPOCH) // step) * step + EPOCH


def kept_since(now: datetime, days: int) -> datetime:
    """Since when there is something of what is kept for so many days: a midnight, since whole days expire."""
    return floor(now, DAY) - days * DAY


def parse(params: Mapping[str, str], now: datetime) -> TimeRange:
    """The range that the URL names; anything it can't mean gives the default range."""
    start, end = _time(params.get("from"), now), _time(params.get("to"), now)
    if start and (end or now) > start:
        return between(start, end or now)
    key = params.get("range", DEFAULT)
    return named(key if key in RANGES else DEFAULT, now)


def named(key: str, now: datetime) -> TimeRange:
    """One of RANGES, up to the end of the bar that is now."""
    length, step = RANGES[key]
    end = ceil(now + timedelta(microseconds=1), step)
    return TimeRange(key, end - length, end, step)


def between(start: datetime, end: datetime) -> TimeRange:
    """A range of one's own, with bars as fine as fit."""
    longest = STEPS[-1] * -(-(end - start) // (STEPS[-1] * MAX_BARS))
    step = next((step for step in STEPS if (end - start) / step <= MAX_BARS), longest)
    edge = min(step, HOUR)
    return TimeRange(CUSTOM, floor(start, edge), ceil(end, edge), step)


def around(when: datetime, now: datetime) -> TimeRange:
    """The shortest of RANGES that holds this time, else the day around it."""
    for key in RANGES:
        found = named(key, now)
        if found.start <= when < found.end:
            return found
    return between(floor(when, DAY), floor(when, DAY) + DAY)


def _is_offered(width: timedelta, length: timedelta) -> bool:
    return 2 * width <= length <= MAX_CHOSEN_BARS * width


def _words(step: timedelta) -> str:
    """`Hour`, `3 hours`, `Day`."""
    unit = next(unit for unit in (DAY, HOUR, MINUTE) if step >= unit)
    name = {DAY: "day", HOUR: "hour", MINUTE: "minute"}[unit]
    return name.capitalize() if step == unit else f"{step // unit} {name}s"


def _time(text: str | None, now: datetime) -> datetime | None:
    try:
        when = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return min(max(when, EARLIEST), now + AHEAD).astimezone(UTC)
