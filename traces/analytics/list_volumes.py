"""What the traces of a list add up to: from hourly sums if they can answer, else from the traces."""

from dataclasses import replace
from datetime import datetime

from catalyst import timerange
from catalyst.core.models import Project
from catalyst.timerange import TimeRange
from traces.models import AgentHour
from traces.models.trace import TraceFilter
from traces.models.volumes import Volumes

MAX_COUNTED_TRACES = 100_000


def list_volumes(project: Project, time_range: TimeRange, wanted: TraceFilter) -> tuple[Volumes, datetime | None]:
    """The volumes under all filters but agent and status, and since when traces were counted; None for all."""
    if not wanted.needs_rows and time_range.bucket_width >= timerange.HOUR:
        return AgentHour.objects.filter(project=project).volumes(time_range, wanted.agent), None
    others = replace(wanted, agent=None, traffic_filter=wanted.traffic_filter.model_copy(update={"status": ""}))
    since = _counted_since(project, time_range, wanted)
    return project.traces.matching(others).volumes(time_range, wanted.agent, since, wanted.time_field), since


def _counted_since(project: Project, time_range: TimeRange, wanted: TraceFilter) -> datetime | None:
    if wanted.session:
        return None
    if wanted.skewed:
        return project.traces.skewed_since(time_range, MAX_COUNTED_TRACES)
    return AgentHour.objects.filter(project=project).newest_since(time_range, MAX_COUNTED_TRACES)
