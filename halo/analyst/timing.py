"""Where the time of a run goes."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from halo.analyst.material import Step

MICROSECOND = timedelta(microseconds=1)


def end_of(step: Step) -> datetime:
    """The end of a step; the start while it is open."""
    return step.start_time + timedelta(microseconds=step.duration_us or 0)


def exclusive_us(steps: Sequence[Step]) -> list[int]:
    """Microseconds of each step in which none of its children ran. `steps`: of a run, ordered by start."""
    covered: dict[int | None, int] = {}
    # The end of the children so far, by parent.
    until: dict[int | None, datetime] = {}
    for step in steps:
        end = end_of(step)
        begin = max(step.start_time, until.get(step.parent_id, step.start_time))
        if end > begin:
            covered[step.parent_id] = covered.get(step.parent_id, 0) + (end - begin) // MICROSECOND
            until[step.parent_id] = end
    return [max((step.duration_us or 0) - covered.get(step.span_id, 0), 0) for step in steps]
