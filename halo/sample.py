"""Which traces of a run a model reads, if it can't read all."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Case, IntegerField, TextField, Value, When
from django.db.models.functions import MD5, Cast

from halo import focus
from halo.focus import FAILED
from halo.models import Run
from traces.records import Extent


@dataclass(frozen=True, slots=True)
class Sample:
    """Whole traces, in the order in which they were chosen."""

    extents: Sequence[Extent]
    spans: int
    failed: int


def choose(run: Run) -> Sample:
    """Choose all failed traces, then others by a hash of their id, up to the span limit of the run.

    The same traces are chosen each time. A trace that does not fit is passed over.
    """
    failed = Case(When(FAILED, then=Value(1)), default=Value(0), output_field=IntegerField())
    traces = focus.traces_of(run).annotate(failed=failed, place=MD5(Cast("trace_id", TextField())))
    rows = traces.order_by("-failed", "place").values_list("trace_id", "start_time", "end_time", "span_count", "failed")
    extents, spans, failures = [], 0, 0
    for trace_id, start, end, count, has_failed in rows[: run.span_limit].iterator():
        if spans + count > run.span_limit:
            continue
        extents.append(Extent(trace_id, start, end))
        spans += count
        failures += has_failed
    return Sample(extents, spans, failures)
