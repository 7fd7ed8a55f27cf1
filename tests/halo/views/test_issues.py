"""The pages of issues: what they list, and what people do on them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalyst.agents.models import Agent
from catalyst.core.models import Project, User
from halo.issues import writes
from halo.models import Finding, Issue
from tests.factories import make_agent, make_finding, make_issue, make_run, make_signal
from tests.page import Page

pytestmark = pytest.mark.real_clock

DAY = timedelta(days=1)


@pytest.fixture
def browser(client_as: Callable[[User], Client], bob: User) -> Client:
    """A member's."""
    return client_as(bob)


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


@pytest.fixture
def issue(agent: Agent, now: datetime) -> Issue:
    """Seen in three reports."""
    issue = make_issue(agent, now=now, title="The tool fails", first_seen_at=now - 3 * DAY)
    for number in range(3):
        run = make_run(agent, now=now - (2 - number) * DAY)
        seen = [UUID(int=each) for each in range(1, 11 * (number + 1))]
        make_finding(run, seen, title=f"Day {number}", issue=issue, cost=Decimal("1.5"))
    return issue


def open_page(browser: Client, issue: Issue) -> Page:
    return Page(browser.get(issue.get_absolute_url()).text)


def do(browser: Client, issue: Issue, verb: str, **sent: Any) -> Page:
    """What a form of the page leads to."""
    page = open_page(browser, issue)
    form = page.form(reverse(f"halo:issue-{verb}", args=[issue.project.slug, issue.pk]))
    return Page(browser.post(form.action, form.filled | sent, follow=True).text)


def test_the_tab_of_an_agent_lists_its_open_issues(browser: Client, agent: Agent, issue: Issue, now: datetime) -> None:
    for state in ("fixed", "dismissed", "dismissed"):
        make_issue(agent, now=now, state=state)
    make_issue(make_agent(agent.project, "other"), now=now)
    page = Page(browser.get(reverse("halo:agent-analysis", args=[agent.project.slug, agent.pk])).text)
    card = page.region("Open issues")
    (item,) = card.items
    assert "The tool fails High Open 32.0% of the traces 3 reports $4.50 since first seen 3 d ago" in item
    assert card.link("The tool fails") == issue.get_absolute_url()
    for words, count in (("1 open", 1), ("1 fixed", 1), ("2 dismissed", 2)):
        assert len(Page(browser.get(card.link(words)).text).table().rows) == count


def test_the_page_of_an_issue_tells_what_each_report_said(browser: Client, issue: Issue) -> None:
    page = open_page(browser, issue)
    rows = page.table().rows
    assert [row["Traces"] for row in rows] == ["32 of 100", "21 of 100", "10 of 100"]
    assert f"finding={Finding.objects.get(title='Day 1').pk}&" in rows[1].link("21")
    assert page.facts["Reports"] == str(len(rows))
    assert page.facts["Trend"] == "10.0% of the traces at first, 32.0% now"
    assert rows[0].link("Day 2") == Finding.objects.get(title="Day 2").get_absolute_url()


def test_windows_that_overlap_cost_once(browser: Client, agent: Agent, now: datetime) -> None:
    issue = make_issue(agent, now=now)
    for hours in (0, 12, 24):
        make_finding(make_run(agent, now=now - timedelta(hours=hours)), issue=issue, cost=Decimal(2))
    assert open_page(browser, issue).facts["Cost since"] == "$4.00"


def test_the_list_filters_by_state_and_agent(browser: Client, agent: Agent, issue: Issue, now: datetime) -> None:
    make_issue(agent, now=now, title="Known", state="acknowledged")
    make_issue(agent, now=now, title="Done", state="fixed")
    other = make_issue(make_agent(agent.project, "other"), now=now, title="Elsewhere")
    make_issue(agent, now=now, title="Gone", merged_into=issue)

    def listed(**query: Any) -> set[str]:
        page = Page(browser.get(reverse("halo:issue-list", args=[agent.project.slug]), query).text)
        return {row.links[0][0] for row in page.table().rows}

    assert listed() == {"The tool fails", "Known", "Elsewhere"}
    assert listed(state="acknowledged") == {"Known"}
    assert listed(state="any", agent=agent.pk) == {"The tool fails", "Known", "Done"}
    assert listed(agent=other.agent_id) == {"Elsewhere"}


def test_the_list_goes_on_behind_a_page_at_the_same_cost(browser: Client, agent: Agent, now: datetime) -> None:
    address = reverse("halo:issue-list", args=[agent.project.slug])

    def make(count: int) -> None:
        for number in range(count):
            issue = make_issue(agent, now=now, last_seen_at=now - timedelta(hours=number // 2))
            make_finding(make_run(agent, now=now), issue=issue)

    make(3)
    browser.get(address)
    with CaptureQueriesContext(connection) as few:
        browser.get(address)
    make(32)
    with CaptureQueriesContext(connection) as many:
        page = Page(browser.get(address).text)
    assert len(many) == len(few)
    more = Page(browser.get(f"{address}{page.link('Load more')}", headers={"HX-Request": "true"}).text)
    first, rest = ({link for _, link in each.links if "/issues/" in link} for each in (page.main, more))
    assert (len(first), len(rest), first & rest) == (30, 5, set())


def test_an_empty_list_says_what_issues_are(browser: Client, project: Project) -> None:
    page = Page(browser.get(reverse("halo:issue-list", args=[project.slug])).text)
    assert "No issues yet" in page.headings


def test_members_change_the_state(browser: Client, issue: Issue, now: datetime) -> None:
    page = do(browser, issue, "acknowledge")
    assert "Acknowledged by bob" in page.region("State").text
    page = do(browser, issue, "fix", version="1.5.0", note="It retries now.")
    assert "by version 1.5.0" in page.region("State").text
    assert "It retries now." in page.region("State").text
    page = do(browser, issue, "reopen")
    assert "Reopened 1 time" in page.region("State").text
    page = do(browser, issue, "dismiss", why="It is a test.")
    assert "It is a test." in page.region("State").text
    page = do(browser, issue, "assign", to=User.objects.get(username="bob").pk)
    assert page.facts["Assignee"] == "bob"


def test_what_is_wrong_stands_beside_its_field(browser: Client, issue: Issue, now: datetime) -> None:
    assert do(browser, issue, "dismiss").field("Why").errors == ["Enter a value"]
    later = f"{now + DAY:%Y-%m-%dT%H:%M}"
    errors = do(browser, issue, "fix", at=later).field("Fixed since (UTC)").errors
    assert errors == ["Enter a time that is not in the future."]
    address = reverse("halo:issue-acknowledge", args=[issue.project.slug, issue.pk])
    writes.dismiss(issue, now, why="No.")
    assert "This issue is dismissed. Reopen it first." in Page(browser.post(address).text).main.text


def test_issues_are_merged_and_split(browser: Client, agent: Agent, issue: Issue, now: datetime) -> None:
    other = make_issue(agent, now=now, title="The same")
    page = do(browser, other, "merge", into=issue.pk)
    assert "The tool fails" in page.main.headings
    assert browser.get(other.get_absolute_url()).url == issue.get_absolute_url()  # type: ignore[attr-defined]
    finding = Finding.objects.get(title="Day 1")
    browser.post(reverse("halo:issue-split", args=[issue.project.slug, issue.pk]), {"finding": finding.pk})
    assert len(open_page(browser, issue).table().rows) == 2
    assert Issue.objects.get(title="Day 1").findings.get() == finding


def test_viewers_only_look(client_as: Callable[[User], Client], viewer: User, issue: Issue) -> None:
    page = open_page(client_as(viewer), issue)
    assert [form for form in page.main.forms if form.is_post] == []


def test_the_signal_that_measures_it_is_named(browser: Client, agent: Agent, issue: Issue) -> None:
    Issue.objects.update(signal_id=make_signal(agent).pk)
    assert "Signal" in open_page(browser, issue).facts


def test_a_finding_of_a_report_says_whether_it_is_new(
    browser: Client, agent: Agent, issue: Issue, now: datetime
) -> None:
    run = Finding.objects.get(title="Day 2").run
    make_finding(run, rank=2, issue=make_issue(agent, now=now))
    back = make_issue(agent, now=now, reopened_count=1, state_since=run.created_at)
    make_finding(make_run(agent, now=now - DAY), issue=back)
    make_finding(run, rank=3, issue=back)
    make_finding(run, rank=4)
    page = Page(browser.get(run.get_absolute_url()).text)
    since = f"since {now - 3 * DAY:%-d %b %Y}"
    assert f"Seen in 3 reports {since}" in page.part("finding-1").text
    assert page.part("finding-1").link(f"Seen in 3 reports {since} issue of finding 1") == issue.get_absolute_url()
    assert "New" in page.part("finding-2").text
    assert "Reopened. Seen in 2 reports" in page.part("finding-3").text
    assert "issue" not in page.part("finding-4").text
    first = Page(browser.get(Finding.objects.get(title="Day 0").run.get_absolute_url()).text)
    assert f"New then. Seen in 3 reports {since}" in first.part("finding-1").text
