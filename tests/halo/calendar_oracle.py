"""When schedules run, read from another calendar: that of python-dateutil, or the minutes of the time one by one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from dateutil import tz
from dateutil.relativedelta import relativedelta
from dateutil.rrule import DAILY, WEEKLY, rrule, weekdays

from halo.choices import Frequency
from halo.recurrence import Recurrence

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def expected(recurrence: Recurrence, start: datetime, end: datetime) -> list[datetime]:
    zone = tz.gettz(recurrence.timezone)
    if not recurrence.hours:
        return [moment for moment in minutes(start, end) if moment.astimezone(zone).minute in recurrence.minutes]
    moments = {moment_of(shown, zone) for shown in shown_times(recurrence, start, end)}
    return sorted(moment for moment in moments if start < moment <= end)


def minutes(start: datetime, end: datetime) -> Iterator[datetime]:
    for number in range(1, (end - start) // MINUTE + 1):
        yield start + number * MINUTE


def shown_times(recurrence: Recurrence, start: datetime, end: datetime) -> Iterator[datetime]:
    """What clocks of the zone would show."""
    first, last = (moment.replace(tzinfo=None) for moment in (start - 3 * DAY, end + 3 * DAY))
    times: Any = {"byhour": list(recurrence.hours), "byminute": list(recurrence.minutes), "bysecond": 0}
    if recurrence.frequency == Frequency.MONTHLY:
        month = first.replace(day=1, hour=0, minute=0)
        while month < last:
            # A day that the month lacks is its last one.
            for day in {(month + relativedelta(day=each)).day for each in recurrence.days_of_month}:
                for hour in recurrence.hours:
                    yield from (month.replace(day=day, hour=hour, minute=each) for each in recurrence.minutes)
            month += relativedelta(months=1)
    elif recurrence.frequency == Frequency.WEEKLY:
        chosen = [weekdays[(day - 1) % 7] for day in recurrence.days_of_week]
        yield from rrule(WEEKLY, dtstart=first, until=last, byweekday=chosen, **times)
    else:
        yield from rrule(DAILY, dtstart=first, until=last, **times)


def moment_of(shown: datetime, zone: Any) -> datetime:
    """The first moment at which clocks show this, or to which they skip it."""
    there = shown.replace(tzinfo=zone)
    if tz.datetime_exists(there):
        return there.astimezone(UTC)
    moment = tz.resolve_imaginary(there).astimezone(UTC)
    while (moment - MINUTE).astimezone(zone).utcoffset() == moment.astimezone(zone).utcoffset():
        moment -= MINUTE
    return moment
