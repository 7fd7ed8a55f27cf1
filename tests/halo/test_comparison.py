"""What is new, what came again and what is gone from one report to the next."""

from datetime import datetime, timedelta

import pytest
from django.core.exceptions import ValidationError

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from halo import comparison
from halo.choices import EngineKind
from halo.comparison import Comparison
from halo.models import Issue, Run
from tests.factories import make_agent, make_finding, make_issue, make_run

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


@pytest.fixture
def reports(agent: Agent, now: datetime) -> tuple[Run, Run]:
    """Two reports, of one day each."""
    return make_run(agent, now=now), make_run(agent, now=now + DAY)


def titles(found: Comparison) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    again = [(each.older.title, each.newer.title) for each in found.recurring]
    return [each.title for each in found.new], again, [each.title for each in found.gone]


def test_findings_are_the_same_by_their_signature(reports: tuple[Run, Run]) -> None:
    older, newer = reports
    make_finding(older, title="A fails in 10%", signature="a", trace_count=10)
    make_finding(older, title="B is slow", signature="b", rank=2)
    make_finding(newer, title="C costs much", signature="c")
    make_finding(newer, title="A fails in 20%", signature="a", rank=2, trace_count=20)
    found = comparison.compare(older, newer)
    assert titles(found) == (["C costs much"], [("A fails in 10%", "A fails in 20%")], ["B is slow"])
    assert (found.recurring[0].trend, found.notes) == ("up from 10.0%", [])


def test_issues_come_before_signatures(reports: tuple[Run, Run], agent: Agent, now: datetime) -> None:
    older, newer = reports
    into = make_issue(agent, now=now)
    merged = Issue.objects.create(
        project=agent.project, agent=agent, title="Merged", merged_into=into, severity="low", category="cost",
        state_since=now, first_seen_at=now, last_seen_at=now, created_at=now,
    )  # fmt: skip
    make_finding(older, title="Told by a model", issue=merged)
    make_finding(older, title="Of another issue", signature="a", rank=2, issue=make_issue(agent, now=now))
    make_finding(newer, title="Told differently", issue=into, signature="a")
    assert titles(comparison.compare(older, newer)) == (
        [], [("Told by a model", "Told differently")], ["Of another issue"],
    )  # fmt: skip


def test_findings_without_either_are_not_guessed(reports: tuple[Run, Run]) -> None:
    older, newer = reports
    make_finding(older, title="The same words")
    make_finding(newer, title="The same words")
    assert titles(comparison.compare(older, newer)) == (["The same words"], [], ["The same words"])


def test_it_says_why_a_difference_may_be_none(agent: Agent, now: datetime) -> None:
    older = make_run(agent, now=now, asked={"focus": "status=error"}, engine=EngineKind.MODEL)
    newer = make_run(agent, now=now + DAY / 2)
    assert len(comparison.compare(older, newer).notes) == 3


def test_only_reports_of_one_agent_are_compared(project: Project, reports: tuple[Run, Run], now: datetime) -> None:
    other = make_run(make_agent(project, "Another"), now=now)
    for older in (other, reports[1]):
        with pytest.raises(ValidationError):
            comparison.compare(older, reports[1])


def test_the_report_before_is_on_the_same_traces(agent: Agent, reports: tuple[Run, Run], now: datetime) -> None:
    make_run(agent, now=now + DAY, asked={"focus": "status=error"})
    make_run(agent, now=now + DAY, status="failed")
    newest = make_run(agent, now=now + 2 * DAY)
    assert comparison.previous(newest) == reports[1]
    assert comparison.previous(reports[0]) is None
