"""Numbers and times for people."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.template import Context, Template
from lxml.html import fragment_fromstring
from time_machine import travel

from catalyst import formats
from catalyst.timerange import MINUTE

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (None, ""),
        (0, "0 ms"),
        (439, "439 µs"),
        (1_740, "1.74 ms"),
        (742_000, "742 ms"),
        (999_700, "1.00 s"),
        (1_240_000, "1.24 s"),
        (11_840_000, "11.8 s"),
        (184_000_000, "3m 04s"),
        (7_500_000_000, "2h 05m"),
        (277_200_000_000, "3d 5h"),
    ],
)
def test_it_says_durations(microseconds: int | None, text: str) -> None:
    assert formats.duration(microseconds) == text
    assert formats.about(microseconds) == (text and f"≈{text}")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 s"), (0.2, "1 s"), (36.6, "37 s"), (59.6, "1m 00s"), (184, "3m 04s"), (7_500, "2h 05m")],
)
def test_it_rounds_what_is_only_expected(seconds: float, text: str) -> None:
    assert formats.roughly(timedelta(seconds=seconds)) == text
    assert formats.roughly(None) == ""


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, ""), (0, "0"), (742, "742"), (9_240, "9.2k"), (18_300, "18.3k"), (413_000, "413k"), (999_600, "1.0M")],
)
def test_it_shortens_counts(number: int | None, text: str) -> None:
    assert formats.short(number) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, ""),
        ("0", "$0"),
        ("0.00003", "<$0.0001"),
        ("0.0042", "$0.0042"),
        ("0.287", "$0.287"),
        ("1412.8", "$1,412.80"),
    ],
)
def test_it_says_dollars(amount: str | None, text: str) -> None:
    assert formats.usd(None if amount is None else Decimal(amount)) == text


def test_it_says_all_or_nothing_only_when_exact() -> None:
    assert [formats.percent(part, 100_000) for part in (0, 1, 4_300, 99_999, 100_000)] == [
        "0%", "0.1%", "4.3%", "99.9%", "100%",
    ]  # fmt: skip
    assert formats.percent(0, 0) == ""


@pytest.mark.parametrize(
    ("gap", "text"),
    [
        (timedelta(seconds=2), "just now"),
        (timedelta(seconds=14), "14 s ago"),
        (timedelta(minutes=3), "3 min ago"),
        (timedelta(hours=2), "2 h ago"),
        (timedelta(days=5), "5 d ago"),
        (timedelta(days=40), "11 Oct"),
        (timedelta(days=400), "16 Oct 2025"),
        (timedelta(minutes=-5), "in the future"),
    ],
)
def test_it_says_how_long_ago(gap: timedelta, text: str) -> None:
    assert formats.ago(NOW - gap, NOW) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2026-11-29T15:40:36+00:00", "29 Nov 15:40 UTC"),
        ("2026-01-01T00:00:00+00:00", "1 Jan 00:00 UTC"),
        ("2025-12-31T23:59:59+00:00", "31 Dec 2025 23:59 UTC"),
        ("1970-01-01T00:29:55+00:00", "1 Jan 1970 00:29 UTC"),
        ("2026-11-29T21:10:36+05:30", "29 Nov 15:40 UTC"),
    ],
)
def test_it_says_the_zone_of_a_time_and_another_year(moment: str, text: str) -> None:
    assert formats.at(datetime.fromisoformat(moment), NOW) == text


@pytest.mark.parametrize(
    ("use", "text"),
    [("clock", "20 Nov 11:59:00 UTC"), ("minute", "20 Nov 11:59 UTC"), ("ago", "1 min ago")],
)
def test_every_time_on_a_page_has_its_zone(use: str, text: str) -> None:
    with travel(NOW, tick=False):
        shown = Template("{% load formats %}{{ moment|" + use + " }}").render(Context({"moment": NOW - MINUTE}))
    time = fragment_fromstring(shown)
    assert time.text == text
    assert time.get("title") == "20 Nov 2026 11:59:00.000 UTC"
    assert time.get("datetime") == "2026-11-20T11:59:00.000Z"
    assert Template("{% load formats %}{{ moment|" + use + " }}").render(Context({"moment": None})) == ""
