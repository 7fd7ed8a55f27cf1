"""URL parameters of lists."""

from uuid import UUID

from django.http import QueryDict

from catalyst.core.models import Project
from catalyst.params import parse_number
from traces import label_sources
from traces.filters import Filter
from traces.models.trace import TraceFilter

MAX_TEXT_CHARACTERS = 200
MAX_LABELS = 5


def trace_filter(project: Project, params: QueryDict) -> TraceFilter:
    """Read the filter. Ignores invalid values, but an unknown label matches nothing."""
    keys = [key.replace("\0", "")[:MAX_TEXT_CHARACTERS] for key in params.getlist("label")[:MAX_LABELS]]
    return TraceFilter(
        project.pk,
        agent=parse_number(params.get("agent")),
        session=parse_number(params.get("session")),
        text=params.get("q", "").replace("\0", "").strip()[:MAX_TEXT_CHARACTERS],
        traffic_filter=Filter.of_query(params),
        labels=label_sources.conditions(project, keys) if keys else (),
    )


def trace_id(text: str) -> UUID | None:
    """Returns None unless the text is a trace id of 32 hexadecimal digits."""
    if len(text) != 32:
        return None
    try:
        return UUID(hex=text)
    except ValueError:
        return None
