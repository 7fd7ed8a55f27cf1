"""The list of reports, and the tab of an agent."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst.agents.models import Agent
from catalyst.core.models import Project, User
from halo.choices import EngineKind, RunStatus
from halo.models import Run
from halo.views import agent_analysis, rows
from tests.factories import make_agent, make_finding, make_run
from tests.halo.views.conftest import tab_of
from tests.page import Page, Part

pytestmark = pytest.mark.real_clock

PAGE = "/p/default/reports/"
HTMX = {"HX-Request": "true"}
HOUR = timedelta(hours=1)


def titled(agent: Agent, title: str, *, now: datetime, **about: Any) -> Run:
    return make_run(agent, now=now, asked={"title": title}, **about)


def titles(page: Part) -> list[str]:
    return [row.links[0][0] for row in page.rows]


def history(page: Page) -> list[str]:
    return [part.text for part in page.all("//*[@id='history']//a/b")]


def test_without_reports_it_says_what_they_are_and_leads_to_an_agent(browser: Client, project: Project) -> None:
    page = Page(browser.get(PAGE).text)
    assert "Find out what goes wrong" in page.headings
    assert page.main.link("Send traces") == "/p/default/agents/"
    agent = make_agent(project)
    assert Page(browser.get(f"{PAGE}?range=7d").text).main.link(str(agent)) == f"{tab_of(agent)}?range=7d"


def test_viewers_are_not_led_to_the_form(
    client_as: Callable[[User], Client], viewer: User, agent: Agent, now: datetime
) -> None:
    client = client_as(viewer)
    assert "Viewers can't start reports." in Page(client.get(PAGE).text).main.text
    page = Page(client.get(tab_of(agent)).text)
    assert "Ask an owner for the member role." in page.main.text
    make_run(agent, now=now)
    assert "Run report" not in Page(client.get(tab_of(agent)).text).buttons


def test_the_rail_leads_there(browser: Client, project: Project) -> None:
    assert Page(browser.get("/p/default/traces/?range=7d").text).link("Reports") == f"{PAGE}?range=7d"


def test_those_under_way_come_first_then_the_newest(browser: Client, agent: Agent, now: datetime) -> None:
    titled(agent, "Running", now=now - 9 * HOUR, status=RunStatus.RUNNING)
    titled(agent, "Old", now=now - 8 * HOUR)
    titled(agent, "New", now=now - 7 * HOUR)
    page = Page(browser.get(PAGE).text)
    assert titles(page.table()) == ["Running", "New", "Old"]
    assert history(Page(browser.get(tab_of(agent)).text)) == ["Running", "New", "Old"]


def test_a_row_says_what_was_found(browser: Client, agent: Agent, now: datetime) -> None:
    run = titled(agent, "Refunds", now=now)
    make_finding(run, severity="critical")
    make_finding(run, rank=2, severity="low")
    make_finding(run, rank=3, severity="low")
    row = Page(browser.get(PAGE).text).table().row(1)
    assert (row["Findings"], row["Status"], row["Analyst"]) == ("1 critical2 low", "Completed", "Offline analyst")
    assert row["Window"].startswith("24 h to ")
    listed = Page(browser.get(tab_of(agent)).text).part("history").text
    assert "3 findings" in listed
    assert "1 critical 2 low" in listed


def test_it_filters_by_agent_status_and_analyst(browser: Client, agent: Agent, project: Project, now: datetime) -> None:
    other = make_agent(project, "other-bot")
    titled(agent, "Mine", now=now)
    titled(other, "Theirs", now=now, engine=EngineKind.MODEL, model_name="gpt-4o")
    titled(agent, "Running", now=now, status=RunStatus.RUNNING)
    titled(agent, "Failed", now=now, status=RunStatus.FAILED)

    def found(query: str) -> set[str]:
        return set(titles(Page(browser.get(f"{PAGE}?{query}").text).table()))

    assert found(f"agent={agent.pk}") == {"Mine", "Running", "Failed"}
    assert found("engine=model") == {"Theirs"}
    assert found("status=open") == {"Running"}
    assert found(f"status=failed&agent={agent.pk}") == {"Failed"}
    page = Page(browser.get(f"{PAGE}?status=banana").text)
    assert "Not applied." in page.main.text
    assert len(titles(page.table())) == 4
    nothing = Page(browser.get(f"{PAGE}?status=no_traces").text)
    assert "No reports match" in nothing.headings
    assert nothing.main.link("Clear filters") == PAGE


@pytest.mark.parametrize("is_tab", [False, True])
def test_it_goes_on_behind_the_last_one(
    browser: Client, agent: Agent, now: datetime, monkeypatch: pytest.MonkeyPatch, is_tab: bool
) -> None:
    monkeypatch.setattr(agent_analysis, "HISTORY", 2)
    monkeypatch.setattr(rows, "PAGE", 2)
    for number in range(5):
        titled(agent, str(number), now=now - number * HOUR)
    titled(agent, "Running", now=now - 9 * HOUR, status=RunStatus.RUNNING)
    address, seen = tab_of(agent) if is_tab else PAGE, []
    headers: dict[str, str] = {}
    while address:
        page = Page(browser.get(address, headers=headers).text)
        listed = [part.text for part in page.all("//a/b")] if is_tab else titles(page)
        seen += listed
        more = [link for words, link in page.links if words in {"Older reports", "Load more"}]
        address, headers = (more[0] if more else ""), HTMX
        if address.startswith("?"):
            address = f"{PAGE}{address}"
    assert seen == ["Running", "0", "1", "2", "3", "4"]


@pytest.mark.parametrize("is_tab", [False, True])
def test_more_reports_need_no_more_queries(browser: Client, agent: Agent, now: datetime, is_tab: bool) -> None:
    address, counts = tab_of(agent) if is_tab else PAGE, []
    for first in (0, 10):
        for number in range(first, first + 10):
            run = make_run(agent, now=now - number * HOUR)
            make_finding(run, [UUID(int=1)])
        browser.get(address)
        with CaptureQueriesContext(connection) as queries:
            browser.get(address)
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("is_tab", [False, True])
def test_it_asks_again_while_a_report_is_under_way(browser: Client, agent: Agent, now: datetime, is_tab: bool) -> None:
    address = tab_of(agent) if is_tab else PAGE
    run = titled(agent, "Refunds", now=now, status=RunStatus.RUNNING)
    assert Page(browser.get(address).text).polls == ["5s"]
    assert Page(browser.get(address, headers=HTMX).text).polls == ["5s"]
    assert Page(browser.get(run.get_absolute_url()).text).polls == ["2s"]
    Run.objects.filter(pk=run.pk).update(status=RunStatus.COMPLETED)
    part = Page(browser.get(address, headers=HTMX).text)
    assert (part.is_whole, part.polls) == (False, [])
    assert "Refunds" in part.text


def test_the_tab_shows_the_newest_report_in_short(browser: Client, agent: Agent, now: datetime) -> None:
    assert "Newest report" not in Page(browser.get(tab_of(agent)).text).headings
    run = titled(agent, "Refunds", now=now)
    for rank in range(1, 8):
        make_finding(run, rank=rank, title=f"Problem {rank}")
    titled(agent, "Failed", now=now + HOUR, status=RunStatus.FAILED)
    newest = Page(browser.get(tab_of(agent)).text).region("Newest report")
    assert newest.link("Refunds") == run.get_absolute_url()
    assert newest.link("Problem 1") == f"{run.get_absolute_url()}#finding-1"
    assert "One failure does most of the harm." in newest.text
    assert newest.has_link("All 7 findings")


def test_reports_of_other_agents_and_projects_are_not_listed(
    browser: Client, agent: Agent, project: Project, other_project: Project, now: datetime
) -> None:
    titled(make_agent(project, "other-bot"), "Of another agent", now=now)
    foreign = titled(make_agent(other_project), "Of another project", now=now)
    assert history(Page(browser.get(tab_of(agent)).text)) == []
    assert titles(Page(browser.get(PAGE).text).table()) == ["Of another agent"]
    for way in ("", "markdown/"):
        assert browser.get(f"/p/default/reports/{foreign.pk}/{way}").status_code == 404
    assert browser.get(f"{tab_of(agent)}?again={foreign.pk}").status_code == 404
    assert browser.post(f"/p/default/reports/{foreign.pk}/cancel/").status_code == 404
