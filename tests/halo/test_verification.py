"""Whether a fix worked, by counts from the store before and after it."""

from datetime import datetime, timedelta
from itertools import batched
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.http import QueryDict

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from catalyst.ops.demo import support, timeline
from halo import verification
from halo.choices import EngineKind, Verdict
from halo.models import Finding, Run
from halo.runs import requests, worker
from halo.runs.requests import Definition
from halo.verification import Checked, Verification
from tests.factories import make_agent, make_finding, make_issue, make_run, make_traces
from traces.ingest import pipeline
from traces.models import Trace

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def reported(project: Project, agent: str, start: datetime, end: datetime) -> Run:
    """A report by rules, as a worker stores it."""
    row = Agent.objects.get(project=project, identity=agent)
    run = requests.create(row, Definition(window_start=start, window_end=end, engine=EngineKind.RULES), end)
    worker.work(lambda: end)
    run.refresh_from_db()
    return run


def traffic(
    project: Project, at: datetime, first: int, ok: int, failing: int, error: str = "Timeout after 3 s"
) -> None:
    """Runs of a session at a time. Some fail in a tool before the others."""
    session = f"session {first}"
    make_traces(project, range(first + ok, first + ok + failing), now=at, error=error, session=session)
    make_traces(project, range(first, first + ok), now=at + timedelta(seconds=30), session=session)


def fails(found: Verification) -> Checked:
    """What became of the failure of the tool."""
    (checked,) = [each for each in found.checked if each.finding.kind == "recurring_failure"]
    return checked


@pytest.mark.django_db(transaction=True)
class TestFailures:
    """A tool failed in 30 of 100 runs of a day."""

    @pytest.fixture
    def run(self, project: Project, now: datetime) -> Run:
        traffic(project, now - 2 * HOUR, 1, 70, 30)
        return reported(project, "support-bot", now - DAY, now)

    def check(self, run: Run, now: datetime) -> Verification:
        return verification.of_run(run, now, now + DAY)

    def test_it_is_resolved_when_many_runs_show_none(self, project: Project, run: Run, now: datetime) -> None:
        traffic(project, now + HOUR, 201, 100, 0)
        found = fails(self.check(run, now))
        assert (found.verdict, found.after and found.after.count, found.at_most) == (Verdict.RESOLVED, 0, False)
        assert found.before is not None
        assert (found.before.count, found.before.total) == (30, 100)
        assert found.interval is not None
        assert found.interval[1] < 0
        assert found.chance_text == "over 99.9%"

    def test_it_decreased_when_one_run_still_shows_it(self, project: Project, run: Run, now: datetime) -> None:
        traffic(project, now + HOUR, 201, 99, 1)
        found = fails(self.check(run, now))
        assert (found.verdict, found.after and found.after.count) == (Verdict.DECREASED, 1)

    def test_it_is_unchanged_or_increased(self, project: Project, run: Run, now: datetime) -> None:
        traffic(project, now + HOUR, 201, 68, 32)
        assert fails(self.check(run, now)).verdict == Verdict.UNCHANGED
        traffic(project, now + HOUR, 401, 0, 200)
        found = fails(self.check(run, now))
        assert found.verdict == Verdict.INCREASED
        assert found.examples

    def test_few_runs_tell_nothing(self, project: Project, run: Run, now: datetime) -> None:
        traffic(project, now + HOUR, 201, 5, 0)
        found = fails(self.check(run, now))
        assert found.verdict == Verdict.UNKNOWN
        assert found.chance == pytest.approx(1 - 0.7**5)

    def test_no_runs_tell_nothing(self, run: Run, now: datetime) -> None:
        found = self.check(run, now)
        assert (fails(found).verdict, found.numbers) == (Verdict.UNKNOWN, [])

    def test_another_failure_is_new(self, project: Project, run: Run, now: datetime) -> None:
        traffic(project, now + HOUR, 201, 70, 30, "Refused by the server")
        found = self.check(run, now)
        assert fails(found).verdict == Verdict.RESOLVED
        assert ["Refused by the server" in each.title for each in found.new] == [True]

    def test_before_is_what_the_report_lists_until_then(self, project: Project, run: Run, now: datetime) -> None:
        traffic(project, now - HOUR / 2, 201, 40, 0)
        # Lists of so long a time end on the hour.
        found = fails(verification.of_run(run, now - HOUR * 2 / 3, now + DAY))
        assert found.before is not None
        assert (found.before.count, found.before.total) == (30, 100)
        listed = QueryDict(found.before.query)
        assert (listed["finding"], listed["to"]) == (str(found.finding.pk), "2026-11-20T11:00")

    def test_too_many_runs_are_cut_and_it_says_so(
        self, project: Project, run: Run, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(verification, "MAX_SPANS", 250)
        traffic(project, now + HOUR, 201, 100, 0)
        traffic(project, now + 2 * HOUR, 401, 100, 0)
        found = self.check(run, now)
        assert found.after.end == now + 2 * HOUR
        assert found.after_count == 100
        assert found.notes == [
            "There are too many runs since then to compare all of them: only those of 20 Nov 12:00 to 14:00 UTC are."
        ]

    def test_an_issue_is_checked_by_its_newest_finding(self, project: Project, run: Run, now: datetime) -> None:
        traffic(project, now + HOUR, 201, 100, 0)
        newest = run.findings.get(kind="recurring_failure")
        issue = make_issue(run.agent, now=now)
        Finding.objects.filter(pk=newest.pk).update(issue=issue)
        (checked,) = verification.of_issue(issue, now, now + DAY).checked
        assert (checked.finding, checked.verdict) == (newest, Verdict.RESOLVED)


class TestOfModels:
    """A model wrote the report."""

    def test_only_a_signal_can_tell_what_was_read_from_texts(self, project: Project, now: datetime) -> None:
        run = make_run(make_agent(project), now=now)
        make_finding(run, claimed_count=12)
        (checked,) = verification.of_run(run, now, now + DAY).checked
        assert checked.verdict == Verdict.UNKNOWN
        assert "A signal that asks the same can tell" in checked.how

    def test_a_filter_counts_both_windows(self, project: Project, now: datetime) -> None:
        traffic(project, now - HOUR, 1, 60, 0)
        traffic(project, now + HOUR, 201, 60, 0)
        run = make_run(Agent.objects.get(project=project), now=now)
        Trace.objects.filter(start_time__lt=now, trace_id__in=_ids(1, 31)).update(environment="staging")
        make_finding(run, query="environment=staging&agent=1&range=7d")
        (checked,) = verification.of_run(run, now, now + DAY).checked
        assert (checked.verdict, checked.before and checked.before.count) == (Verdict.RESOLVED, 30)
        assert checked.before is not None
        assert "environment=staging" in checked.before.query


def _ids(first: int, last: int) -> list[Any]:
    return list(Trace.objects.order_by("trace_id").values_list("trace_id", flat=True)[first - 1 : last - 1])


@pytest.mark.parametrize("since", [-25 * HOUR, DAY, 2 * DAY])
def test_a_time_outside_is_refused(project: Project, now: datetime, since: timedelta) -> None:
    run = make_run(make_agent(project), now=now)
    with pytest.raises(ValidationError) as refused:
        verification.of_run(run, now + since, now + DAY)
    assert "since" in refused.value.message_dict


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_bad_deploy_of_the_demo_is_resolved_after_its_end(project: Project, now: datetime) -> None:
    spans = [
        span
        for turns in timeline.conversations(timeline.begins(now), now, now)
        for turn in turns
        if turn[0].attributes.get("agent.id") == support.ID
        for span in turn
    ]
    for batch in batched(spans, 2_000, strict=False):
        pipeline.store(project.pk, batch, now)
    run = reported(project, support.ID, now - 7 * DAY, now)
    _, end = timeline.bad_deploy(now)
    found = verification.of_run(run, end + timedelta(minutes=30), now)
    (checked,) = [each for each in found.checked if each.finding.signature == "regression|failures"]
    assert checked.verdict == Verdict.RESOLVED
    assert checked.before is not None
    assert checked.usual is not None
    assert checked.after is not None
    assert checked.before.count / checked.before.total > 0.5
    assert checked.after.count / checked.after.total < 0.03
    assert checked.usual.count / checked.usual.total < 0.03
    assert checked.chance_text == "over 99.9%"
    failed = {number.name: number.change for number in found.numbers}
    assert failed["Failed runs"] == "better"
