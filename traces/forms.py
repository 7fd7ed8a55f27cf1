"""What the URL of a list says: which filter, after which row."""

from datetime import datetime
from uuid import UUID

from django.http import QueryDict

from catalyst.core.models import Project
from traces import labels
from traces.filters import Filter
from traces.querysets import Cursor, TraceFilter

MOST_TEXT = 200
MOST_OFFSET = 100_000
MOST_LABELS = 5


def trace_filter(project: Project, params: QueryDict) -> TraceFilter:
    """The filter in a query string; what makes no sense filters nothing, but a label that isn't there everything."""
    keys = [key.replace("\0", "")[:MOST_TEXT] for key in params.getlist("label")[:MOST_LABELS]]
    return TraceFilter(
        agent=_number(params.get("agent")),
        session=_number(params.get("session")),
        text=params.get("q", "").replace("\0", "").strip()[:MOST_TEXT],
        passing=Filter.of_query(params),
        labels=labels.narrowings(project, keys) if keys else (),
    )


def cursor(text: str | None) -> Cursor | None:
    """The row that a page starts after; None for the first page and for nonsense."""
    time, _, pk = (text or "").partition("_")
    number = _number(pk)
    try:
        when = datetime.fromisoformat(time)
    except ValueError:
        return None
    return Cursor(when, number) if when.tzinfo and number else None


def offset(text: str | None) -> int:
    """How many rows a page starts after; 0 for the first page and for nonsense."""
    number = _number(text) or 0
    return number if number <= MOST_OFFSET else 0


def trace_id(text: str) -> UUID | None:
    """The trace id that this text is, if it is one."""
    if len(text) != 32:
        return None
    try:
        return UUID(hex=text)
    except ValueError:
        return None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None
