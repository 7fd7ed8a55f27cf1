"""Stores spans again under the agents and names that they count under now."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import batched, chain

from catalyst.core.models import Project
from traces.conventions.span_mapping import NormalizedSpan, agent_of
from traces.ingest import pipeline
from traces.ingest.pipeline import SpanBatch
from traces.models import Resource, Trace
from traces.records import PayloadRecord, SpanRecord, serialize_payload
from traces.span_store import SpanId, SpanQuery, span_store
from traces.summary import OTHER

TRACES_AT_ONCE = 50


def regroup(project: Project, now: datetime) -> Iterator[int]:
    """Store the spans of (other) again, without the limit of new names. Yields how many after each commit.

    Safe to stop and to repeat. Live signals of the agents judge these traces as if they had just arrived.
    Raises what `pipeline.write` raises.
    """
    other = project.agents.filter(identity=OTHER).values_list("pk", flat=True).first()
    store = span_store()
    condition = store.traces_with(project.pk, SpanQuery(counts_as_other=True))
    if other is not None:
        condition |= store.traces_with(project.pk, SpanQuery(agents=(other,)))
    found = Trace.objects.filter(condition).order_by("pk").values_list("pk", flat=True)
    for pks in batched(list(found), TRACES_AT_ONCE, strict=False):
        traces = list(Trace.objects.filter(pk__in=pks))
        readings = list(readings_of(project, traces, lambda span: _is_other(span, other)))
        if readings:
            yield pipeline.write([SpanBatch(project.pk, now, readings, {}, 0)])[0].replaced


def readings_of(
    project: Project, traces: list[Trace], counts: Callable[[SpanRecord], bool]
) -> Iterator[NormalizedSpan]:
    """Stored spans of these traces that count, to be stored again under the agents that they name."""
    stored = span_store().spans(project.pk, [trace.extent for trace in traces])
    spans = [span for span in chain.from_iterable(stored.values()) if counts(span)]
    texts = _texts(project, traces, spans)
    resources = _resources(project, texts.values())
    for span in spans:
        text = texts.get((span.trace_id, span.span_id))
        if text is not None:
            yield _reading(span, text, resources.get(text.resource_digest, {}))


def _texts(project: Project, traces: list[Trace], spans: list[SpanRecord]) -> dict[SpanId, PayloadRecord]:
    ids = defaultdict(list)
    for span in spans:
        ids[span.trace_id].append(span.span_id)
    texts = span_store().payloads_of(project.pk, {trace.extent: ids[trace.trace_id] for trace in traces})
    return {(trace_id, span_id): text for trace_id, found in texts.items() for span_id, text in found.items()}


def _resources(project: Project, texts: Iterable[PayloadRecord]) -> dict[int, dict[str, object]]:
    digests = {text.resource_digest for text in texts}
    return dict(Resource.objects.filter(project=project, digest__in=digests).values_list("digest", "attributes"))


def _is_other(span: SpanRecord, other: int | None) -> bool:
    return span.counts_as_other or (other is not None and span.agent_id == other)


def _reading(span: SpanRecord, text: PayloadRecord, resource: dict[str, object]) -> NormalizedSpan:
    agent = agent_of(text.attributes, resource)
    span.counts_as_other = False
    return NormalizedSpan(span, text, serialize_payload(text), agent, is_regrouped=True)
