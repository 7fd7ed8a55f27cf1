"""The Agents page."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst.core.models import Project, User
from signals.models import Label
from tests.factories import make_agent, make_labels, make_signal, make_trace_row, make_trace_rows
from tests.page import Page, Row
from tests.traces.sent import sent_span
from traces.ingest import pipeline
from traces.views import agents

pytestmark = pytest.mark.real_clock

PAGE = "/p/default/agents/"
HTMX = {"HX-Request": "true"}
RANGES = ["1h", "12h", "1d", "7d", "90d"]


def names(page: Page) -> list[str]:
    """The names of the agents, in order."""
    return [row.links[0][0] for row in page.rows]


def row_of(page: Page, name: str) -> Row:
    """The row of an agent."""
    (row,) = (row for row in page.table().rows if row.has_link(name))
    return row


@pytest.mark.parametrize("key", RANGES)
def test_it_sums_up_every_agent(browser: Client, project: Project, now: datetime, key: str) -> None:
    make_trace_rows(project, range(1, 4), now=now)
    failing = [
        sent_span(
            1, trace=9, start=now - timedelta(seconds=9), seconds=8, status="error", agent__id="r", agent__name="R"
        ),
        sent_span(
            2,
            1,
            trace=9,
            start=now - timedelta(seconds=9),
            openinference__span__kind="LLM",
            llm__model_name="made-up",
            llm__token_count__prompt=1000,
            llm__token_count__completion=200,
        ),
    ]
    pipeline.store(project.pk, failing, now)
    page = Page(browser.get(PAGE, {"range": key}).text)
    assert names(page) == ["support-bot", "R"]
    row = row_of(page, "support-bot")
    assert row["Agent"] == "support-bot support-bot from agent.name"
    assert (row["Runs"], row["Error rate"], row["Tokens"]) == ("3 runs", "0% errors", "330 tok")
    assert (row["p50"], row["p95"], row["Cost"]) == ("p50 ≈958 ms", "p95 ≈958 ms", "<$0.0001")
    row = row_of(page, "R")
    assert row["Agent"] == "R r from agent.id"
    assert (row["Runs"], row["Error rate"], row["Tokens"]) == ("1 runs", "100% errors", "1.2k tok")
    assert row["Cost"] == "\N{EN DASH}"
    assert float(row["p50"].split()[1].removeprefix("≈")) == pytest.approx(8, rel=0.05)


def test_it_draws_runs_over_time(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, 1, now=now - timedelta(hours=5))
    make_trace_row(project, 2, now=now)
    (cell,) = row_of(Page(browser.get(PAGE).text), "support-bot").all("td[8]")
    assert cell.all(".//polyline")


def test_it_says_how_many_runs_name_no_agent(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, 1, now=now, agent="")
    make_trace_row(project, 2, now=now, agent="")
    make_trace_row(project, 3, now=now)
    page = Page(browser.get(PAGE).text)
    assert page.link("2 runs without an agent") == "/p/default/traces/?agent=0"
    assert "2 runs without an agent in the last 24 hours. Set agent.id" in page.text


def test_it_teaches_when_there_is_no_agent(browser: Client, project: Project, now: datetime) -> None:
    page = Page(browser.get(PAGE).text)
    assert page.main.headings[0] == "No agent yet"
    assert "agent.id" in page.text
    make_trace_row(project, now=now, agent="")
    assert Page(browser.get(PAGE).text).main.headings[0] == "No run names its agent yet"


def test_it_shows_agents_that_were_quiet(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, now=now - timedelta(days=5))
    row = row_of(Page(browser.get(PAGE).text), "support-bot")
    assert (row["Runs"], row["Error rate"], row["p50"]) == ("0 runs", "", "")
    assert row_of(Page(browser.get(f"{PAGE}?range=7d").text), "support-bot")["Runs"] == "1 runs"


def test_it_shows_the_active_signals(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), name="Refund <wanted>", active_since=now - timedelta(hours=1))
    make_signal(make_agent(project), name="Only a draft")
    first, _ = make_labels(signal, project, 2, now=now)
    Label.objects.filter(pk=first.pk).update(status="done", value="yes", labelled_at=now)
    row = row_of(Page(browser.get(PAGE).text), "support-bot")
    assert row["Active signals"] == "Refund <wanted>yes 100%"


def test_it_continues_where_a_page_ended(
    browser: Client, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "PAGE", 2)
    for number, name in enumerate(("one", "two", "two", "two", "three", "three"), 1):
        make_trace_row(project, number, now=now, agent=name)
    first = Page(browser.get(PAGE).text)
    assert names(first) == ["two", "three"]
    more = browser.get(PAGE + first.link("Load more"), headers=HTMX)
    assert names(Page(more.text)) == ["one"]
    assert not Page(more.text).is_whole
    assert "HX-Request" in more.headers["Vary"]


@pytest.mark.parametrize("query", ["after=x", "after=-1", "after=99999999999", "range=%00", "from=9999", "agent=x"])
def test_it_ignores_nonsense_in_the_url(browser: Client, project: Project, now: datetime, query: str) -> None:
    make_trace_row(project, now=now)
    response = browser.get(f"{PAGE}?{query}")
    assert response.status_code == 200
    assert names(Page(response.text)) == ["support-bot"]


def test_it_only_reads(browser: Client, project: Project) -> None:
    assert browser.post(PAGE).status_code == 405


def test_it_is_closed_to_outsiders(client_as: Callable[[User], Client], charlie: User, project: Project) -> None:
    assert client_as(charlie).get(PAGE).status_code == 404
    assert "/login/" in Client().get(PAGE).headers["Location"]


def test_it_shows_agents_of_this_project_only(browser: Client, other_project: Project, now: datetime) -> None:
    make_trace_row(other_project, now=now, agent="foreign-bot")
    assert "foreign-bot" not in browser.get(PAGE).text


@pytest.mark.parametrize("key", ["1h", "1d"])
def test_it_asks_as_often_for_many_agents_as_for_few(
    browser: Client, project: Project, now: datetime, key: str
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(PAGE, {"range": key}).status_code == 200
        return len(captured)

    def add(first: int, last: int) -> None:
        for number in range(first, last):
            make_trace_row(project, number, now=now, agent=f"bot {number}")
            make_signal(make_agent(project, f"bot {number}"), active_since=now)

    add(1, 11)
    few = queries()
    add(11, 21)
    assert queries() == few
