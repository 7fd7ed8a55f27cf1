"""Clocks of senders that are far off."""

from datetime import UTC, datetime, timedelta

from catalyst import formats

# Clocks of two machines differ by seconds, and batches wait for seconds.
FUTURE_TOLERANCE = timedelta(minutes=5)
# From here on, hours and minutes tell nothing.
MAX_TOLD_GAP = timedelta(days=2)
MAX_UNIT_GAP = timedelta(days=366)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# How many nanoseconds each unit has.
_UNITS = {"microseconds": 1_000, "milliseconds": 1_000_000, "seconds": 1_000_000_000}


def is_skewed(start: datetime, received: datetime, kept_since: datetime) -> bool:
    return not kept_since <= start <= received + FUTURE_TOLERANCE


def explanation(start: datetime, received: datetime) -> str:
    """What a skewed start says, and the probable cause."""
    if start > received:
        return f"This trace says that it started {_after(start, received)}. The sender's clock is probably ahead."
    unit = _sent_unit(start, received)
    cause = "The sender's clock is probably behind, or these are old spans whose days were not made before the import."
    if unit:
        cause = f"The sender probably sends {unit} where nanoseconds are expected."
    return f"This trace says that it started on {_date(start)}, but it arrived on {_date(received)}. {cause}"


def _after(start: datetime, received: datetime) -> str:
    gap = start - received
    return (
        f"{formats.lasting(gap)} after it arrived" if gap < MAX_TOLD_GAP else f"on {_date(start)}, {_long_after(gap)}"
    )


def _long_after(gap: timedelta) -> str:
    return f"{gap.days:,} days after it arrived"


def _sent_unit(start: datetime, received: datetime) -> str:
    """The unit in which the number of the start would be a time near its arrival."""
    sent, expected = start - _EPOCH, received - _EPOCH
    return next((unit for unit, size in _UNITS.items() if abs(sent - expected / size) < MAX_UNIT_GAP / size), "")


def _date(moment: datetime) -> str:
    return f"{moment:%-d %B %Y}"
