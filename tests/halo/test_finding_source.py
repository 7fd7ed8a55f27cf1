"""Lists of traces narrowed to those that a finding touches."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.test import Client

from catalyst.agents.models import Agent
from catalyst.core.models import Project, User
from halo.models import Finding, Run
from tests.factories import make_agent, make_finding, make_run, make_trace_rows
from tests.page import Page

pytestmark = pytest.mark.real_clock

LIST = "/p/default/traces/"


@pytest.fixture
def browser(client_as: Callable[[User], Client], bob: User) -> Client:
    """A member's."""
    return client_as(bob)


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


@pytest.fixture
def finding(agent: Agent, project: Project, now: datetime) -> Finding:
    """It touches two traces of an hour ago, one of five days ago and one that is not stored."""
    make_trace_rows(project, range(1, 5), now=now - timedelta(hours=1))
    make_trace_rows(project, [5], now=now - timedelta(days=5))
    run = make_run(agent, now=now, asked={"window_start": now - timedelta(days=7)})
    return make_finding(run, [UUID(int=number) for number in (1, 3, 5, 99)], title="It loops")


def numbers(page: Page) -> set[int]:
    return {int(row.links[0][1].split("/")[4], 16) for row in page.table().rows}


def test_a_list_shows_exactly_the_traces_of_a_finding(browser: Client, finding: Finding) -> None:
    page = Page(browser.get(f"{LIST}?finding={finding.pk}&range=7d").text)
    assert numbers(page) == {1, 3, 5}
    assert page.main.link("finding:") == finding.get_absolute_url()
    assert page.main.link("Remove filter finding") == "?range=7d"
    narrower = Page(browser.get(f"{LIST}?finding={finding.pk}&range=7d&q=Question+3").text)
    assert numbers(narrower) == {3}


def test_it_says_what_it_lacks(browser: Client, finding: Finding) -> None:
    week = Page(browser.get(f"{LIST}?finding={finding.pk}&range=7d").text)
    assert "This finding touches 4 traces. 1 of them has expired." in week.main.text
    day = Page(browser.get(f"{LIST}?finding={finding.pk}&range=1d").text)
    assert numbers(day) == {1, 3}
    assert "1 of them began outside the last 24 hours." in day.main.text
    assert numbers(Page(browser.get(f"{LIST}{day.main.link('Show all of them')}").text)) == {1, 3, 5}


def test_expired_lists_are_told_too(browser: Client, finding: Finding) -> None:
    Run.objects.filter(pk=finding.run_id).update(lists_traces=False)
    finding.traces.all().delete()
    page = Page(browser.get(f"{LIST}?finding={finding.pk}&range=7d").text)
    assert "This finding touches 4 traces. 4 of them have expired." in page.main.text
    assert page.rows == []


def test_the_tab_of_an_agent_takes_it_too(browser: Client, agent: Agent, finding: Finding) -> None:
    page = Page(browser.get(f"/p/default/agents/{agent.pk}/traces/?finding={finding.pk}&range=1d").text)
    assert numbers(page) == {1, 3}
    assert "1 of them has expired." in page.main.text
    assert f"finding={finding.pk}" not in page.link("Sessions")


def test_a_finding_of_another_project_matches_nothing_and_says_so(
    browser: Client, finding: Finding, other_project: Project, now: datetime
) -> None:
    foreign = make_finding(make_run(make_agent(other_project), now=now), [UUID(int=1)], title="Secret")
    for key in (foreign.pk, 10**9):
        page = Page(browser.get(f"{LIST}?finding={key}&range=7d").text)
        assert page.rows == []
        assert f"finding: {key}, which Default does not have" in page.main.text
        assert "Secret" not in page.text
    wrong = Page(browser.get(f"{LIST}?finding=banana&range=7d").text)
    assert "Not applied. Finding: Enter a whole number." in wrong.main.text


def test_sessions_have_no_such_filter(browser: Client, finding: Finding) -> None:
    page = Page(browser.get(f"/p/default/sessions/?finding={finding.pk}&range=7d").text)
    assert "Finding: Only traces can be filtered by it." in page.main.text
    listed = Page(browser.get(f"{LIST}?finding={finding.pk}&range=7d").text)
    assert listed.main.link("Sessions") == "/p/default/sessions/?range=7d"


def test_a_trace_keeps_its_place_in_the_list(browser: Client, finding: Finding) -> None:
    row = Page(browser.get(f"{LIST}?finding={finding.pk}&range=7d").text).table().row(1)
    assert f"finding={finding.pk}" in row.links[0][1]
