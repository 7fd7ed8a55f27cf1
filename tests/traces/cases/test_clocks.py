"""Clocks that are off, spans that end before they start, and ends that are no time."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from tests.page import Page
from tests.traces.cases.sender import Sender, span
from tests.traces.sent import SECOND, nanoseconds

pytestmark = [pytest.mark.real_clock, pytest.mark.django_db]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(moment: datetime, end: int | None = None, **fields: Any) -> dict[str, Any]:
    start = nanoseconds(moment)
    return span(startTimeUnixNano=str(start), endTimeUnixNano=str(start + SECOND if end is None else end), **fields)


CLOCKS: dict[str, tuple[Any, bool]] = {
    "right": (lambda now: now - timedelta(seconds=5), False),
    "a minute ahead": (lambda now: now + timedelta(minutes=1), False),
    "two hours ahead": (lambda now: now + timedelta(hours=2), True),
    "a time zone ahead": (lambda now: now + timedelta(hours=5, minutes=30), True),
    "a year ahead": (lambda now: now + timedelta(days=365), True),
    "late by a day": (lambda now: now - timedelta(days=1), False),
    "late by a year": (lambda now: now - timedelta(days=365), True),
    "in milliseconds": (lambda now: EPOCH + (now - EPOCH) / 1_000_000, True),
    "in microseconds": (lambda now: EPOCH + (now - EPOCH) / 1_000, True),
    "in seconds": (lambda now: EPOCH + (now - EPOCH) / 1_000_000_000, True),
    "never set": (lambda _: datetime(2000, 1, 1, tzinfo=UTC), True),
    "the epoch": (lambda _: EPOCH + timedelta(seconds=1), True),
    "far in the future": (lambda _: datetime(2261, 1, 1, tzinfo=UTC), True),
}


@pytest.mark.parametrize(("clock", "skewed"), CLOCKS.values(), ids=CLOCKS)
def test_a_skewed_trace_is_stored_and_can_be_found(sender: Sender, browser: Client, clock: Any, skewed: bool) -> None:
    answer = sender.send(at(clock(datetime.now(UTC)), name="the one"))
    assert answer.get("partialSuccess", {}).get("rejectedSpans", 0) in {0, "0"}
    assert sender.trace.skewed is skewed
    listed = sender.call("traces.list", range="7d", skewed=skewed).items
    assert [trace.name for trace in listed] == ["the one"]
    page = Page(browser.get(sender.trace.get_absolute_url()).text)
    assert any(words in page.main.text for words in ("sender's clock", "The sender probably sends")) is skewed
    assert "UTC" in page.main.text


@pytest.mark.parametrize("start", ["0", 0, "", None, "-1", "soon", str(2**64), "1.5"], ids=repr)
def test_a_start_that_is_no_time_is_rejected_in_words(sender: Sender, start: Any) -> None:
    answer = sender.send(span(startTimeUnixNano=start))
    assert re.search(r"start time|times|startTimeUnixNano", answer["partialSuccess"]["errorMessage"])
    assert int(answer["partialSuccess"]["rejectedSpans"]) == 1


ENDS: dict[str, tuple[Any, int | None]] = {
    "after a second": (lambda start: start + SECOND, 1_000_000),
    "at once": (lambda start: start, 0),
    "before its start": (lambda start: start - SECOND, 0),
    "none": (lambda _: 0, None),
    "the largest number": (lambda _: 2**64 - 1, None),
    "the largest signed number": (lambda _: 2**63 - 1, None),
    "in two years": (lambda start: start + 730 * 86_400 * SECOND, None),
    "in milliseconds": (lambda start: start // 1_000_000, 0),
    "in a day": (lambda start: start + 86_400 * SECOND, 86_400_000_000),
}


@pytest.mark.parametrize(("end", "duration"), ENDS.values(), ids=ENDS)
def test_an_end_that_can_not_be_is_none(sender: Sender, end: Any, duration: int | None) -> None:
    start = datetime.now(UTC) - timedelta(seconds=5)
    sender.send(at(start, end(nanoseconds(start))))
    assert sender.row().duration_us == duration
    assert sender.trace.root_ended is (duration is not None)


@pytest.mark.parametrize("end", ["", None, "later"])
def test_an_end_that_is_no_number_leaves_the_span_open_or_is_told(sender: Sender, end: Any) -> None:
    answer = sender.send(span(endTimeUnixNano=end))
    assert "endTimeUnixNano" in str(answer) or sender.row().duration_us is None


def test_a_number_may_be_a_number(sender: Sender) -> None:
    start = nanoseconds(datetime.now(UTC)) - 5 * SECOND
    sender.send(span(startTimeUnixNano=start, endTimeUnixNano=start + SECOND))
    assert sender.row().duration_us == 1_000_000


def test_one_skewed_child_leaves_its_trace_right(sender: Sender) -> None:
    now = datetime.now(UTC)
    sender.send(at(now - timedelta(seconds=9), name="root"))
    child = at(now + timedelta(hours=3), number=2, parent=1)
    sender.send(child)
    assert not sender.trace.skewed
    assert sender.trace.span_count == 2
