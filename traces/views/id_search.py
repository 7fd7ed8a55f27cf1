"""Search for the id of a trace, span or session, as pages show it."""

import re
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from uuid import UUID

from django.db import OperationalError
from django.urls import reverse

from catalyst import database, timerange
from catalyst.core.models import Project
from catalyst.timerange import TimeRange
from traces.models.span import span_id_of
from traces.models.trace import id_begins_with
from traces.span_store import SpanQuery, span_store

SPAN_ID = re.compile("[0-9a-f]{16}")
# What looks like the beginning of a session's id, rather than like a word to search for.
SESSION_START = re.compile(r"(?=\S*\d)\S{8,}")
# No index has the ids of spans alone, so the search for one ends after this time.
MAX_MILLISECONDS = 2_000


@dataclass(frozen=True, slots=True)
class Found:
    """The URL of what has the id. Empty if nothing has it, or if the search was not finished."""

    page: str = ""
    is_unfinished: bool = False
    searched_days: int = 0
    days: int = 0
    max_seconds: int = MAX_MILLISECONDS // 1_000


def search(project: Project, text: str, time_range: TimeRange, now: datetime) -> Found:
    """Finds the only trace, span or session with this id; of a trace or a session, its first 8 characters suffice."""
    text = text.strip()
    if not text:
        return Found()
    if page := _session(project, text) or _trace(project, text.lower()):
        return Found(page)
    found = _span(project, text.lower(), time_range, now)
    if found == Found() and SESSION_START.fullmatch(text) and (session := session_beginning(project, text)):
        return Found(reverse("traces:session-detail", args=[project.slug, session]))
    return found


def session_beginning(project: Project, text: str) -> int | None:
    """The only session whose id begins with a text."""
    found = project.sessions.with_traces().filter(key__startswith=text).values_list("pk", flat=True).order_by()[:2]
    return found[0] if len(found) == 1 else None


def _session(project: Project, text: str) -> str | None:
    pk = project.sessions.with_traces().filter(key=text).values_list("pk", flat=True).first()
    return reverse("traces:session-detail", args=[project.slug, pk]) if pk else None


def _trace(project: Project, text: str) -> str | None:
    found = list(project.traces.filter(id_begins_with(text)).values_list("trace_id", flat=True)[:2])
    return reverse("traces:trace-detail", args=[project.slug, found[0]]) if len(found) == 1 else None


def _span(project: Project, text: str, time_range: TimeRange, now: datetime) -> Found:
    if not SPAN_ID.fullmatch(text):
        return Found()
    days = _days(project.kept_days, time_range, now)
    deadline = monotonic() + MAX_MILLISECONDS / 1_000
    for number, (start, end) in enumerate(days):
        query = SpanQuery(span_id=span_id_of(text), start=start, end=end)
        try:
            trace_id = _newest_with(project, query, deadline)
        except OperationalError:
            return Found(is_unfinished=True, searched_days=number, days=len(days))
        if trace_id:
            return Found(f"{reverse('traces:trace-detail', args=[project.slug, trace_id])}?span={text}")
    return Found()


def _newest_with(project: Project, query: SpanQuery, deadline: float) -> UUID | None:
    """Raises OperationalError at the deadline."""
    milliseconds_left = int((deadline - monotonic()) * 1_000)
    if milliseconds_left <= 0:
        raise OperationalError("The time for the search is over")
    with database.time_limit(milliseconds_left):
        traces = project.traces.filter(span_store().traces_with(project.pk, query))
        # An order with an index would lead PostgreSQL to look at the newest traces, one by one, for one with the span.
        return traces.order_by("-end_time").values_list("trace_id", flat=True).first()


def _days(kept_days: int, time_range: TimeRange, now: datetime) -> list[tuple[datetime | None, datetime | None]]:
    """Start and end of the days in which spans may have begun: first those of the range, then the newest.

    The first and the last have no bound, because clocks of senders may be wrong.
    """
    midnights = [timerange.floor(now, timerange.DAY) - number * timerange.DAY for number in range(kept_days + 1)]
    days = [*zip([*midnights, None], [None, *midnights], strict=True)]
    return sorted(days, key=lambda day: not _overlaps(time_range, *day))


def _overlaps(time_range: TimeRange, start: datetime | None, end: datetime | None) -> bool:
    return (start is None or start < time_range.end) and (end is None or end > time_range.start)
