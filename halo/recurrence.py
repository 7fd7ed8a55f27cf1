"""When schedules run: times of the clock in a zone, as moments.

A time that the clocks skip runs at the moment to which they jump. A time that they repeat runs once. Every hour means
every hour that passes, so that no hour is left out: on the day that has 25, there are 25.
A month that is too short for a day has it on its last day.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim

from halo.choices import Frequency

MINUTE = timedelta(minutes=1)
MIN_MINUTES = 5
MAX_LOOKBACK_HOURS = 720
LOOKBACK_HOURS = {Frequency.HOURLY: 1, Frequency.DAILY: 24, Frequency.WEEKLY: 168, Frequency.MONTHLY: 720}
# Each month has a time among these, so the newest one before a moment is at most so far away.
LONGEST = timedelta(days=33)
# From Sunday on.
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
# Months that lack a day.
SHORT_MONTHS = {29: "2", 30: "2", 31: "2,4,6,9,11"}


MAX_TIMES_IN_WORDS = 4


@cache
def zones() -> frozenset[str]:
    """The names of time zones. `localtime` is whatever this machine has."""
    return frozenset(available_timezones() - {"localtime", "Factory"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """`hours`: none means every hour, of an hourly one. `days_of_week`: from 0, Sunday. `timezone`: an IANA name."""

    frequency: str
    minutes: Sequence[int] = (0,)
    hours: Sequence[int] = ()
    days_of_week: Sequence[int] = ()
    days_of_month: Sequence[int] = ()
    timezone: str = "UTC"

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def times(self, after: datetime) -> Iterator[datetime]:
        """The moments after this one, in UTC."""
        latest = after
        for moment in heapq.merge(*(self._of(expression, after) for expression in self._expressions())):
            if moment > latest:
                yield moment
                latest = moment

    def next(self, after: datetime) -> datetime:
        return next(self.times(after))

    def newest(self, since: datetime, until: datetime) -> datetime:
        """The last moment up to `until`. `since` is one of the moments, and is returned if there is no later one."""
        newest = since
        for moment in self.times(max(since, until - LONGEST)):
            if moment > until:
                return newest
            newest = moment
        return newest

    def start(self, end: datetime, lookback_hours: int) -> datetime:
        """Where a window begins. Whole days are days of the zone, which have 23 to 25 hours."""
        days, hours = divmod(lookback_hours, 24)
        begun = self._moment(self._planned(end) - timedelta(days=days)) if days else end
        return begun - timedelta(hours=hours)

    def _planned(self, end: datetime) -> datetime:
        """What the clock would have shown. Where it jumps, that is the first of the times that it skips."""
        there = end.astimezone(self.zone)
        shown = there.replace(tzinfo=None)
        for minutes in range(self._skipped(there) // MINUTE, 0, -1):
            skipped = shown - minutes * MINUTE
            if skipped.minute in self.minutes and (skipped.hour in self.hours or not self.hours):
                return skipped
        return shown

    def _skipped(self, there: datetime) -> timedelta:
        """By how much clocks jump forward at this moment."""
        before = (there.astimezone(UTC) - MINUTE).astimezone(self.zone)
        return (there.utcoffset() or timedelta()) - (before.utcoffset() or timedelta())

    def _moment(self, shown: datetime) -> datetime:
        """When clocks first show this, or to when they skip it."""
        while True:
            moment = shown.replace(tzinfo=self.zone).astimezone(UTC)
            if moment.astimezone(self.zone).replace(tzinfo=None) == shown:
                return moment
            shown = (shown + MINUTE).replace(second=0, microsecond=0)

    def _expressions(self) -> Iterator[str]:
        """In the form of cron."""
        time = f"{_cron(self.minutes)} {_cron(self.hours)}"
        if self.frequency != Frequency.MONTHLY:
            yield f"{time} * * {_cron(self.days_of_week)}"
            return
        yield f"{time} {_cron(self.days_of_month)} * *"
        for months in {SHORT_MONTHS[day] for day in self.days_of_month if day in SHORT_MONTHS}:
            yield f"{time} L {months} *"

    def _of(self, expression: str, after: datetime) -> Iterator[datetime]:
        for moment in CronSim(expression, after.astimezone(self.zone)):
            yield moment.astimezone(UTC)

    def errors(self) -> Iterator[tuple[str, str]]:
        """What is wrong, by field, in words for people."""
        if self.frequency not in Frequency:
            yield "frequency", f"Choose one of: {', '.join(Frequency.values)}."
            return
        if self.timezone not in zones():
            yield "timezone", "Enter a time zone by its name, such as Europe/Berlin or UTC."
        yield from self._errors_of_times()
        yield from self._errors_of_days("days_of_week", Frequency.WEEKLY, self.days_of_week, 0, 6)
        yield from self._errors_of_days("days_of_month", Frequency.MONTHLY, self.days_of_month, 1, 31)

    def _errors_of_times(self) -> Iterator[tuple[str, str]]:
        if not self.hours and self.frequency != Frequency.HOURLY:
            yield "hours", "Choose at least one hour."
        elif text := _range_error(self.hours, 0, 23):
            yield "hours", text
        if not self.minutes:
            yield "minutes", "Choose at least one minute."
        elif text := _range_error(self.minutes, 0, 59):
            yield "minutes", text
        elif not _are_apart(self.minutes):
            yield "minutes", f"Two reports begin at least {MIN_MINUTES} minutes apart. Choose fewer minutes."

    def _errors_of_days(
        self, field: str, frequency: Frequency, days: Sequence[int], low: int, high: int
    ) -> Iterator[tuple[str, str]]:
        if self.frequency != frequency:
            if days:
                yield field, f"Only a {frequency} schedule has these days. Leave them out, or make it {frequency}."
        elif not days:
            yield field, "Choose at least one day."
        elif text := _range_error(days, low, high):
            yield field, text

    @property
    def words(self) -> str:
        """Such as `Mondays and Fridays at 09:00`."""
        times = [f"{hour:02}:{minute:02}" for hour in sorted(self.hours) for minute in sorted(self.minutes)]
        if not times:
            return f"Every hour at {_listed([f':{minute:02}' for minute in sorted(self.minutes)])}"
        at = f"at {_listed(times)}" if len(times) <= MAX_TIMES_IN_WORDS else f"{len(times)} times a day"
        if self.frequency == Frequency.WEEKLY:
            return f"{_listed([f'{DAYS[day]}s' for day in sorted(set(self.days_of_week))])} {at}"
        if self.frequency == Frequency.MONTHLY:
            return f"Day {_listed(list(map(str, sorted(set(self.days_of_month)))))} of the month {at}"
        return f"Every day {at}"


def _cron(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers)) or "*"


def _range_error(numbers: Sequence[int], low: int, high: int) -> str:
    return "" if all(low <= number <= high for number in numbers) else f"Use numbers from {low} to {high}."


def _are_apart(minutes: Sequence[int]) -> bool:
    """Whether they are, from one hour to the next, too."""
    ordered = sorted(set(minutes))
    return all(b - a >= MIN_MINUTES for a, b in zip(ordered, [*ordered[1:], ordered[0] + 60], strict=True))


def _listed(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
