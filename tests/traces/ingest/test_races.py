"""Several writers at once: nothing twice, nothing lost, no deadlock."""

import random
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection, transaction

from catalyst.core.models import Project
from tests.locks import SECONDS, held, waiting
from tests.traces.sent import sent_span
from traces.ingest import pipeline
from traces.ingest.pipeline import MAX_TRIES, IngestResult
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


def in_session(span: int, key: str, *, trace: int, start: datetime) -> DecodedSpan:
    """A span whose trace is in the session if it is its root, or has no root."""
    return sent_span(span, None if span == 1 else 1, trace=trace, start=start, session__id=key, **LLM)


@pytest.mark.django_db(transaction=True)
def test_two_traces_that_leave_a_session_at_once_leave_nothing_in_it(project: Project, now: datetime) -> None:
    for trace in (1, 2, 3):
        pipeline.store(project.pk, [in_session(2, "left", trace=trace, start=now)], now)
    pipeline.store(project.pk, [in_session(1, f"new {trace}", trace=trace + 10, start=now) for trace in (1, 2)], now)

    def leave(trace: int) -> None:
        pipeline.store(project.pk, [in_session(1, f"new {trace}", trace=trace, start=now)], now)

    with ExitStack() as stack:
        with transaction.atomic():
            leave(1)
            second = stack.enter_context(waiting(lambda: leave(2)))
            assert not second.done(), "it waits for the session"
        second.result(SECONDS)
    sums = {row.key: (row.trace_count, row.span_count, row.input_tokens) for row in Session.objects.all()}
    assert sums == {"left": (1, 1, 7), "new 1": (2, 3, 14), "new 2": (2, 3, 14)}


@pytest.mark.django_db(transaction=True)
def test_two_writers_that_bring_ids_of_a_new_name_make_one_agent(project: Project, now: datetime) -> None:
    def run(trace: int) -> None:
        named: dict[str, Any] = {"gen_ai__agent__id": f"run-{trace}", "gen_ai__agent__name": "Assistant"}
        pipeline.store(project.pk, [sent_span(1, trace=trace, start=now, **named)], now)

    with ExitStack() as stack:
        with transaction.atomic():
            run(1)
            second = stack.enter_context(waiting(lambda: run(2)))
            assert not second.done(), "it waits until the first one has made the agent"
        second.result(SECONDS)
    assert {trace.agent.identity for trace in Trace.objects.select_related("agent") if trace.agent} == {"run-1"}


@pytest.mark.django_db(transaction=True)
def test_two_ids_that_recur_at_once_are_two_agents(project: Project, now: datetime) -> None:
    def run(trace: int, agent_id: str) -> None:
        named: dict[str, Any] = {"gen_ai__agent__id": agent_id, "gen_ai__agent__name": "Assistant"}
        pipeline.store(project.pk, [sent_span(1, trace=trace, start=now, **named)], now)

    run(1, "a")
    run(2, "b")
    with ExitStack() as stack:
        with transaction.atomic():
            run(3, "b")
            second = stack.enter_context(waiting(lambda: run(4, "a")))
            assert not second.done(), "it waits for the agent"
        second.result(SECONDS)
    newest = Trace.objects.filter(trace_id__in=[UUID(int=3), UUID(int=4)]).select_related("agent")
    assert {trace.trace_id.int: trace.agent.identity for trace in newest if trace.agent} == {3: "b", 4: "a"}


LOCK = "SELECT 1 FROM traces_trace WHERE trace_id = %s FOR NO KEY UPDATE"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("deadlocks", [1, MAX_TRIES])
def test_a_writer_that_loses_a_deadlock_tries_again_and_gives_up_in_the_end(
    project: Project, now: datetime, deadlocks: int
) -> None:
    """Another transaction takes the traces in the opposite order, which ingest never does."""
    first, last = UUID(int=1), UUID(int=2)
    for trace in (1, 2):
        pipeline.store(project.pk, [sent_span(1, trace=trace, start=now)], now)
    more = [sent_span(2, 1, trace=trace, start=now) for trace in (1, 2)]
    # PostgreSQL ends the transaction whose time is up first.
    with held("SET deadlock_timeout = '20s'") as other:
        other.execute(LOCK, [last])
        with waiting(lambda: pipeline.store(project.pk, more, now), "SET deadlock_timeout = '700ms'") as writer:
            try:
                for number in range(deadlocks):
                    if number:
                        other.execute("ROLLBACK TO SAVEPOINT before")
                    wait_until_locked(first, writer)
                    other.execute("SAVEPOINT before")
                    other.execute(LOCK, [first])
            finally:
                other.commit()
    if deadlocks < MAX_TRIES:
        assert writer.result() == IngestResult(inserted=2)
    else:
        with pytest.raises(OperationalError, match="deadlock"):
            writer.result()
    spans = Trace.objects.values_list("span_count", flat=True)
    assert set(spans) == {2 if deadlocks < MAX_TRIES else 1}


def wait_until_locked(trace: UUID, writer: Future[object]) -> None:
    """Until somebody holds the row of a trace, or the writer is done."""
    with connection.cursor() as cursor:
        rows = 1
        while rows and not writer.done():
            cursor.execute(f"{LOCK} SKIP LOCKED", [trace])
            rows = cursor.rowcount
