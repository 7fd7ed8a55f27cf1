"""Reads over many traces."""

from collections import defaultdict
from collections.abc import Iterable

from traces.models import Trace
from traces.records import SpanRecord
from traces.span_store import span_store


def spans_of(traces: Iterable[Trace]) -> dict[int, list[SpanRecord]]:
    """Spans by the trace's primary key; one query per project."""
    by_project: dict[int, list[Trace]] = defaultdict(list)
    for trace in traces:
        by_project[trace.project_id].append(trace)
    spans_by_trace: dict[int, list[SpanRecord]] = {}
    for project_id, project_traces in by_project.items():
        spans = span_store().spans(project_id, [trace.extent for trace in project_traces])
        spans_by_trace |= {trace.pk: spans.get(trace.trace_id, []) for trace in project_traces}
    return spans_by_trace
