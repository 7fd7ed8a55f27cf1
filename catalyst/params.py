"""What the query of a URL says: numbers, and the row that a page starts after."""

from datetime import datetime

from catalyst.querysets import Cursor

MAX_OFFSET = 100_000
MAX_ID_DIGITS = 18
MAX_VERSION_DIGITS = 8


def cursor(text: str | None) -> Cursor | None:
    """The row that a page starts after; None for the first page and for nonsense."""
    time, _, pk = (text or "").partition("_")
    number = parse_number(pk)
    try:
        when = datetime.fromisoformat(time)
    except ValueError:
        return None
    return Cursor(when, number) if when.tzinfo and number else None


def offset(text: str | None) -> int:
    """How many rows a page starts after; 0 for the first page and for nonsense."""
    number = parse_number(text) or 0
    return number if number <= MAX_OFFSET else 0


def parse_number(text: str | None, max_digits: int = MAX_ID_DIGITS) -> int | None:
    """A whole number from 0 on, such as the id of a row; None for other text."""
    is_number = text and text.isascii() and text.isdigit() and len(text) <= max_digits
    return int(text) if text and is_number else None


def is_id(text: str) -> bool:
    """Whether it can be the number of a row."""
    return parse_number(text) is not None


def version_number(text: str | None) -> int | None:
    """The number of a version in a query string or a form; None for other text."""
    return parse_number(text, MAX_VERSION_DIGITS)
