"""What a list lacks of the traces that a finding touches."""

from dataclasses import dataclass

from catalyst.core.models import Project
from catalyst.timerange import TimeRange
from traces.models.trace import TraceFilter


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding in a list. `expired`: no longer stored. `outside`: began at another time than the list shows."""

    key: int
    query: str
    size: int
    expired: int
    outside: int

    @property
    def lacks(self) -> bool:
        return bool(self.expired or self.outside)


def shown(project: Project, trace_filter: TraceFilter, time_range: TimeRange) -> Shown | None:
    """Takes two queries. Returns None if the list is not that of a finding."""
    group = trace_filter.finding
    if group is None:
        return None
    stored = project.traces.filter(group.traces)
    count = stored.count()
    within = stored.within(time_range, trace_filter.time_field).count()
    return Shown(group.key, group.query, group.size, group.size - count, count - within)
