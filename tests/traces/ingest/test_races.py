"""Several writers at once: nothing twice, nothing lost, no deadlock."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from catalyst.core.models import Project
from tests.traces.sent import sent_span
from traces.ingest import pipeline
from traces.ingest.pipeline import IngestResult
from traces.models import AgentHour, AgentHourCalls, Session, Span, Trace
from traces.otlp import DecodedSpan

LLM: dict[str, Any] = {
    "openinference__span__kind": "LLM",
    "llm__token_count__prompt": 7,
    "llm__token_count__completion": 1,
}
TRACES, SPANS, WRITERS = 12, 6, 4


@pytest.mark.django_db(transaction=True)
def test_it_is_exact_with_writers_that_send_the_same_spans_in_different_orders(project: Project, now: datetime) -> None:
    spans = [
        sent_span(
            span,
            None if span == 1 else 1,
            trace=trace,
            start=now + timedelta(seconds=span),
            session__id=f"s{trace % 3}",
            **({"agent__id": f"a{trace % 2}"} if span == 1 else LLM),
        )
        for trace in range(1, TRACES + 1)
        for span in range(1, SPANS + 1)
    ]

    def write(seed: int) -> list[IngestResult]:
        shuffled = spans.copy()
        random.Random(seed).shuffle(shuffled)
        try:
            return [pipeline.store(project.pk, batch, now) for batch in batches(shuffled)]
        finally:
            connection.close()

    with ThreadPoolExecutor(WRITERS) as pool:
        results = [stored for written in pool.map(write, range(WRITERS)) for stored in written]

    assert (
        sum(stored.inserted for stored in results) == len(spans) == Span.objects.filter(project_id=project.pk).count()
    )
    assert sum(stored.duplicate for stored in results) == (WRITERS - 1) * len(spans)
    expected = (TRACES, len(spans), 7 * TRACES * (SPANS - 1))
    for rows in (Session.objects.filter(project=project), AgentHour.objects.filter(project=project)):
        assert (
            sum(row.trace_count for row in rows),
            sum(row.span_count for row in rows),
            sum(row.input_tokens for row in rows),
        ) == expected
    traces = Trace.objects.filter(project=project)
    assert (len(traces), sum(t.span_count for t in traces), sum(t.input_tokens for t in traces)) == expected
    calls = AgentHourCalls.objects.filter(project=project)
    assert sum(row.call_count for row in calls) == TRACES * (SPANS - 1)
    assert Session.objects.filter(project=project, agent=None).count() == 0


def batches(spans: list[DecodedSpan]) -> list[list[DecodedSpan]]:
    return [spans[first : first + 10] for first in range(0, len(spans), 10)]
