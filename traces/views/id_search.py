"""Search for the id of a trace, span or session, as pages show it."""

import re

from django.db import OperationalError
from django.urls import reverse

from catalyst import database
from catalyst.core.models import Project
from catalyst.timerange import TimeRange
from traces.models.span import span_id_of
from traces.models.trace import id_begins_with
from traces.span_store import SpanQuery, span_store

SPAN_ID = re.compile("[0-9a-f]{16}")
# Only the spans of the range are searched, and only this long.
MAX_MILLISECONDS = 2_000


def page_of(project: Project, text: str, time_range: TimeRange) -> str | None:
    """The URL of the only trace, span or session with this id; of a trace, its first 8 digits suffice."""
    text = text.strip()
    if not text:
        return None
    return _session(project, text) or _trace(project, text.lower()) or _span(project, text.lower(), time_range)


def _session(project: Project, text: str) -> str | None:
    pk = project.sessions.with_traces().filter(key=text).values_list("pk", flat=True).first()
    return reverse("traces:session-detail", args=[project.slug, pk]) if pk else None


def _trace(project: Project, text: str) -> str | None:
    found = list(project.traces.filter(id_begins_with(text)).values_list("trace_id", flat=True)[:2])
    return reverse("traces:trace-detail", args=[project.slug, found[0]]) if len(found) == 1 else None


def _span(project: Project, text: str, time_range: TimeRange) -> str | None:
    if not SPAN_ID.fullmatch(text):
        return None
    has_span = span_store().traces_with(project.pk, SpanQuery(span_id=span_id_of(text)))
    try:
        with database.time_limit(MAX_MILLISECONDS):
            traces = project.traces.within(time_range).filter(has_span)
            found = list(traces.values_list("trace_id", flat=True)[:2])
    except OperationalError:
        return None
    return f"{reverse('traces:trace-detail', args=[project.slug, found[0]])}?span={text}" if len(found) == 1 else None
