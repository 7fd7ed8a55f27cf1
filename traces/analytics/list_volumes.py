"""What the traces of a list add up to: from hourly sums if they can answer, else from the traces."""

from dataclasses import replace
from datetime import datetime

from catalyst import timerange
from catalyst.core.models import Project
from catalyst.timerange import TimeRange
from traces.models import AgentHour
from traces.models.trace import TraceFilter
from traces.models.volumes import Volumes, merged

MAX_COUNTED_TRACES = 100_000


def list_volumes(
    project: Project, time_range: TimeRange, wanted: TraceFilter, now: datetime
) -> tuple[Volumes, datetime | None]:
    """The volumes under all filters but agent and status, and since when traces were counted; None for all."""
    if not wanted.needs_rows and time_range.bucket_width >= timerange.HOUR:
        return _from_hours(project, time_range, wanted.agent, now), None
    others = replace(wanted, agent=None, traffic_filter=wanted.traffic_filter.model_copy(update={"status": ""}))
    since = _counted_since(project, time_range, wanted)
    return project.traces.matching(others).volumes(time_range, wanted.agent, since, wanted.time_field), since


def _from_hours(project: Project, time_range: TimeRange, agent: int | None, now: datetime) -> Volumes:
    # Hours are kept longer than traces. Of the time before, only traces with a wrong clock are still listed.
    kept_since = timerange.kept_since(now, project.kept_days)
    hours = AgentHour.objects.filter(project=project)
    if time_range.start >= kept_since:
        return hours.volumes(time_range, agent)
    before = project.traces.filter(start_time__lt=kept_since).volumes(time_range, agent)
    return merged(before, hours.filter(hour__gte=kept_since).volumes(time_range, agent))


def _counted_since(project: Project, time_range: TimeRange, wanted: TraceFilter) -> datetime | None:
    if wanted.session:
        return None
    if wanted.skewed:
        return project.traces.skewed_since(time_range, MAX_COUNTED_TRACES)
    return AgentHour.objects.filter(project=project).newest_since(time_range, MAX_COUNTED_TRACES)
