"""The charts of an agent, broken down by what a signal said of its runs."""

from datetime import datetime, timedelta
from uuid import UUID

import plotly.graph_objects as go
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst.core.models import Project
from signals import operations
from signals.models import Signal
from tests.factories import give, make_agent, make_labels, make_session, make_signal, make_trace, settle_all
from tests.page import Page
from tests.traces.views.agent_page import numbers
from traces.analytics import label_breakdown

pytestmark = pytest.mark.real_clock


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    return make_signal(make_agent(project), active_since=now - timedelta(hours=1))


def page_by(browser: Client, signal: Signal, query: str = "range=1d") -> Page:
    """The page of the agent, broken down by a signal."""
    return Page(browser.get(f"/p/default/agents/{signal.agent_id}/?{query}&by={signal.pk}").text)


def figures(page: Page) -> dict[str, dict[str, list[float]]]:
    """The series of each chart by its name, without gaps; each figure is one that Plotly takes."""
    found = {}
    for name, figure in page.figures.items():
        if not name.startswith("by-label-"):
            continue
        go.Figure(figure)
        series = {each["name"]: [value for value in each["y"] if value is not None] for each in figure["data"]}
        found[name.removeprefix("by-label-")] = series
    return found


@pytest.mark.parametrize("query", ["range=1d", "range=1h"])
def test_it_draws_one_series_for_each_label_and_one_for_the_rest(
    browser: Client, signal: Signal, project: Project, now: datetime, query: str
) -> None:
    make_labels(signal, project, 6, now=now)
    give(signal, "no", now=now, trace_id__in=[UUID(int=1), UUID(int=2)])
    give(signal, "yes", now=now, trace_id=UUID(int=3))
    page = page_by(browser, signal, query)
    charts = figures(page)
    assert list(charts) == ["runs", "errors", "latency", "tokens", "cost"]
    assert {name: sum(values) for name, values in charts["runs"].items()} == {"yes": 1, "no": 2, "unlabelled": 3}
    assert charts["tokens"] == {"yes": [110.0], "no": [110.0], "unlabelled": [110.0]}
    assert charts["errors"] == {"yes": [0], "no": [0], "unlabelled": [0]}
    assert all(list(series) == ["yes", "no", "unlabelled"] for series in charts.values())
    said = numbers(page)
    assert (said["Runs"], said["Runs yes"], said["Runs unlabelled"]) == ("6", "1", "3")
    assert said["Latency no title"].startswith("of 2 runs")
    assert "3 of 6 runs have a label of Refund wanted" in page.text


def test_it_compares_what_differs(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    make_trace(project, 1, now=now, error="boom")
    make_trace(project, 2, now=now)
    settle_all(now)
    give(signal, "yes", now=now, trace_id=UUID(int=1))
    give(signal, "no", now=now, trace_id=UUID(int=2))
    project.traces.filter(trace_id=UUID(int=1)).update(status="error", duration_us=9_000_000)
    charts = figures(page_by(browser, signal))
    assert charts["errors"] == {"yes": [100], "no": [0]}
    (slow,), (quick,) = charts["latency"]["yes"], charts["latency"]["no"]
    assert slow == pytest.approx(9, rel=0.05)
    assert quick < slow


def test_it_breaks_down_the_newest_runs_of_very_many(
    browser: Client, signal: Signal, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_trace(project, 1, now=now - timedelta(hours=20))
    make_trace(project, 2, now=now - timedelta(hours=5))
    make_trace(project, 3, now=now)
    assert "Only the newest runs" not in page_by(browser, signal).text
    monkeypatch.setattr(label_breakdown, "MAX_RUNS", 2)
    page = page_by(browser, signal)
    assert "Only the newest runs are broken down" in page.text
    assert "of 2 runs have a label" in page.text
    assert {name: sum(values) for name, values in figures(page)["runs"].items()} == {"unlabelled": 2}
    assert numbers(page)["Runs"] == "3"


def test_a_run_has_the_label_of_its_session(browser: Client, project: Project, now: datetime) -> None:
    talk = make_signal(make_agent(project), name="Talk", scope="session", active_since=now - timedelta(hours=1))
    make_session(project, "chat", turns=2, now=now)
    make_session(project, "other", turns=1, first=3, now=now)
    make_trace(project, 9, now=now)
    settle_all(now)
    give(talk, "yes", now=now, session_key="chat")
    page = page_by(browser, talk)
    assert {name: sum(values) for name, values in figures(page)["runs"].items()} == {"yes": 2, "unlabelled": 2}
    assert "a run has the label of its session" in page.text


def test_it_offers_the_signals_of_the_agent_that_label_runs(
    browser: Client, signal: Signal, project: Project, other_project: Project, now: datetime
) -> None:
    make_labels(signal, project, 1, now=now)
    make_signal(signal.agent, name="Of spans", scope="span")
    others = make_signal(make_agent(project, "other"), name="Of another agent")
    foreign = make_signal(make_agent(other_project), name="Of another project")
    archived = make_signal(signal.agent, name="Put away")
    operations.archive(archived, now)
    for unknown in (others, foreign, archived):
        page = Page(browser.get(f"/p/default/agents/{signal.agent_id}/?by={unknown.pk}").text)
        assert figures(page) == {}
        assert page.choice("Group by").options == {"None": "", "Refund wanted": str(signal.pk)}
    assert "agent-runs" in Page(browser.get(f"/p/default/agents/{signal.agent_id}/?by=x").text).figures


def test_it_asks_the_database_as_often_for_many_runs_as_for_few(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    counts = []
    for runs in (5, 15):
        make_labels(signal, project, runs, now=now)
        give(signal, "yes", now=now)
        give(signal, "no", now=now, trace_id=UUID(int=runs))
        with CaptureQueriesContext(connection) as captured:
            page_by(browser, signal)
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_it_says_when_there_is_nothing_to_break_down_by(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    make_trace(project, 1, now=now)
    assert "Can't group" not in page_by(browser, signal).text
    address = f"/p/default/agents/{signal.agent_id}/"
    for by in (str(signal.pk + 1), "<nonsense>"):
        text = Page(browser.get(address, {"by": by}).text).text
        assert f"Can't group by “{by}”: support-bot has no such trace or session signal." in text
    assert "Can't group" not in Page(browser.get(address, {"by": ""}).text).text
