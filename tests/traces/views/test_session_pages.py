"""The pages of sessions."""

import html
import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst.core.models import Project, User
from tests.factories import make_session
from tests.traces.sent import sent_span
from traces.ingest import pipeline
from traces.models import Session
from traces.transcripts import presentation

pytestmark = pytest.mark.real_clock

LIST = "/p/default/sessions/"


def test_it_lists_sessions_by_what_was_said_first(browser: Client, project: Project, now: datetime) -> None:
    make_session(project, "chat-1", turns=2, now=now)
    text = browser.get(LIST).text
    assert "Question 1?" in text
    assert "chat-1" in text


def test_it_says_how_many_sessions_are_new(browser: Client, project: Project, now: datetime) -> None:
    make_session(project, "chat-1", turns=1, now=now - timedelta(minutes=5))
    poll = re.search(r'id="newer"[^>]*hx-get="([^"]+)"', browser.get(LIST).text)
    assert poll
    url, headers = LIST + html.unescape(poll[1]), {"HX-Request": "true"}
    assert "new session" not in browser.get(url, headers=headers).text
    make_session(project, "chat-2", turns=1, first=2, now=now)
    assert "1 new session<" in " ".join(browser.get(url, headers=headers).text.split())


def test_it_offers_the_range_that_has_sessions(browser: Client, project: Project, now: datetime) -> None:
    assert "carry the same" in browser.get(LIST).text
    make_session(project, now=now - timedelta(days=5))
    assert 'href="?range=7d"' in browser.get(LIST).text


def test_it_opens_a_session_by_its_id(browser: Client, project: Project, now: datetime) -> None:
    session = make_session(project, "chat/ü 1", now=now)
    assert browser.get(LIST, {"key": "chat/ü 1"}).headers["Location"] == f"{LIST}{session.pk}/"
    assert browser.get(LIST, {"key": "other"}).status_code == 404


def test_it_costs_the_same_for_ten_rows_and_twenty(browser: Client, project: Project, now: datetime) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(LIST).status_code == 200
        return len(queries)

    for number in range(10):
        make_session(project, f"chat-{number}", turns=1, first=number + 1, now=now)
    ten = queries()
    for number in range(10, 20):
        make_session(project, f"chat-{number}", turns=1, first=number + 1, now=now)
    assert queries() == ten


def test_it_reads_a_session_in_order(browser: Client, project: Project, now: datetime) -> None:
    session = make_session(project, "chat", turns=3, now=now)
    text = browser.get(f"{LIST}{session.pk}/").text
    said = [text.index(f"Answer {number}.") for number in (1, 2, 3)]
    assert said == sorted(said)
    assert f'href="/p/default/traces/{2:032x}/"' in text


def test_it_reads_a_very_long_session_in_parts(browser: Client, project: Project, now: datetime) -> None:
    session = make_session(project, "chat", turns=53, now=now)
    first, last = browser.get(f"{LIST}{session.pk}/"), browser.get(f"{LIST}{session.pk}/?turn=51")
    assert 'id="turn-50"' in first.text
    assert 'id="turn-51"' not in first.text
    assert 'href="?turn=51"' in first.text
    assert 'id="turn-53"' in last.text
    assert 'href="?turn=1"' in last.text


def test_it_is_not_there_for_outsiders(
    client_as: Callable[[User], Client], charlie: User, project: Project, now: datetime
) -> None:
    session, client = make_session(project, now=now), client_as(charlie)
    assert client.get(LIST).status_code == 404
    assert client.get(f"{LIST}{session.pk}/").status_code == 404
    assert client.get(f"/p/other/sessions/{session.pk}/").status_code == 404
    assert client.get("/p/other/sessions/", {"key": session.key}).status_code == 404


def test_it_only_reads(browser: Client, project: Project, now: datetime) -> None:
    session = make_session(project, now=now)
    assert browser.post(LIST).status_code == 405
    assert browser.post(f"{LIST}{session.pk}/").status_code == 405


def test_it_answers_htmx_with_rows(browser: Client, project: Project, now: datetime) -> None:
    make_session(project, now=now)
    response = browser.get(LIST, headers={"HX-Request": "true"})
    assert "<html" not in response.text
    assert "<tr" in response.text


@pytest.mark.parametrize("turn", ["9" * 30, "9" * 5_000, "x", "-1", "²"])
def test_it_ignores_nonsense_in_the_url(browser: Client, project: Project, now: datetime, turn: str) -> None:
    session = make_session(project, now=now)
    assert "Question 1?" in browser.get(f"{LIST}{session.pk}/", {"turn": turn}).text


def test_it_hides_sessions_without_traces(browser: Client, project: Project, now: datetime) -> None:
    session = make_session(project, "emptied", now=now)
    Session.objects.filter(pk=session.pk).update(trace_count=0)
    assert "emptied" not in browser.get(LIST).text
    assert browser.get(LIST, {"key": "emptied"}).status_code == 404
    assert browser.get(f"{LIST}{session.pk}/").status_code == 404


def test_it_costs_the_same_for_two_turns_and_ten(browser: Client, project: Project, now: datetime) -> None:
    def queries(turns: int) -> int:
        session = make_session(project, f"of {turns}", turns=turns, first=turns * 100, now=now)
        with CaptureQueriesContext(connection) as queries:
            assert f"Answer {turns * 101 - 1}." in browser.get(f"{LIST}{session.pk}/").text
        return len(queries)

    queries(1)
    assert queries(2) == queries(10)


def test_it_says_what_of_a_turn_is_too_long(
    browser: Client, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presentation, "MAX_SESSION_CHARACTERS", 10)
    spans = [sent_span(1, trace=1, start=now, session__id="chat", input__value="first text")]
    spans.append(sent_span(2, 1, trace=1, start=now, openinference__span__kind="LLM", input__value="second text"))
    pipeline.store(project.pk, spans, now)
    text = browser.get(f"{LIST}{Session.objects.get().pk}/").text
    assert "first text" in text
    assert "The text of 1 further spans" in text
