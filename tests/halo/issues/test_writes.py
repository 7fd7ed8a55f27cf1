"""What people do with issues."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.core.exceptions import ValidationError

from catalyst.agents.models import Agent
from catalyst.core.actor import Actor
from catalyst.core.models import AuditEntry, Project, User
from halo.choices import IssueState
from halo.issues import writes
from halo.models import Issue
from tests.factories import make_agent, make_finding, make_issue, make_run

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


@pytest.fixture
def issue(agent: Agent, now: datetime) -> Issue:
    return make_issue(agent, now=now)


def stored(issue: Issue) -> Issue:
    return Issue.objects.get(pk=issue.pk)


def audited(issue: Issue) -> list[tuple[str, str, str]]:
    entries = AuditEntry.objects.filter(kind="issue", target_id=issue.pk).order_by("pk")
    return list(entries.values_list("action", "actor_name", "detail"))


def errors(write: Callable[[], object]) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as caught:
        write()
    return caught.value.message_dict


def test_an_issue_goes_through_its_states(issue: Issue, bob: User, now: datetime) -> None:
    by, later = Actor(bob), now + HOUR
    writes.acknowledge(issue, later, by)
    writes.acknowledge(issue, later + HOUR, by)
    assert (stored(issue).state, stored(issue).state_since, stored(issue).state_by_name) == (
        "acknowledged",
        later,
        "bob",
    )
    writes.fix(issue, later, by, at=now, version=" 1.5.0 ", note="A retry.")
    fixed = stored(issue)
    assert (fixed.state, fixed.fixed_at, fixed.fixed_version, fixed.note) == ("fixed", now, "1.5.0", "A retry.")
    writes.reopen(issue, later, by)
    again = stored(issue)
    assert (again.state, again.fixed_at, again.fixed_version, again.note, again.reopened_count) == (
        *("open", None, "", ""),
        1,
    )
    writes.dismiss(issue, later, by, why="It is a test.")
    assert (issue.state, stored(issue).note) == (IssueState.DISMISSED, "It is a test.")
    assert audited(issue) == [
        ("acknowledged", "bob", ""),
        ("fixed", "bob", f"1.5.0, since {now:%Y-%m-%d %H:%M} UTC"),
        ("reopened", "bob", ""),
        ("dismissed", "bob", "It is a test."),
    ]


def test_what_is_wrong_is_said_by_field(issue: Issue, now: datetime) -> None:
    wrong = errors(lambda: writes.fix(issue, now, at=now + HOUR, version="x" * 300))
    assert wrong == {
        "at": ["Enter a time that is not in the future."],
        "version": ["Enter at most 256 characters."],
    }
    assert errors(lambda: writes.dismiss(issue, now, why=" ")) == {"why": ["Say why, for those who find it again."]}
    writes.dismiss(issue, now, why="No.")
    with pytest.raises(ValidationError, match="This issue is dismissed"):
        writes.acknowledge(issue, now)


def test_a_member_looks_after_it(issue: Issue, bob: User, charlie: User) -> None:
    writes.assign(issue, bob)
    assert stored(issue).assignee == bob
    writes.assign(issue, None)
    assert stored(issue).assignee is None
    assert errors(lambda: writes.assign(issue, charlie)) == {"to": ["charlie is no member of this project."]}
    assert [detail for _, _, detail in audited(issue)] == ["bob", "nobody"]


def test_merged_issues_are_one(agent: Agent, issue: Issue, now: datetime) -> None:
    older = make_issue(agent, now=now - 50 * HOUR, title="Older", signature="old")
    finding = make_finding(make_run(agent, now=now), issue=issue)
    writes.merge(issue, older)
    finding.refresh_from_db()
    assert finding.issue == older
    kept = stored(older)
    assert (kept.title, kept.first_seen_at, kept.last_seen_at) == (issue.title, older.first_seen_at, now)
    assert stored(issue).merged_into == older
    with pytest.raises(ValidationError, match="This issue was merged into"):
        writes.reopen(issue, now)


def test_only_issues_of_one_agent_are_merged(project: Project, issue: Issue, now: datetime) -> None:
    other = make_issue(make_agent(project, "other"), now=now)
    assert errors(lambda: writes.merge(issue, other)) == {
        "into": ["That issue is of another agent. Choose one of this agent."]
    }
    assert "can't be merged with itself" in errors(lambda: writes.merge(issue, issue))["into"][0]


def test_a_finding_is_split_off(agent: Agent, issue: Issue, now: datetime) -> None:
    kept = make_finding(make_run(agent, now=now), issue=issue, title="Kept", signature="kept")
    only = make_finding(make_run(agent, now=now + HOUR), issue=issue, title="Other", signature="other")
    made = writes.split(only, now + HOUR)
    assert (made.title, made.signature, made.first_seen_at) == ("Other", "other", only.run.window_start)
    left = stored(issue)
    assert (left.title, left.signature, left.last_seen_at) == ("Kept", "kept", kept.run.window_end)
    assert "the only finding" in errors(lambda: writes.split(only, now))["finding"][0]
