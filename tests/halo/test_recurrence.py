"""When schedules run, against another reading of the calendar: python-dateutil, and the minutes of a year."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

import pytest
from dateutil import tz
from hypothesis import given
from hypothesis import strategies as st

from halo.choices import Frequency
from halo.recurrence import Recurrence
from tests.halo.calendar_oracle import expected

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
YEAR = datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 3, 2, tzinfo=UTC)
# Clocks that change by an hour in both hemispheres, one that changes by half an hour, one at midnight, and none.
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu", "UTC")


def daily(**about: Any) -> Recurrence:
    return Recurrence(**{"frequency": Frequency.DAILY, "hours": [9], **about})


def between(recurrence: Recurrence, start: datetime, end: datetime) -> list[datetime]:
    return list(takewhile(lambda moment: moment <= end, recurrence.times(start)))


def told(moments: list[datetime], zone: str = "UTC") -> list[str]:
    return [f"{moment.astimezone(tz.gettz(zone)):%m-%d %H:%M %z}" for moment in moments]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "about",
    [
        {"frequency": Frequency.DAILY, "hours": [9]},
        {"frequency": Frequency.DAILY, "hours": [0, 1, 2, 3, 23], "minutes": [0, 15, 30, 45]},
        {"frequency": Frequency.WEEKLY, "hours": [2], "minutes": [30], "days_of_week": [0, 3]},
        {"frequency": Frequency.MONTHLY, "hours": [0], "minutes": [5], "days_of_month": [31]},
        {"frequency": Frequency.MONTHLY, "hours": [2], "minutes": [30], "days_of_month": [1, 29, 30, 31]},
        {"frequency": Frequency.HOURLY, "hours": [1, 2, 3, 22], "minutes": [10, 40]},
    ],
)
def test_a_year_is_as_the_oracle_has_it(zone: str, about: dict[str, Any]) -> None:
    recurrence = Recurrence(**about, timezone=zone)
    found = between(recurrence, *YEAR)
    assert found == expected(recurrence, *YEAR)
    assert len(found) > 12


@pytest.mark.parametrize("zone", ZONES)
def test_every_hour_is_every_hour_that_passes(zone: str) -> None:
    hourly = Recurrence(frequency=Frequency.HOURLY, minutes=[5, 35], timezone=zone)
    for start in (datetime(2027, 3, 10, tzinfo=UTC), datetime(2027, 10, 1, tzinfo=UTC)):
        assert between(hourly, start, start + 40 * DAY) == expected(hourly, start, start + 40 * DAY)


recurrences = st.builds(
    Recurrence,
    frequency=st.just(Frequency.MONTHLY),
    hours=st.lists(st.integers(0, 23), min_size=1, max_size=3, unique=True),
    minutes=st.lists(st.integers(0, 59), min_size=1, max_size=3, unique=True),
    days_of_month=st.lists(st.integers(1, 31), min_size=1, max_size=4, unique=True),
    timezone=st.sampled_from(ZONES),
) | st.builds(
    Recurrence,
    frequency=st.just(Frequency.WEEKLY),
    hours=st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True),
    minutes=st.lists(st.integers(0, 59), min_size=1, max_size=3, unique=True),
    days_of_week=st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True),
    timezone=st.sampled_from(ZONES),
)


@given(recurrence=recurrences, begun=st.integers(0, 550 * 24 * 60))
def test_it_begins_anywhere_as_the_oracle_does(recurrence: Recurrence, begun: int) -> None:
    """Also within an hour that clocks show twice, and just behind one that they skip."""
    start = YEAR[0] + begun * MINUTE
    end = start + 40 * DAY
    found = between(recurrence, start, end)
    assert found == expected(recurrence, start, end)
    if found:
        assert recurrence.newest(found[0], end) == found[-1]


def test_a_time_that_clocks_skip_runs_when_they_jump() -> None:
    night = daily(hours=[2], minutes=[30], timezone="Europe/Berlin")
    found = between(night, datetime(2027, 3, 27, tzinfo=UTC), datetime(2027, 3, 29, 12, tzinfo=UTC))
    assert told(found, night.timezone) == ["03-27 02:30 +0100", "03-28 03:00 +0200", "03-29 02:30 +0200"]


def test_a_time_that_clocks_repeat_runs_once() -> None:
    night = daily(hours=[2], minutes=[30], timezone="Europe/Berlin")
    found = between(night, datetime(2027, 10, 30, 12, tzinfo=UTC), datetime(2027, 11, 1, tzinfo=UTC))
    assert told(found, night.timezone) == ["10-31 02:30 +0200"]
    # From between both on, too.
    assert told([night.next(datetime(2027, 10, 31, 1, tzinfo=UTC))], night.timezone) == ["11-01 02:30 +0100"]


def test_a_short_month_has_the_31st_on_its_last_day() -> None:
    last = Recurrence(frequency=Frequency.MONTHLY, hours=[9], days_of_month=[31])
    found = between(last, datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 6, 1, tzinfo=UTC))
    assert [f"{moment:%m-%d}" for moment in found] == ["01-31", "02-28", "03-31", "04-30", "05-31"]


def test_the_newest_time_of_a_long_absence_is_found() -> None:
    frequent = Recurrence(frequency=Frequency.HOURLY, minutes=list(range(0, 60, 5)))
    since = datetime(2020, 1, 1, tzinfo=UTC)
    assert frequent.newest(since, datetime(2027, 1, 1, 0, 4, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)
    assert frequent.newest(since, since + MINUTE) == since


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("about", "lookback"),
    [
        ({"hours": [9]}, 24),
        ({"hours": [2], "minutes": [30]}, 24),
        ({"hours": [0], "minutes": [10]}, 24),
        ({"frequency": Frequency.WEEKLY, "hours": [2], "minutes": [15], "days_of_week": [0]}, 168),
        ({"frequency": Frequency.HOURLY, "hours": []}, 1),
    ],
)
def test_windows_leave_no_minute_out(zone: str, about: dict[str, Any], lookback: int) -> None:
    recurrence = daily(timezone=zone, **about)
    ends = between(recurrence, *YEAR)
    if lookback == 1 and zone == "Australia/Lord_Howe":
        # Clocks that go back by half an hour show a minute of the hour 90 minutes after the last one.
        ends = [end for end in ends if end < datetime(2027, 4, 3, tzinfo=UTC)]
    assert [recurrence.start(end, lookback) for end in ends[1:]] == ends[:-1]


def test_a_window_of_several_skipped_times_reads_what_each_would_have() -> None:
    night = daily(hours=[2], minutes=[10, 30], timezone="Europe/Berlin")
    (end,) = between(night, datetime(2027, 3, 28, tzinfo=UTC), datetime(2027, 3, 28, 12, tzinfo=UTC))
    assert told([night.start(end, 24), end], night.timezone) == ["03-27 02:10 +0100", "03-28 03:00 +0200"]


def test_a_window_may_end_at_any_second() -> None:
    end = datetime(2027, 3, 29, 0, 30, 7, 5, tzinfo=UTC)
    assert told([daily(timezone="Europe/Berlin").start(end, 24)], "Europe/Berlin") == ["03-28 03:00 +0200"]
    assert daily().start(end, 30) == end - 30 * timedelta(hours=1)


@pytest.mark.parametrize(
    ("recurrence", "words"),
    [
        (daily(hours=[17, 9]), "Every day at 09:00 and 17:00"),
        (daily(hours=[9, 17], minutes=[0, 20, 40]), "Every day 6 times a day"),
        (Recurrence(frequency=Frequency.HOURLY, minutes=[30, 0]), "Every hour at :00 and :30"),
        (Recurrence(frequency=Frequency.WEEKLY, hours=[9], days_of_week=[5, 1]), "Mondays and Fridays at 09:00"),
        (Recurrence(frequency=Frequency.MONTHLY, hours=[9], days_of_month=[1]), "Day 1 of the month at 09:00"),
        (Recurrence(frequency=Frequency.HOURLY, hours=[9, 10], minutes=[5]), "Every day at 09:05 and 10:05"),
    ],
)
def test_it_says_when_it_runs(recurrence: Recurrence, words: str) -> None:
    assert recurrence.words == words


@pytest.mark.parametrize(
    ("about", "field", "text"),
    [
        ({"frequency": "yearly"}, "frequency", "hourly, daily, weekly, monthly"),
        ({"timezone": "Mars/Olympus"}, "timezone", "Europe/Berlin"),
        ({"timezone": "../../etc/localtime"}, "timezone", "Europe/Berlin"),
        ({"hours": []}, "hours", "at least one hour"),
        ({"hours": [24]}, "hours", "from 0 to 23"),
        ({"minutes": []}, "minutes", "at least one minute"),
        ({"minutes": [60]}, "minutes", "from 0 to 59"),
        ({"minutes": [0, 4]}, "minutes", "5 minutes apart"),
        ({"minutes": [1, 58]}, "minutes", "5 minutes apart"),
        ({"days_of_week": [1]}, "days_of_week", "Only a weekly schedule"),
        ({"days_of_month": [1]}, "days_of_month", "Only a monthly schedule"),
        ({"frequency": "weekly"}, "days_of_week", "at least one day"),
        ({"frequency": "weekly", "days_of_week": [7]}, "days_of_week", "from 0 to 6"),
        ({"frequency": "monthly", "days_of_month": [0]}, "days_of_month", "from 1 to 31"),
    ],
)
def test_it_refuses_what_makes_no_sense(about: dict[str, Any], field: str, text: str) -> None:
    errors = dict(daily(**about).errors())
    assert list(errors) == [field]
    assert text in errors[field]


def test_it_has_nothing_against_the_rest() -> None:
    assert list(daily().errors()) == []
    assert list(Recurrence(frequency="hourly", minutes=list(range(0, 60, 5)), timezone="Asia/Kolkata").errors()) == []
