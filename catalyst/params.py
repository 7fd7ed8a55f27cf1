"""Parsers of URL parameters."""

from datetime import datetime

from catalyst.pagination import Cursor

MAX_OFFSET = 100_000
MAX_ID_DIGITS = 18
MAX_VERSION_DIGITS = 8


def cursor(text: str | None) -> Cursor | None:
    """Return None for the first page and for invalid text."""
    time, _, pk = (text or "").partition("_")
    number = parse_number(pk)
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return None
    return Cursor(moment, number) if moment.tzinfo and number else None


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
