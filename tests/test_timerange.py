"""The time range in the URL."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from catalyst import timerange

NOW = datetime(2026, 11, 20, 12, 34, 56, tzinfo=UTC)


@pytest.mark.parametrize("key", timerange.RANGES)
def test_it_cuts_every_range_into_whole_bars(key: str) -> None:
    found = timerange.parse({"range": key}, NOW)
    bars = found.buckets()
    assert found.key == key
    assert found.start <= NOW < found.end
    assert bars[0] == found.start
    assert bars[-1] + found.bucket_width == found.end
    assert 20 <= len(bars) <= timerange.MAX_BUCKETS + 1


@pytest.mark.parametrize("now", [NOW, datetime(2026, 11, 20, tzinfo=UTC)])
@pytest.mark.parametrize("key", timerange.RANGES)
def test_a_named_range_covers_its_length_and_starts_with_a_bar(key: str, now: datetime) -> None:
    length, step = timerange.RANGES[key]
    found = timerange.named(key, now)
    assert found.start <= now - length < found.start + step
    assert found.end - step <= now < found.end


@pytest.mark.parametrize(
    "params", [{}, {"range": "2w"}, {"from": "nonsense"}, {"from": "2026-11-21", "to": "2026-11-20"}]
)
def test_it_falls_back_to_a_day(params: dict[str, str]) -> None:
    assert timerange.parse(params, NOW).key == timerange.DEFAULT


def test_it_says_that_a_range_is_in_the_future() -> None:
    found = timerange.parse(
        {"from": f"{NOW + timedelta(days=2):%Y-%m-%d}", "to": f"{NOW + timedelta(days=3):%Y-%m-%d}"}, NOW
    )
    assert (found.key, found.problem) == (timerange.CUSTOM, "This range is in the future.")


def test_it_takes_a_range_of_ones_own() -> None:
    found = timerange.parse({"from": "2026-11-01T10:00", "to": "2026-11-01T11:30"}, NOW)
    assert (found.start, found.end) == (
        datetime(2026, 11, 1, 10, tzinfo=UTC),
        datetime(2026, 11, 1, 11, 30, tzinfo=UTC),
    )
    assert found.bucket_width == timedelta(minutes=1)
    assert timerange.parse({name: value for name, value in found.query.items() if value}, NOW) == found


def test_it_bounds_the_bars_of_a_long_range() -> None:
    found = timerange.parse({"from": "2020-01-01", "to": "2026-01-01"}, NOW)
    assert len(found.buckets()) <= timerange.MAX_BUCKETS + 1


@pytest.mark.parametrize(
    ("key", "chosen", "offered"),
    [
        ("1h", "hour", ["*Minute"]),
        ("6h", "hour", ["5 minutes", "*Hour"]),
        ("1d", "day", ["*Hour"]),
        ("3d", "", ["*Hour", "Day"]),
        ("3d", "day", ["Hour", "*Day"]),
        ("7d", "nonsense", ["Hour", "*3 hours", "Day"]),
        ("7d", "hour", ["*Hour", "3 hours", "Day"]),
        ("30d", "hour", ["*12 hours", "Day"]),
        ("90d", "day", ["*Day"]),
    ],
)
def test_its_bars_can_be_hours_or_days_where_that_makes_a_chart(key: str, chosen: str, offered: list[str]) -> None:
    own = timerange.named(key, NOW)
    found = own.with_bucket_width(chosen)
    assert [f"{'*' if is_shown else ''}{words}" for _, words, is_shown in found.widths] == offered
    assert (found.start, found.end, found.text) == (own.start, own.end, own.text)
    bars = found.buckets()
    assert bars[0] <= found.start < bars[0] + found.bucket_width
    assert bars[-1] < found.end <= bars[-1] + found.bucket_width
    assert {timerange.floor(start, min(found.bucket_width, timerange.DAY)) for start in bars} == {*bars}


def test_bars_of_a_range_of_ones_own_can_be_chosen_too() -> None:
    own = timerange.parse({"from": "2026-11-01T10:00", "to": "2026-11-08T10:00"}, NOW)
    found = own.with_bucket_width("day")
    assert (found.start, found.end) == (own.start, own.end)
    assert [parameter for parameter, _, _ in found.widths] == ["hour", None, "day"]
    assert found.buckets() == [datetime(2026, 11, day, tzinfo=UTC) for day in range(1, 9)]


def test_a_click_on_a_bar_stays_in_the_range() -> None:
    found = timerange.parse({"from": "2026-11-01T10:00", "to": "2026-11-08T10:00"}, NOW).with_bucket_width("day")
    bars = found.buckets()
    assert found.bucket_query(bars[0], {}) == "from=2026-11-01T10%3A00&to=2026-11-02T00%3A00"
    assert found.bucket_query(bars[-1], {}) == "from=2026-11-08T00%3A00&to=2026-11-08T10%3A00"


def test_it_keeps_the_filter_when_a_bar_is_clicked() -> None:
    found = timerange.named("1d", NOW)
    query = found.bucket_query(found.start, {"status": "error", "range": "1d", "after": "x"})
    assert query == "status=error&from=2026-11-19T12%3A00&to=2026-11-19T13%3A00"


@pytest.mark.parametrize(
    ("gap", "key"), [(timedelta(minutes=5), "1h"), (timedelta(days=2), "3d"), (timedelta(days=300), "custom")]
)
def test_it_finds_the_shortest_range_that_holds_a_time(gap: timedelta, key: str) -> None:
    found = timerange.around(NOW - gap, NOW)
    assert found.key == key
    assert found.start <= NOW - gap < found.end


def test_it_says_its_range() -> None:
    assert timerange.named("1h", NOW).text == "the last hour"
    assert timerange.named("1d", NOW).text == "the last 24 hours"
    assert timerange.named("7d", NOW).text == "the last 7 days"
    own = timerange.parse({"from": "2026-11-01T10:00", "to": "2026-11-01T11:30"}, NOW)
    assert own.text == "1 Nov 2026 10:00 to 1 Nov 2026 11:30 UTC"


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("0001-01-01", "9999-12-31"),
        ("2026-01-01", "9999-12-31"),
        ("0001-01-01T00:00+14:00", "2026-01-01"),
        ("0001-01-01", "9999-12-31T23:59-14:00"),
        ("1999-01-01", "2026-11-20T12:00"),
    ],
)
def test_it_bounds_what_lies_far_off(first: str, last: str) -> None:
    found = timerange.parse({"from": first, "to": last}, NOW)
    assert found.key == timerange.CUSTOM
    assert found.start >= timerange.EARLIEST
    assert found.end <= NOW + timerange.MAX_AHEAD + timerange.HOUR
    assert len(found.buckets()) <= timerange.MAX_BUCKETS + 1


def test_operations_take_every_range_by_name() -> None:
    assert get_args(timerange.RangeName.__value__) == tuple(timerange.RANGES)
