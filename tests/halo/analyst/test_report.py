"""The whole offline analyst, from stored traces to a report."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import batched
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.http import QueryDict

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from halo import focus
from halo.analyst import reading
from halo.analyst.reading import Interrupted
from halo.analyst.report import analyze, report_on
from halo.choices import EngineKind, Severity
from halo.drafts import FindingDraft, ReportDraft
from halo.models import Run
from tests.factories import make_trace, make_traces
from tests.halo import traffic
from tests.halo.traffic import AGENTS, SUPPORT, Traffic
from tests.traces.recorded import recording
from traces.ingest import pipeline
from traces.models import Trace

pytestmark = pytest.mark.django_db
# Kinds of findings that a planted kind may appear as.
SHOWN_AS = {
    "recurring_failure": {"recurring_failure"},
    "failing_tool": {"empty_tool"},
    "redundant_call": {"redundant_call"},
    "loop": {"loop"},
    "slow_tail": {"slow_tail"},
    "cut_off_answer": {"cut_off_answer", "refused_answer"},
}


def a_run(project: Project, agent: str, start: datetime, end: datetime, query: str = "") -> Run:
    """A run of Halo, which need not be stored."""
    row = Agent.objects.get(project=project, identity=agent)
    window = {"window_start": start, "window_end": end, "engine": EngineKind.RULES}
    return Run(project=project, agent=row, focus=query, **window)


def planted(project: Project, now: datetime, **plants: float) -> tuple[Traffic, ReportDraft]:
    """Stored traffic of an agent with plants, and the report on it."""
    made = traffic.make(now, seed=4, plants=plants, agents=[SUPPORT])
    traffic.write(project, made, now)
    return made, analyze(a_run(project, "support", made.start, made.end), now)


def runs_of(findings: Collection[FindingDraft], kinds: Collection[str]) -> set[UUID]:
    return {trace_id for each in findings if each.kind in kinds for trace_id in each.trace_ids}


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_planted_kinds_are_found_together_with_their_runs(project: Project, now: datetime, rate: float) -> None:
    made, report = planted(project, now, **dict.fromkeys(SHOWN_AS, rate))
    with_error = set(Trace.objects.filter(error_count__gt=0).values_list("trace_id", flat=True))
    for kind, kinds in SHOWN_AS.items():
        wanted = made.planted_in(kind, "support")
        # Noise may break what was planted: a tool that fails does not answer nothing.
        sound = wanted if kind == "recurring_failure" else wanted - with_error
        assert sound <= runs_of(report.findings, kinds), kind
    assert report.notes == ("All 620 traces were read.",)
    assert report.lede.startswith(
        f"{Trace.objects.filter(start_time__gte=made.start, status='error').count()} of 620 runs"
    )
    for finding in report.findings:
        assert set(finding.trace_ids) <= set(made.runs["support"])
        assert 1 <= len(finding.citations) <= 5
        assert finding.title
        assert finding.happens
        assert finding.fix


@pytest.mark.slow
def test_ten_weeks_of_ordinary_traffic_give_at_most_one_finding_above_low(project: Project, now: datetime) -> None:
    above = []
    for seed in range(10):
        agent = replace(AGENTS[seed % len(AGENTS)], name=f"agent {seed}")
        made = traffic.make(now, seed=seed, agents=[agent])
        traffic.write(project, made, now)
        report = analyze(a_run(project, agent.name, made.start, made.end), now)
        above += [finding.title for finding in report.findings if finding.severity != Severity.LOW]
    assert len(above) <= 1, above


def test_a_query_lists_exactly_the_runs_of_its_finding(project: Project, now: datetime) -> None:
    made = traffic.make(now, runs=60, agents=[SUPPORT], plants={"recurring_failure": 0.1})
    traffic.write(project, made, now)
    run = a_run(project, "support", made.start, made.end, "environment=production")
    report = analyze(run, now)
    with_query = [finding for finding in report.findings if finding.query]
    for finding in with_query:
        params = QueryDict(finding.query)
        assert (params["environment"], params["from"], params["agent"]) == (
            "production",
            "2026-11-13T12:00",
            str(run.agent_id),
        )
        assert params["status"] == "error"
        narrowed = a_run(project, "support", made.start, made.end, "environment=production&status=error")
        listed = focus.traces_of(narrowed).values_list("trace_id", flat=True)
        assert set(listed) == set(finding.trace_ids)


def failing(project: Project, numbers: range, now: datetime, **about: Any) -> None:
    make_traces(project, numbers, now=now, error="Timeout after 3 s", **about)


def test_it_reads_one_project_one_agent_and_the_focus(project: Project, other_project: Project, now: datetime) -> None:
    make_traces(project, range(1, 31), now=now)
    failing(project, range(31, 41), now, user="carol")
    failing(project, range(41, 51), now, user="dave")
    failing(project, range(51, 61), now, agent="another")
    failing(other_project, range(1, 31), now, user="carol")
    window = (now - timedelta(days=1), now)
    everything = analyze(a_run(project, "support-bot", *window), now)
    assert runs_of(everything.findings, {"recurring_failure"}) == {UUID(int=number) for number in range(31, 51)}
    narrowed = analyze(a_run(project, "support-bot", *window, "user=carol"), now)
    assert runs_of(narrowed.findings, {"recurring_failure"}) == {UUID(int=number) for number in range(31, 41)}
    assert narrowed.notes == ("All 10 traces were read.",)


def test_few_runs_list_failures_only(project: Project, now: datetime) -> None:
    make_traces(project, range(1, 11), now=now)
    make_trace(project, 11, now=now, error="Timeout after 3 s")
    report = analyze(a_run(project, "support-bot", now - timedelta(days=1), now), now)
    assert report.lede.startswith("There are too few runs to find patterns, so only failures are listed. ")
    assert [finding.title for finding in report.findings] == [
        "lookup fails with “Timeout after … s” in 1 of 11 runs (9.1%)"
    ]
    assert report.findings[0].citations[0].quote == "Timeout after 3 s"


def test_no_runs_are_no_report(project: Project, now: datetime) -> None:
    make_trace(project, now=now)
    report = analyze(a_run(project, "support-bot", now - timedelta(days=9), now - timedelta(days=8)), now)
    assert (report.lede, report.findings) == ("There are no runs in this window.", ())


def test_the_same_trouble_as_before_is_no_change(project: Project, now: datetime) -> None:
    for at in (now - timedelta(hours=30), now):
        first = 1 if at == now else 101
        make_traces(project, range(first, first + 40), now=at)
        failing(project, range(first + 40, first + 50), at)
    report = analyze(a_run(project, "support-bot", now - timedelta(days=1), now), now)
    (finding,) = [each for each in report.findings if each.kind == "recurring_failure"]
    assert (finding.prior_count, finding.prior_total) == (10, 50)
    assert "In the window before: 10 of 50 runs (20.0%), which is no significant change." in finding.evidence


class TestSample:
    """More spans than are read."""

    def test_all_failed_traces_are_read_and_always_the_same_others(self, project: Project, now: datetime) -> None:
        make_traces(project, range(1, 201), now=now)
        # Their tool failed, and their agent reports that it failed.
        failing(project, range(201, 221), now)
        Trace.objects.filter(trace_id__gte=UUID(int=201)).update(outcome="failure")
        run = a_run(project, "support-bot", now - timedelta(days=1), now)
        read = [reading.read(run, now, lambda: False, max_spans=260) for _ in range(2)]
        chosen = [{each.trace_id for each in one.window.runs} for one in read]
        assert chosen[0] == chosen[1] >= {UUID(int=number) for number in range(201, 221)}
        # 60 spans are of those that failed, and 200 of about half of the others.
        assert 20 + 60 < len(chosen[0]) < 20 + 140
        report = report_on(read[0])
        assert report.notes[0].startswith(f"{len(chosen[0])} of 220 traces were read: first those that failed, then")
        assert report.lede.startswith("20 of 220 runs (9.1%) failed")
        assert not any(finding.query for finding in report.findings)

    def test_a_giant_trace_is_left_out(self, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "MAX_SPANS_OF_A_TRACE", 2)
        make_traces(project, range(1, 4), now=now)
        make_trace(project, 4, now=now, error="Boom")
        read = reading.read(a_run(project, "support-bot", now - timedelta(days=1), now), now, lambda: False)
        assert [each.trace_id.int for each in read.window.runs] == [1, 2, 3]
        assert read.notes[0].startswith("3 of 4 traces were read")


def test_it_ends_when_it_is_asked_to(project: Project, now: datetime) -> None:
    make_traces(project, range(1, 31), now=now)
    with pytest.raises(Interrupted):
        analyze(a_run(project, "support-bot", now - timedelta(days=1), now), now, lambda: True)


def test_runs_of_a_session_come_one_after_another(project: Project, now: datetime) -> None:
    for at in range(3):
        make_traces(project, range(2 * at + 1, 2 * at + 2), now=now + at * timedelta(minutes=1), session="one")
        make_traces(project, range(2 * at + 2, 2 * at + 3), now=now + at * timedelta(minutes=1), session="two")
    run = a_run(project, "support-bot", now - timedelta(days=1), now + timedelta(days=1))
    read = reading.read(run, now, lambda: False)
    assert [(each.trace_id.int, len(steps)) for each, steps in read.runs()] == [
        (1, 2), (3, 2), (5, 2), (2, 2), (4, 2), (6, 2),
    ]  # fmt: skip


@pytest.mark.slow
def test_the_airline_recording(project: Project, shared: Path) -> None:
    """What the reference says of it. The failed conversations themselves have no error, so no rule sees them."""
    spans = recording(shared / "data" / "airline.otlp.jsonl.gz")
    end = datetime.fromtimestamp(max(span.end_ns for span in spans) / 1e9, UTC) + timedelta(hours=1)
    for batch in batched(spans, 2_000, strict=False):
        pipeline.store(project.pk, batch, end)
    report = analyze(a_run(project, "airline-support", end - timedelta(days=30), end), end)
    assert report.lede.startswith("None of 757 runs failed.")
    titles = {finding.title for finding in report.findings}
    assert "update_reservation_flights fails in 41.1% of its calls, in 19 of 757 runs (2.5%)" in titles
    assert "get_reservation_details runs 5 to 7 times in a row in 11 of 757 runs (1.5%)" in titles
    assert "search_direct_flight answers nothing in 10 of 757 runs (1.3%)" in titles
