"""Which traces a run is about: those of an agent in a window, narrowed like a list of traces."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, Sum
from django.http import QueryDict

from catalyst import timerange
from catalyst.core.models import Project
from catalyst.timerange import DAY, TimeRange
from halo.models import Run
from traces.list_params import TraceFilterForm
from traces.models.trace import TraceFilter, TraceQuerySet

FAILED = Q(status="error") | Q(outcome="failure")
NARROWING = {*TraceFilterForm.base_fields, "label"} - {"sort"}


def trace_filter(project: Project, agent: int, focus: str) -> TraceFilter:
    """The filter of a list of traces with these parameters, of this agent."""
    params = QueryDict(focus, mutable=True)
    params["agent"] = str(agent)
    return TraceFilterForm(project, params).trace_filter


def problems(project: Project, focus: str) -> list[str]:
    """What is wrong with the parameters, in words for people."""
    form = TraceFilterForm(project, QueryDict(focus))
    return [str(text) for texts in form.errors.values() for text in texts]


def traces_of(run: Run) -> TraceQuerySet:
    """The traces that a run is about, which the list of traces shows with the same parameters."""
    return traces_between(run, run.window_start, run.window_end)


def traces_before(run: Run) -> TraceQuerySet:
    """The traces of the equal window before it, narrowed alike."""
    return traces_between(run, run.window_start - (run.window_end - run.window_start), run.window_start)


def traces_between(run: Run, start: datetime, end: datetime) -> TraceQuerySet:
    """The traces of another window, narrowed alike."""
    matching = run.project.traces.matching(trace_filter(run.project, run.agent_id, run.focus))
    return matching.within(TimeRange("custom", start, end, DAY))


def list_query(run: Run) -> str:
    """Parameters of the list of these traces."""
    # Lists show whole minutes or hours.
    window = timerange.between(run.window_start, run.window_end)
    return "&".join(filter(None, [run.focus, f"agent={run.agent_id}", window.encoded_query]))


def params_of(query: QueryDict) -> QueryDict:
    """The parameters of an address that narrow a list of traces, of its agent or of any."""
    kept = QueryDict(mutable=True)
    for name, values in query.lists():
        if name in NARROWING:
            kept.setlist(name, values)
    return kept


def text_of(query: QueryDict) -> str:
    """The `focus` of a run that is asked for at an address with these parameters."""
    kept = params_of(query)
    kept.pop("agent", None)
    return kept.urlencode()


def words_of(run: Run) -> list[str]:
    """What narrows the traces of a run, in words."""
    narrowed = trace_filter(run.project, run.agent_id, run.focus)
    words = [part.text for part in narrowed.traffic_filter.parts]
    words += [f"{label.name} {label.text}" for label in narrowed.labels]
    if narrowed.text:
        words.append(f"text: {narrowed.text}")
    if narrowed.session is not None:
        session = run.project.sessions.filter(pk=narrowed.session).first()
        words.append(f"session: {session or 'unknown'}")
    if narrowed.skewed:
        words.append("clock skew")
    if narrowed.finding:
        words.append(f"finding: {narrowed.finding.text}")
    return words


@dataclass(frozen=True, slots=True)
class Volume:
    """Traces that match, those of them that failed, and their spans."""

    trace_count: int
    failed_count: int
    span_count: int
    failed_span_count: int


def volume_of(traces: TraceQuerySet) -> Volume:
    """Count traces and their spans."""
    counts = traces.order_by().aggregate(
        traces=Count("pk"),
        failed=Count("pk", filter=FAILED),
        spans=Sum("span_count", default=0),
        failed_spans=Sum("span_count", filter=FAILED, default=0),
    )
    return Volume(counts["traces"], counts["failed"], counts["spans"], counts["failed_spans"])
