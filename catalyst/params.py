"""Parsers of URL parameters."""

import re
from datetime import datetime
from decimal import Decimal

from catalyst.pagination import Cursor, Sort, SortedCursor

MAX_OFFSET = 100_000
MAX_ID_DIGITS = 18
MAX_VERSION_DIGITS = 8
_AMOUNT = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,9})?", re.ASCII)


def cursor(text: str | None) -> Cursor | None:
    """Return None for the first page and for invalid text."""
    time, _, pk = (text or "").partition("_")
    number = parse_number(pk)
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return None
    return Cursor(moment, number) if moment.tzinfo and number else None


def sorted_cursor(text: str | None, sort: Sort) -> SortedCursor | None:
    """Return None for the first page and for invalid text, such as the cursor of another order."""
    if sort.is_by_time:
        last = cursor(text)
        return SortedCursor(last.time, last.id) if last else None
    value, _, pk = (text or "").partition("_")
    number = parse_number(pk)
    return SortedCursor(Decimal(value), number) if number and _AMOUNT.fullmatch(value) else None


def offset(text: str | None) -> int:
    """Return 0 for the first page and for invalid text."""
    number = parse_number(text) or 0
    return number if number <= MAX_OFFSET else 0


def parse_number(text: str | None, max_digits: int = MAX_ID_DIGITS) -> int | None:
    """Parse a whole number from 0. Returns None for other text."""
    is_number = text and text.isascii() and text.isdigit() and len(text) <= max_digits
    return int(text) if text and is_number else None


def is_id(text: str) -> bool:
    return parse_number(text) is not None


def version_number(text: str | None) -> int | None:
    return parse_number(text, MAX_VERSION_DIGITS)
