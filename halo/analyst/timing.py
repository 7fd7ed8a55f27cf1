"""Where the time of a run goes."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from halo.analyst.material import Step


def end_of(step: Step) -> datetime:
    """The end of a step; the start while it is open."""
    return step.start_time + timedelta(microseconds=step.duration_us or 0)


def exclusive_us(steps: Sequence[Step]) -> list[int]:
    """Microseconds of each step in which none of its children ran. `steps`: of a run, ordered by start."""
    # Numbers take half the time of datetimes, of which there are a million.
    covered: dict[int | None, float] = {}
    # The end of the children so far, by parent.
    until: dict[int | None, float] = {}
    for step in steps:
        parent, start = step.parent_id, step.start_time.timestamp() * 1_000_000
        end, begin = start + (step.duration_us or 0), until.get(parent, start)
        begin = max(start, begin)
        if end > begin:
            covered[parent] = covered.get(parent, 0) + end - begin
            until[parent] = end
    return [max((step.duration_us or 0) - round(covered.get(step.span_id, 0)), 0) for step in steps]
