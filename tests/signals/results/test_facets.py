"""Traces and sessions narrowed to what signals said of them."""

import re
from datetime import datetime, timedelta
from html import unescape
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
from tests.factories import give, make_agent, make_labels, make_session, make_signal, make_trace, settle_all
from traces.views import traces

pytestmark = pytest.mark.real_clock

TRACES, SESSIONS = "/p/default/traces/", "/p/default/sessions/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    return make_signal(make_agent(project), active_since=now - timedelta(hours=1))


def traces_of(browser: Client, *keys: str, **params: Any) -> list[int]:
    """The numbers of the traces that the page lists, newest first."""
    return numbers(browser.get(TRACES, {"label": list(keys), **params}).text)


def numbers(text: str) -> list[int]:
    return [int(found, 16) for found in re.findall(r'class="open" href="/p/default/traces/([0-9a-f]{32})/"', text)]


def sessions_of(browser: Client, *keys: str) -> list[str]:
    """The ids of the sessions that the page lists, by name."""
    return sorted(re.findall(r'<span class="sub mono">(.*?)</span>', browser.get(SESSIONS, {"label": keys}).text))


def test_it_narrows_traces_to_a_label(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 4, now=now)
    give(signal, "no", now=now, trace_id__in=[UUID(int=1), UUID(int=2)])
    give(signal, "yes", now=now, trace_id=UUID(int=3))
    assert sorted(traces_of(browser, f"{signal.pk}:no")) == [1, 2]
    assert traces_of(browser, f"{signal.pk}:yes") == [3]
    assert sorted(traces_of(browser, f"{signal.pk}")) == [1, 2, 3]
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
    assert sorted(offered(browser.get(TRACES).text)) == sorted(choices)


def test_it_narrows_to_all_of_several_labels(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    other = make_signal(signal.agent, name="Rude", active_since=now - timedelta(hours=1))
    make_labels(signal, project, 3, now=now)
    give(signal, "yes", now=now)
    give(other, "no", now=now)
    give(other, "yes", now=now, trace_id=UUID(int=2))
    assert traces_of(browser, f"{signal.pk}:yes", f"{other.pk}:yes") == [2]
    text = browser.get(TRACES, {"label": [f"{signal.pk}:yes", f"{other.pk}:yes"]}).text
    assert f'href="?label={signal.pk}%3Ayes" aria-label="Any Rude"' in text
    assert f'href="?label={other.pk}%3Ayes" aria-label="Any Refund wanted"' in text


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
    make_labels(signal, project, 2, now=now)
    give(signal, "yes", now=now)
    operations.publish_version(signal, Definition(type="binary", prompt="Else?", sample_rate=100))
    make_trace(project, 1, now=now + timedelta(minutes=1), said=("More?", "More."))
    settle_all(now + timedelta(minutes=1))
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
        text = browser.get(page, {"label": key}).text
        assert "which nothing here gives" in text
        assert "Remove the filter" in text
        assert 'class="open"' not in text


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
        text = browser.get(TRACES + query).text
        assert offered(text) == [("no", "2"), ("yes", "1")]
    assert offered(browser.get(f"{TRACES}?agent=0").text) == []
    text = browser.get(f"{TRACES}?status=ok&label={signal.pk}:yes&after=x").text
    assert f'href="?status=ok&label={signal.pk}%3Ayes&label={signal.pk}%3Ano"' in unescape(text)
    assert '<a href="?status=ok" aria-current="true">' in " ".join(unescape(text).split())


def test_it_says_of_what_the_counts_are_and_counts_each_target_once(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    talk = make_signal(make_agent(project), name="Talk", scope="session", active_since=now - timedelta(hours=1))
    make_session(project, "chat", turns=2, now=now)
    settle_all(now)
    give(signal, "yes", now=now)
    give(talk, "yes", now=now)
    listed, sessions = browser.get(TRACES).text, browser.get(SESSIONS).text
    assert "<span>Refund wanted</span></h2>" in listed
    assert "<span>Talk</span><small>sessions</small></h2>" in listed
    assert "<span>Talk</span></h2>" in sessions
    assert "<span>Refund wanted</span><small>traces</small></h2>" in sessions
    operations.publish_version(signal, Definition(type="binary", prompt="Else?", sample_rate=100))
    make_trace(project, 1, now=now + timedelta(minutes=1), session="chat", said=("More?", "More."))
    settle_all(now + timedelta(minutes=1))
    give(signal, "no", now=now, version=signal.current_version)
    assert sorted(offered(browser.get(TRACES).text)) == [("no", "1"), ("yes", "1"), ("yes", "1")]
    assert traces_of(browser, f"{signal.pk}:yes") == [2]


def offered(text: str) -> list[tuple[str, str]]:
    """Values and counts of the labels beside a list."""
    sections = re.findall(r'<section aria-labelledby="by-label-.*?</section>', text, re.DOTALL)
    return re.findall(r"<span>([^<]+)</span><output>(\d+)</output>", "".join(sections))


def test_pills_narrow_the_list_that_they_are_in(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    make_labels(signal, project, 1, now=now)
    give(signal, "yes", now=now)
    agent = f"/p/default/agents/{signal.agent_id}/traces/"
    for page in (TRACES, agent):
        assert (
            f'class="pill negative" href="?range=7d&amp;label={signal.pk}%3Ayes"'
            in browser.get(f"{page}?range=7d").text
        )
    assert numbers(browser.get(agent, {"label": f"{signal.pk}:yes"}).text) == [1]
    text = browser.get(agent, {"label": f"{signal.pk}:no"}).text
    assert numbers(text) == []
    assert "that pass the filter" in text


def test_pages_and_polls_keep_the_labels(
    browser: Client, signal: Signal, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "PAGE", 2)
    make_labels(signal, project, 4, now=now)
    give(signal, "yes", now=now)
    give(signal, "no", now=now, trace_id=UUID(int=2))
    first = browser.get(TRACES, {"label": [f"{signal.pk}:yes", str(signal.pk)]}).text
    (more,) = set(re.findall(r'hx-get="(\?[^"]*after=[^"]*)"', first))
    assert unescape(more).count("label=") == 2
    second = browser.get(TRACES + unescape(more), headers=HTMX).text
    assert sorted(numbers(first) + numbers(second)) == [1, 3, 4]
    (poll,) = re.findall(r'hx-get="(\?[^"]*newer=[^"]*)"', first)
    make_trace(project, 9, now=now + timedelta(seconds=9))
    assert "1 new" not in browser.get(TRACES + unescape(poll), headers=HTMX).text
    bars = [unescape(each) for each in re.findall(r'<a href="(\?[^"]*from=[^"]*)"', first)]
    assert all(each.count("label=") == 2 for each in bars)


def test_it_counts_what_passes(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    make_labels(signal, project, 3, now=now)
    give(signal, "yes", now=now, trace_id=UUID(int=3))
    for range_ in ("1h", "7d"):
        assert "<b>1</b> traces" in browser.get(TRACES, {"label": f"{signal.pk}:yes", "range": range_}).text


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
    assert "<span>Refund wanted</span>" in browser.get(TRACES).text
    other = make_signal(make_agent(project, "sales-bot"), active_since=now - timedelta(hours=1))
    make_trace(project, 9, now=now, agent="sales-bot")
    settle_all(now)
    give(other, "no", now=now)
    for path in (TRACES, SESSIONS):
        text = browser.get(path).text
        assert "<span>Refund wanted of support-bot</span>" in text
        assert "<span>Refund wanted of sales-bot</span>" in text
