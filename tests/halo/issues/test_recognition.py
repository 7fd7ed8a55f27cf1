"""What a stored report does to the issues of its agent."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from catalyst.agents.models import Agent
from catalyst.core.models import AuditEntry, Project
from halo.choices import Category, IssueState, RunStatus, Severity
from halo.drafts import FindingDraft, ReportDraft
from halo.issues import recognition, writes
from halo.models import Finding, Issue, Run
from halo.report.findings import ParsedFinding
from halo.report.parsing import ParsedReport
from halo.runs import claims, facts, requests, storing
from halo.runs.claims import Lost
from halo.runs.requests import Definition
from halo.sample import Sample
from tests.factories import make_agent, make_trace_rows

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


def draft(title: str = "The payment is declined", numbers: Iterable[int] = (), **about: Any) -> FindingDraft:
    known: dict[str, Any] = {"severity": Severity.HIGH, "category": Category.RELIABILITY, "signature": "declined"}
    return FindingDraft(title=title, trace_ids=tuple(UUID(int=number) for number in numbers), **known | about)


def claimed(agent: Agent, end: datetime, now: datetime, days: int = 1) -> claims.Claim:
    requests.create(agent, Definition(window_start=end - days * DAY, window_end=end, engine="rules"), now)
    claim = claims.claim(now)
    assert claim is not None
    return claim


def report(agent: Agent, end: datetime, *drafts: FindingDraft, now: datetime, days: int = 1) -> Run:
    """A report on the days before `end`, stored as a worker does."""
    claim = claimed(agent, end, now, days)
    with transaction.atomic():
        storing.store(claim, ReportDraft(findings=drafts), 100, now)
    return claim.run


def only_issue() -> Issue:
    return Issue.objects.get()


def test_a_finding_makes_an_issue_which_later_reports_find_again(agent: Agent, now: datetime) -> None:
    report(agent, now - DAY, draft(), now=now)
    issue = only_issue()
    assert (issue.state, issue.severity, issue.title) == (IssueState.OPEN, "high", "The payment is declined")
    assert (issue.first_seen_at, issue.last_seen_at, issue.state_since) == (now - 2 * DAY, now - DAY, now)
    report(agent, now, draft("Payments are declined", severity=Severity.CRITICAL), now=now)
    again = only_issue()
    assert (again.title, again.severity, again.last_seen_at) == ("Payments are declined", "critical", now)
    assert again.findings.count() == 2


def test_a_report_on_older_traces_does_not_say_how_it_is_now(agent: Agent, now: datetime) -> None:
    report(agent, now, draft(), now=now)
    report(agent, now - 5 * DAY, draft("An old title"), now=now)
    issue = only_issue()
    assert (issue.title, issue.first_seen_at, issue.last_seen_at) == ("The payment is declined", now - 6 * DAY, now)


def test_issues_are_those_of_the_agent_and_of_the_project(
    project: Project, other_project: Project, agent: Agent, now: datetime
) -> None:
    other = make_agent(project, "other")
    for each in (agent, other, make_agent(other_project)):
        report(each, now, draft(), now=now)
    assert set(Issue.objects.values_list("agent", "project")) == {
        (agent.pk, project.pk),
        (other.pk, project.pk),
        (other_project.agents.get().pk, other_project.pk),
    }


def test_findings_with_one_signature_are_one_issue(agent: Agent, now: datetime) -> None:
    report(agent, now, draft(), draft("It is declined elsewhere", signature="Declined"), now=now)
    assert only_issue().findings.count() == 2


def test_findings_without_a_signature_are_found_by_their_traces(project: Project, agent: Agent, now: datetime) -> None:
    make_trace_rows(project, range(1, 30), now=now - timedelta(hours=2))
    report(agent, now, draft("Charges bounce", range(1, 11), signature="a"), now=now)
    report(agent, now, draft("Cards are refused", range(1, 12), signature="b"), now=now)
    report(agent, now, draft("It is slow", range(9, 19), signature="c"), now=now)
    assert sorted(issue.findings.count() for issue in Issue.objects.all()) == [1, 2]
    # The old signature still leads there.
    report(agent, now + DAY, draft("Charges bounce", signature="a"), now=now)
    assert Issue.objects.get(title="Charges bounce").findings.count() == 3


@pytest.mark.parametrize(("hours", "state"), [(1, IssueState.OPEN), (5, IssueState.FIXED)])
def test_a_fixed_issue_is_reopened_if_it_happens_after_that(
    project: Project, agent: Agent, now: datetime, hours: int, state: IssueState
) -> None:
    make_trace_rows(project, range(1, 5), now=now - timedelta(hours=hours))
    report(agent, now - DAY, draft(), now=now)
    writes.fix(only_issue(), now, at=now - timedelta(hours=3), version="1.5.0")
    report(agent, now, draft(numbers=range(1, 5)), now=now + timedelta(minutes=1))
    issue = only_issue()
    assert (issue.state, issue.last_seen_at) == (state, now)
    assert issue.reopened_count == (state == IssueState.OPEN)
    if state == IssueState.OPEN:
        assert issue.note.startswith("It was fixed by version 1.5.0 on ")
        assert issue.state_since == now + timedelta(minutes=1)
        assert AuditEntry.objects.filter(action="reopened", kind="issue", target_id=issue.pk).exists()


def test_without_traces_only_a_window_after_the_fix_reopens(agent: Agent, now: datetime) -> None:
    report(agent, now - 2 * DAY, draft(), now=now)
    writes.fix(only_issue(), now, at=now - timedelta(hours=20))
    report(agent, now, draft(), now=now)
    assert only_issue().state == IssueState.FIXED
    report(agent, now + 2 * DAY, draft(), now=now + 2 * DAY)
    assert only_issue().state == IssueState.OPEN


def test_a_dismissed_issue_stays_dismissed(agent: Agent, now: datetime) -> None:
    report(agent, now - DAY, draft(), now=now)
    writes.dismiss(only_issue(), now, why="It is a test account.")
    report(agent, now, draft(), now=now)
    issue = only_issue()
    assert (issue.state, issue.note, issue.last_seen_at) == (IssueState.DISMISSED, "It is a test account.", now)


def test_a_merged_issue_stands_for_the_signatures_of_both(agent: Agent, now: datetime) -> None:
    report(agent, now - DAY, draft(), draft("The tool fails", signature="tool"), now=now)
    tool, payment = Issue.objects.get(signature="tool"), Issue.objects.get(signature="declined")
    writes.merge(tool, payment)
    report(agent, now, draft(), draft("The tool fails", signature="tool"), now=now)
    assert set(Finding.objects.values_list("issue", flat=True)) == {payment.pk}


def test_a_model_points_to_issues_that_it_was_told(agent: Agent, now: datetime) -> None:
    report(agent, now - DAY, draft("Charges bounce", signature="x"), draft("It loops", signature="y"), now=now)
    claim = claimed(agent, now, now)
    claim.update(now, trace_count=100, span_count=300, error_count=5)
    told = facts.issues_of(claim.run)
    text = facts.context_text(claim.run, Sample((), 0, 0), {}, told)
    name = next(name for name, issue in told.items() if issue.title == "It loops")
    assert f"{name}: It loops (open, last seen {now - DAY:%Y-%m-%d})" in text
    fact = draft("A fact", signature="z")
    parsed = [
        ParsedFinding(title="Round and round", signature=f"issue {name}"),
        ParsedFinding(title="?", signature="i9"),
    ]
    both = ParsedFinding(title="Fact", signature=f"F1, {name}")
    said = facts.report_of(ParsedReport(prose="", findings=(*parsed, both)), {"F1": fact}, told, [])
    assert [each.issue for each in said.findings] == [told[name].pk, None, told[name].pk]
    assert [each.signature for each in said.findings] == ["", "", "z"]
    with transaction.atomic():
        storing.store(claim, said, 100, now)
    assert Issue.objects.get(pk=told[name].pk).findings.count() == 3


class Killed(BaseException):
    pass


def test_a_worker_that_dies_leaves_nothing_and_the_next_one_stores_all(agent: Agent, now: datetime) -> None:
    report(agent, now - DAY, draft(), now=now)
    before = Issue.objects.values().get()
    claim = claimed(agent, now, now)
    drafts = ReportDraft(findings=(draft("Again"), draft("Something new", signature="new")))
    with pytest.raises(Killed), transaction.atomic():
        storing.store(claim, drafts, 100, now)
        raise Killed
    assert Issue.objects.values().get() == before
    later = now + claims.LEASE + timedelta(seconds=1)
    second = claims.claim(later)
    assert second is not None
    with transaction.atomic():
        storing.store(second, drafts, 100, later)
    # The first one comes to life again.
    with pytest.raises(Lost), transaction.atomic():
        storing.store(claim, drafts, 100, later)
    second.run.refresh_from_db()
    assert second.run.status == RunStatus.COMPLETED
    assert sorted(Issue.objects.values_list("title", flat=True)) == ["Again", "Something new"]
    assert second.run.findings.count() == 2


def test_many_issues_take_few_queries(
    project: Project, agent: Agent, now: datetime, django_assert_max_num_queries: Any
) -> None:
    make_trace_rows(project, range(1, 200), now=now - timedelta(hours=2))
    many = [draft(f"Fault number{n}", range(4 * n + 1, 4 * n + 4), signature=f"s{n}") for n in range(30)]
    run = report(agent, now, *many, now=now)
    with django_assert_max_num_queries(15), transaction.atomic():
        recognition.recognize(run, many, [()] * 30, 100, now)
    assert agent.halo_issues.count() == 30
