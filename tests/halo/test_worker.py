"""Reports by the offline analyst, from the request to the rows."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from catalyst.core.models import Project
from halo.choices import CitationState, RunStatus
from halo.models import Run
from halo.runs import requests, worker
from halo.runs.requests import Definition
from tests.factories import AGENT, make_agent
from tests.traces.sent import sent_span
from traces.ingest import pipeline

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

RUNS = 40


def ask(project: Project, now: datetime, focus: str = "") -> Run:
    window = Definition(window_start=now - timedelta(days=1), window_end=now, focus=focus)
    return requests.create(make_agent(project), window, now)


def post_runs(project: Project, now: datetime, *, failing: int) -> None:
    """Runs of an agent, the first of which fail alike."""
    spans = []
    for number in range(1, RUNS + 1):
        span = sent_span(
            16 * number,
            trace=number,
            start=now - timedelta(minutes=number),
            status="error" if number <= failing else "ok",
            agent__name=AGENT,
            openinference__span__kind="AGENT",
        )
        span.status_message = f"Order {number} has no lines" if number <= failing else ""
        spans.append(span)
    pipeline.store(project.pk, spans, now)


def test_a_report_has_findings_that_cite_their_traces(project: Project, now: datetime) -> None:
    post_runs(project, now, failing=10)
    run = ask(project, now)
    assert worker.has_work(now)
    assert worker.work(lambda: now) == 1
    run.refresh_from_db()
    assert (run.status, run.error, run.ended_at) == (RunStatus.COMPLETED, "", now)
    assert (run.trace_count, run.error_count, run.read_trace_count, run.read_span_count) == (40, 10, 40, 40)
    finding = run.findings.get(rank=1)
    assert (finding.trace_count, finding.trace_total, finding.kind) == (10, 40, "recurring_failure")
    assert {row.trace_id.int for row in finding.traces.all()} == set(range(1, 11))
    cited = finding.citations.all()
    assert 3 <= len(cited) <= 5
    assert {citation.state for citation in cited} == {CitationState.VERIFIED}
    assert {citation.trace_id for citation in cited} <= {row.trace_id for row in finding.traces.all()}
    assert not worker.has_work(now)


def test_a_focus_narrows_what_is_read(project: Project, now: datetime) -> None:
    post_runs(project, now, failing=10)
    run = ask(project, now, "status=ok")
    worker.work(lambda: now)
    run.refresh_from_db()
    assert (run.status, run.trace_count) == (RunStatus.COMPLETED, 30)
    assert not run.findings.filter(kind="recurring_failure").exists()


def test_a_window_without_traces_is_no_report(project: Project, now: datetime) -> None:
    run = ask(project, now)
    worker.work(lambda: now)
    run.refresh_from_db()
    assert (run.status, run.error) == (RunStatus.NO_TRACES, f"{AGENT} has no traces in this window that match.")


def test_several_runs_are_worked_on(project: Project, other_project: Project, now: datetime) -> None:
    post_runs(project, now, failing=10)
    mine, theirs = ask(project, now), ask(other_project, now)
    assert worker.work(lambda: now) == 2
    assert Run.objects.get(pk=mine.pk).findings.exists()
    assert Run.objects.get(pk=theirs.pk).status == RunStatus.NO_TRACES


@pytest.mark.parametrize("call", range(2, 7))
def test_cancelling_at_any_time_leaves_no_half_report(project: Project, now: datetime, call: int) -> None:
    post_runs(project, now, failing=10)
    run = ask(project, now)
    worker.work(_cancelling(run, now, call))
    run.refresh_from_db()
    assert (run.status, run.findings.count(), run.citations.count()) == (RunStatus.CANCELLED, 0, 0)


def _cancelling(run: Run, now: datetime, call: int) -> Callable[[], datetime]:
    """A clock that somebody cancels the run at."""
    calls = 0

    def clock() -> datetime:
        nonlocal calls
        calls += 1
        if calls == call:
            requests.cancel(run, now)
        return now

    return clock


def test_nothing_is_begun_after_the_time_is_over(project: Project, now: datetime) -> None:
    ask(project, now)
    assert worker.work(lambda: now, until=lambda: True) == 0
    assert worker.has_work(now)
