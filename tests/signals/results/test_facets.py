"""Traces and sessions narrowed to what signals said of them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst.core.models import Project
from signals import operations
from signals.definitions.definition import Definition
from signals.models import Label, Signal
from signals.results import facets as label_facets
from tests.factories import (
    give,
    make_agent,
    make_label,
    make_labels,
    make_session,
    make_signal,
    make_trace,
    make_traces,
    settle_all,
)
from tests.page import Page
from tests.traces.views.facets import chosen, facets_of
from traces.views import traces

pytestmark = [pytest.mark.slow, pytest.mark.real_clock]

TRACES, SESSIONS = "/p/default/traces/", "/p/default/sessions/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    return make_signal(make_agent(project), active_since=now - timedelta(hours=1))


def traces_of(browser: Client, *keys: str, **params: Any) -> list[int]:
    """The numbers of the traces that the page lists, newest first."""
    return numbers(Page(browser.get(TRACES, {"label": list(keys), **params}).text))


def numbers(page: Page) -> list[int]:
    """The numbers of the traces in a list or a part of one."""
    addresses = [row.links[0][1] for row in page.rows]
    return [int(address.removeprefix(TRACES).partition("/")[0], 16) for address in addresses]


def sessions_of(browser: Client, *keys: str) -> list[str]:
    """The ids of the sessions that the page lists, by name."""
    return sorted(key.text for key in Page(browser.get(SESSIONS, {"label": keys}).text).all("//td[2]/span"))


def test_a_row_shows_the_label_by_which_it_is_listed(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), scope="session", active_since=now - timedelta(hours=1))
    session = make_session(project, turns=2, now=now)
    label = make_label(
        signal, value="no", now=now, scope="session", target_key=session.key, session_key=session.key, trace_id=None
    )
    for key in (f"{signal.pk}:no", str(signal.pk)):
        for row in Page(browser.get(TRACES, {"label": key}).text).rows:
            assert f"/{label.pk}/" in row.link(f"{signal.name} of the session no")
    assert all("of the session" not in row.text for row in Page(browser.get(TRACES).text).rows)
    (row,) = Page(browser.get(SESSIONS, {"label": f"{signal.pk}:no"}).text).rows
    assert row.has_link(f"{signal.name} no")
    trace = session.traces.first()
    assert trace
    (head,) = Page(browser.get(trace.get_absolute_url()).text).all("//main//header/div[@class='head']")
    assert "of the session" in head.text
    assert head.has_link(f"{signal.name} no")


def test_it_narrows_traces_to_a_label(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 4, now=now)
    give(signal, "no", now=now, trace_id__in=[UUID(int=1), UUID(int=2)])
    give(signal, "yes", now=now, trace_id=UUID(int=3))
    assert sorted(traces_of(browser, f"{signal.pk}:no")) == [1, 2]
    assert traces_of(browser, f"{signal.pk}:yes") == [3]
    assert sorted(traces_of(browser, f"{signal.pk}")) == [1, 2, 3]
    of_any = Page(browser.get(TRACES, {"label": f"{signal.pk}", "facets": ""}).text)
    assert [
        choice.text for choice in of_any.all("//a[@role='radio'][@aria-checked='true']") if "any" in choice.text
    ] == ["any"]
    assert traces_of(browser, f"{signal.pk}:maybe") == []


def test_it_narrows_traces_to_those_that_wait_or_failed(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    make_labels(signal, project, 3, now=now)
    give(signal, "no", now=now, trace_id=UUID(int=1))
    Label.objects.filter(trace_id=UUID(int=2)).update(status="failed", error="The judge is broken.")
    assert traces_of(browser, f"{signal.pk}!failed") == [2]
    assert traces_of(browser, f"{signal.pk}!waiting") == [3]
    choices = [("no", "1"), ("no label yet", "1"), ("judging failed", "1")]
    assert sorted(offered(facets_of(browser, TRACES))) == sorted(choices)


def test_it_narrows_to_all_of_several_labels(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    other = make_signal(signal.agent, name="Rude", active_since=now - timedelta(hours=1))
    make_labels(signal, project, 3, now=now)
    give(signal, "yes", now=now)
    give(other, "no", now=now)
    give(other, "yes", now=now, trace_id=UUID(int=2))
    assert traces_of(browser, f"{signal.pk}:yes", f"{other.pk}:yes") == [2]
    (search,) = Page(browser.get(TRACES, {"label": [f"{signal.pk}:yes", f"{other.pk}:yes"]}).text).searches
    assert search.link("Any Rude") == f"?label={signal.pk}%3Ayes"
    assert search.link("Any Refund wanted") == f"?label={other.pk}%3Ayes"


def test_it_finds_traces_by_the_labels_of_their_spans_and_of_their_sessions(
    browser: Client, project: Project, now: datetime
) -> None:
    agent = make_agent(project)
    steps = make_signal(agent, name="Steps", scope="span", active_since=now - timedelta(hours=1))
    talk = make_signal(agent, name="Talk", scope="session", active_since=now - timedelta(hours=1))
    make_session(project, "chat", turns=2, now=now)
    make_session(project, "other", turns=2, first=3, now=now)
    settle_all(now)
    give(steps, "no", now=now)
    give(steps, "yes", now=now, trace_id=UUID(int=3))
    give(talk, "yes", now=now, session_key="chat")
    assert traces_of(browser, f"{steps.pk}:yes") == [3]
    assert sorted(traces_of(browser, f"{talk.pk}:yes")) == [1, 2]
    assert sessions_of(browser, f"{talk.pk}:yes") == ["chat"]
    assert sessions_of(browser, f"{steps.pk}:yes") == ["other"]
    assert sessions_of(browser, f"{steps.pk}:no") == ["chat", "other"]
    assert sessions_of(browser, f"{steps.pk}:yes", f"{talk.pk}:yes") == []


def test_the_newest_version_that_has_a_label_counts(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    make_labels(signal, project, 2, now=now - timedelta(minutes=1))
    give(signal, "yes", now=now)
    operations.publish_version(signal, Definition(type="binary", prompt="Else?", sample_rate=100))
    make_trace(project, 1, now=now, said=("More?", "More."))
    settle_all(now)
    assert sorted(traces_of(browser, f"{signal.pk}:yes")) == [1, 2]
    give(signal, "no", now=now, version=signal.current_version)
    assert traces_of(browser, f"{signal.pk}:yes") == [2]
    assert traces_of(browser, f"{signal.pk}:no") == [1]


@pytest.mark.parametrize("key", ["999999:yes", "x", "1:", "!failed", "9" * 30, "\0", ":yes"])
def test_a_label_that_is_not_there_lets_nothing_pass_and_says_so(
    browser: Client, project: Project, now: datetime, key: str
) -> None:
    make_session(project, "chat", now=now)
    for page in (TRACES, SESSIONS):
        shown = Page(browser.get(page, {"label": key}).text)
        assert "which nothing here gives" in shown.text
        assert shown.has_link("Clear filters")
        assert shown.rows == []


def test_it_knows_no_labels_of_other_projects_and_of_archived_signals(
    browser: Client, signal: Signal, project: Project, other_project: Project, now: datetime
) -> None:
    foreign = make_signal(make_agent(other_project), active_since=now - timedelta(hours=1))
    make_labels(signal, project, 1, now=now)
    make_labels(foreign, other_project, 1, now=now)
    give(signal, "yes", now=now)
    give(foreign, "yes", now=now)
    assert traces_of(browser, f"{signal.pk}:yes") == [1]
    assert traces_of(browser, f"{foreign.pk}:yes") == []
    operations.archive(signal, now)
    assert traces_of(browser, f"{signal.pk}:yes") == []


def test_it_offers_the_labels_of_the_range_with_their_counts(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    make_labels(signal, project, 3, now=now)
    give(signal, "no", now=now)
    give(signal, "yes", now=now, trace_id=UUID(int=3))
    for query in ("", "?range=1h", f"?agent={signal.agent_id}"):
        assert offered(facets_of(browser, TRACES + query)) == [("no", "2"), ("yes", "1")]
    assert offered(facets_of(browser, f"{TRACES}?agent=0")) == []
    page = facets_of(browser, f"{TRACES}?status=ok&label={signal.pk}:yes&after=x")
    facet = page.region("Filters").region("Refund wanted")
    assert facet.link("no 2") == f"?status=ok&label={signal.pk}%3Ano"
    assert facet.link("yes 1") == "?status=ok"
    assert facet.link("Any") == "?status=ok"
    assert chosen(facet) == ["yes 1"]


def test_labels_that_are_as_many_keep_their_order(browser: Client, project: Project, now: datetime) -> None:
    values = ["f", "a", "e", "b", "d", "c"]
    signal = make_signal(make_agent(project), labels=values, active_since=now - timedelta(hours=1))
    make_traces(project, range(10, 16), now=now)
    for number, value in enumerate(values):
        make_label(signal, 10 + number, now=now, value=value)
    for plan in ("enable_sort", "enable_hashagg"):
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL {plan} = off")
        assert offered(facets_of(browser, TRACES)) == [(value, "1") for value in sorted(values)]
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL {plan} = on")


def test_it_says_of_what_the_counts_are_and_counts_each_row_once(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    talk = make_signal(make_agent(project), name="Talk", scope="session", active_since=now - timedelta(hours=1))
    make_session(project, "chat", turns=2, now=now - timedelta(minutes=1))
    settle_all(now)
    give(signal, "yes", now=now)
    give(talk, "yes", now=now)
    assert sorted(facets(browser, TRACES)) == ["Refund wanted", "Talk label of the session"]
    assert sorted(facets(browser, SESSIONS)) == ["Refund wanted label of a trace", "Talk"]
    operations.publish_version(signal, Definition(type="binary", prompt="Else?", sample_rate=100))
    make_trace(project, 1, now=now, session="chat", said=("More?", "More."))
    settle_all(now)
    give(signal, "no", now=now, version=signal.current_version)
    assert sorted(offered(facets_of(browser, TRACES))) == [("no", "1"), ("yes", "1"), ("yes", "2")]
    assert traces_of(browser, f"{signal.pk}:yes") == [2]


def offered(page: Page) -> list[tuple[str, str]]:
    """Values and counts of the labels beside a list."""
    links = page.all("//aside//section[starts-with(@aria-labelledby, 'by-label')]//a")
    return [(link.all("span")[0].text, link.all("output")[0].text) for link in links]


def facets(browser: Client, path: str) -> list[str]:
    """The names of the signals beside a list."""
    names = facets_of(browser, path).all("//aside//section[starts-with(@aria-labelledby, 'by-label')]//h2")
    return [name.text for name in names]


def test_it_offers_no_labels_of_disabled_signals_and_of_other_agents(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    other = make_signal(make_agent(project, "sales-bot"), name="Sale", active_since=now - timedelta(hours=1))
    make_labels(signal, project, 1, now=now)
    make_trace(project, 9, now=now, agent="sales-bot")
    settle_all(now)
    give(signal, "yes", now=now)
    give(other, "no", now=now)
    assert sorted(facets(browser, TRACES)) == ["Refund wanted", "Sale"]
    assert facets(browser, f"{TRACES}?agent={signal.agent_id}") == ["Refund wanted"]
    assert facets(browser, f"{TRACES}?label={other.pk}:no") == ["Sale"]
    operations.disable(other, now)
    assert facets(browser, TRACES) == ["Refund wanted"]
    assert facets(browser, f"{TRACES}?label={other.pk}:no") == ["Sale"]


def test_it_gives_no_counts_of_too_many_rows(
    browser: Client, signal: Signal, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_labels(signal, project, 3, now=now)
    give(signal, "no", now=now)
    monkeypatch.setattr(label_facets, "MAX_COUNTED_ROWS", 2)
    page = facets_of(browser, TRACES)
    assert page.region("Refund wanted").links == [("no", f"?label={signal.pk}%3Ano")]


def test_without_javascript_a_link_shows_the_counts(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    make_labels(signal, project, 1, now=now)
    give(signal, "no", now=now)
    link = Page(browser.get(TRACES).text).link("Show filters with counts")
    assert offered(Page(browser.get(TRACES + link).text)) == [("no", "1")]


def test_pills_of_a_row_lead_to_the_reason(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 1, now=now)
    give(signal, "yes", now=now)
    agent = f"/p/default/agents/{signal.agent_id}/traces/"
    for path in (TRACES, agent):
        (row,) = Page(browser.get(f"{path}?range=7d").text).rows
        (pill,) = row.all(".//a[contains(@class, 'pill')]")
        reason = f"/p/default/signals/{signal.pk}/labels/{Label.objects.get().pk}/?range=7d"
        assert pill.attribute("href") == reason
        assert pill.attribute("class").split() == ["pill", "negative"]
    assert numbers(Page(browser.get(agent, {"label": f"{signal.pk}:yes"}).text)) == [1]
    page = Page(browser.get(agent, {"label": f"{signal.pk}:no"}).text)
    assert numbers(page) == []
    assert "match the filters" in page.text


def test_pages_and_polls_keep_the_labels(
    browser: Client, signal: Signal, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "PAGE", 2)
    make_labels(signal, project, 4, now=now)
    give(signal, "yes", now=now)
    give(signal, "no", now=now, trace_id=UUID(int=2))
    first = Page(browser.get(TRACES, {"label": [f"{signal.pk}:yes", str(signal.pk)]}).text)
    more = first.link("Load more")
    assert more.count("label=") == 2
    second = Page(browser.get(TRACES + more, headers=HTMX).text)
    assert sorted(numbers(first) + numbers(second)) == [1, 3, 4]
    poll = first.part("newer").attribute("hx-get")
    make_trace(project, 9, now=now + timedelta(seconds=9))
    assert "1 new" not in Page(browser.get(TRACES + poll, headers=HTMX).text).text
    bars = [bar.attribute("href") for bar in first.all("//figure//a")]
    assert bars
    assert all(bar.count("label=") == 2 for bar in bars)


def test_it_counts_what_passes(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 3, now=now)
    give(signal, "yes", now=now, trace_id=UUID(int=3))
    for range_ in ("1h", "7d"):
        page = Page(browser.get(TRACES, {"label": f"{signal.pk}:yes", "range": range_}).text)
        (figure,) = page.all("//figure")
        assert figure.attribute("aria-label").startswith("1 trace in ")


def test_it_costs_the_same_for_ten_rows_and_twenty(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    make_labels(signal, project, 20, now=now)
    give(signal, "yes", now=now)
    counts = []
    for shown in (10, 20):
        with pytest.MonkeyPatch.context() as patch, CaptureQueriesContext(connection) as captured:
            patch.setattr(traces, "PAGE", shown)
            assert len(traces_of(browser, f"{signal.pk}:yes")) == shown
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_signals_called_the_same_say_whose_they_are(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    make_labels(signal, project, 1, now=now)
    give(signal, "yes", now=now)
    assert facets(browser, TRACES) == ["Refund wanted"]
    other = make_signal(make_agent(project, "sales-bot"), active_since=now - timedelta(hours=1))
    make_trace(project, 9, now=now, agent="sales-bot")
    settle_all(now)
    give(other, "no", now=now)
    names = ["Refund wanted of sales-bot", "Refund wanted of support-bot"]
    assert sorted(facets(browser, TRACES)) == names
