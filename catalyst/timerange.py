"""The time range of a page, `range=7d` or `from=…&to=…` in the URL, and the buckets of its charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import urlencode

from django.db import models
from django.db.models import F, Func, Value

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
LAST: Mapping[str, str] = {
    "1h": "the last hour",
    "6h": "the last 6 hours",
    "12h": "the last 12 hours",
    "1d": "the last 24 hours",
    **{key: f"the last {key[:-1]} days" for key in ("3d", "7d", "14d", "30d", "90d")},
}
DEFAULT = "1d"
CUSTOM = "custom"
MAX_SHOWN_CHARACTERS = 40
PARAMETERS = ("range", "from", "to", "after")
BUCKET_WIDTHS = [MINUTE, 5 * MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 7 * DAY, 28 * DAY]
MAX_BUCKETS = 90
# Widths of bars that people can choose.
WIDTHS = {"hour": HOUR, "day": DAY}
MAX_CHOSEN_BUCKETS = 200
# No span can start before it.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
# The latest end of a range, after now.
MAX_AHEAD = 366 * DAY


# The parameters of a page, each with one or all of its values.
type Query = Mapping[str, str] | Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `start` (inclusive) to `end` (exclusive). Chosen bars may begin before `start`."""

    key: str
    start: datetime
    end: datetime
    bucket_width: timedelta
    # The default width of a bar, if another one was chosen.
    default_bucket_width: timedelta | None = None
    # Why it is not what the parameters asked for, as one or two sentences.
    problem: str = ""

    @property
    def query(self) -> dict[str, str | None]:
        """Query parameters. None removes one."""
        if self.key != CUSTOM:
            return {"range": self.key, "from": None, "to": None}
        return {"range": None, "from": iso(self.start), "to": iso(self.end)}

    @property
    def encoded_query(self) -> str:
        """The query parameters of an address that has no others."""
        return urlencode({name: value for name, value in self.query.items() if value})

    @property
    def text(self) -> str:
        if self.key != CUSTOM:
            return LAST[self.key]
        return f"{self.start:%-d %b %Y %H:%M} to {self.end:%-d %b %Y %H:%M} UTC"

    @property
    def short_text(self) -> str:
        """The bounds for a narrow place."""
        return short(self.start, self.end)

    @property
    def choices(self) -> list[str]:
        return list(RANGES)

    @property
    def first_bucket(self) -> datetime:
        # Chosen hours and days are those of the clock in UTC.
        return floor(self.start, self.bucket_width) if self.default_bucket_width else self.start

    def with_bucket_width(self, name: str) -> "TimeRange":
        """Set the width to WIDTHS[name] if that gives a reasonable number of bars."""
        width = WIDTHS.get(name, self.bucket_width)
        if width == self.bucket_width or not _is_offered(width, self.end - self.start):
            return self
        return replace(self, bucket_width=width, default_bucket_width=self.bucket_width)

    @property
    def widths(self) -> list[tuple[str | None, str, bool]]:
        """Selectable widths: (parameter, text, is selected). The parameter is None for the default."""
        default = self.default_bucket_width or self.bucket_width
        offered = {
            step: name for name, step in WIDTHS.items() if step != default and _is_offered(step, self.end - self.start)
        }
        widths = sorted({default, *offered})
        return [(offered.get(width), _width_text(width), width == self.bucket_width) for width in widths]

    def until(self, now: datetime) -> datetime:
        """Return the end of the part that has passed, to the minute; of a range in the future, its end."""
        passed = min(self.end, floor(now, MINUTE))
        return passed if passed > self.start else self.end

    def prior_start(self, now: datetime) -> datetime:
        """Return the start of the previous period, as long as the part of this one that has passed."""
        return self.start - (self.until(now) - self.start)

    def buckets(self) -> list[datetime]:
        count = -((self.first_bucket - self.end) // self.bucket_width)
        return [self.first_bucket + index * self.bucket_width for index in range(count)]

    def in_buckets(self, limit: int) -> "TimeRange":
        """Merge bars so that up to `limit` remain."""
        return replace(self, bucket_width=self.bucket_width * -(-len(self.buckets()) // limit))

    def bucket_query(self, start: datetime, keep: Query) -> str:
        """Return the query string that narrows the page to one bar."""
        other_parameters = {name: value for name, value in keep.items() if name not in PARAMETERS}
        bar = {"from": iso(max(start, self.start)), "to": iso(min(start + self.bucket_width, self.end))}
        return urlencode({**other_parameters, **bar}, doseq=True)


def iso(moment: datetime) -> str:
    # To the minute, in UTC.
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M}"


def short(start: datetime, end: datetime) -> str:
    """`23 Nov 10:00 to 14:00 UTC`."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    last = f"{end:%-d %b %H:%M}" if start.date() != end.date() else f"{end:%H:%M}"
    return f"{start:%-d %b %H:%M} to {last} UTC"


def floor(moment: datetime, step: timedelta) -> datetime:
    """Round down to a multiple of `step`."""
    return moment - (moment - EPOCH) % step


def ceil(moment: datetime, step: timedelta) -> datetime:
    """Round up to a multiple of `step`."""
    return -(-(moment - EPOCH) // step) * step + EPOCH


def kept_since(now: datetime, days: int) -> datetime:
    # Whole days expire, so this is midnight.
    return floor(now, DAY) - days * DAY


def parse(params: Mapping[str, str], now: datetime) -> TimeRange:
    """Invalid parameters give the default range, with the problem."""
    key = params.get("range") or DEFAULT
    default = named(key if key in RANGES else DEFAULT, now)
    problem = _problem(params, now)
    start, end = _clamped(params.get("from"), now), _clamped(params.get("to"), now) or now
    if start and not problem:
        custom = between(start, end)
        return replace(custom, problem="This range is in the future.") if start > now else custom
    return replace(default, problem=f"{problem} Shown: {default.text}.") if problem else default


def _problem(params: Mapping[str, str], now: datetime) -> str:
    for name in ("from", "to"):
        if (text := params.get(name)) and _clamped(text, now) is None:
            return f"{name.capitalize()} is not a time: {text[:MAX_SHOWN_CHARACTERS]}."
    key = params.get("range")
    return _order_problem(_clamped(params.get("from"), now), _clamped(params.get("to"), now), now) or (
        f"{key[:MAX_SHOWN_CHARACTERS]} is not a time range." if key and key not in RANGES else ""
    )


def _order_problem(start: datetime | None, end: datetime | None, now: datetime) -> str:
    if start is not None:
        return "" if start < (end or now) else "From must be before To, and in the past."
    if end is not None:
        return "To needs a From."
    return ""


def with_moment(params: Mapping[str, str], moment: datetime, now: datetime) -> TimeRange:
    """Return the page's range if it contains this time, else the shortest one that does."""
    asked = parse(params, now)
    return asked if asked.start <= moment < asked.end else around(moment, now)


def named(key: str, now: datetime) -> TimeRange:
    """Return a range of RANGES: the bars from the one that contains its length ago to the one that contains now."""
    length, step = RANGES[key]
    return TimeRange(key, floor(now - length, step), floor(now, step) + step, step)


def between(start: datetime, end: datetime) -> TimeRange:
    """Return a custom range with up to MAX_BUCKETS bars."""
    widest = BUCKET_WIDTHS[-1] * -(-(end - start) // (BUCKET_WIDTHS[-1] * MAX_BUCKETS))
    step = next((step for step in BUCKET_WIDTHS if (end - start) / step <= MAX_BUCKETS), widest)
    edge = min(step, HOUR)
    return TimeRange(CUSTOM, floor(start, edge), ceil(end, edge), step)


def around(moment: datetime, now: datetime) -> TimeRange:
    """Return the shortest of RANGES that contains this time, else its day."""
    for key in RANGES:
        time_range = named(key, now)
        if time_range.start <= moment < time_range.end:
            return time_range
    return between(floor(moment, DAY), floor(moment, DAY) + DAY)


def _is_offered(width: timedelta, length: timedelta) -> bool:
    return 2 * width <= length <= MAX_CHOSEN_BUCKETS * width


def _width_text(step: timedelta) -> str:
    unit = next(unit for unit in (DAY, HOUR, MINUTE) if step >= unit)
    name = {DAY: "day", HOUR: "hour", MINUTE: "minute"}[unit]
    return name.capitalize() if step == unit else f"{step // unit} {name}s"


def parse_moment(text: str | None) -> datetime | None:
    """A time in ISO 8601, in UTC if it names no zone. None for other text."""
    try:
        parsed = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _clamped(text: str | None, now: datetime) -> datetime | None:
    parsed = parse_moment(text)
    return min(max(parsed, EARLIEST), now + MAX_AHEAD).astimezone(UTC) if parsed else None


def bucket_start(field: str, time_range: TimeRange) -> Func:
    """The start of the bucket that has the time in `field`, as an expression for queries."""
    return Func(
        Value(time_range.bucket_width), F(field), Value(time_range.first_bucket), function="date_bin",
        output_field=models.DateTimeField(),
    )  # fmt: skip
