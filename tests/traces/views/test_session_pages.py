"""The pages of sessions."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst.core.models import Project, User
from tests.factories import make_session, make_session_row
from tests.page import Page
from tests.traces.sent import sent_span
from traces.ingest import pipeline
from traces.models import Session
from traces.transcripts import presentation

pytestmark = pytest.mark.real_clock

LIST = "/p/default/sessions/"


def turns(page: Page) -> list[int]:
    """The numbers of the turns on a page, in order."""
    return [int(label.removeprefix("Turn ")) for label in page.labels if label.startswith("Turn ")]


def test_it_lists_sessions_by_what_was_said_first(browser: Client, project: Project, now: datetime) -> None:
    make_session_row(project, "chat-1", turns=2, now=now)
    (row,) = Page(browser.get(LIST).text).table().rows
    assert row["Session"] == "Question 1?chat-1"
    assert (row["Agent"], row["Turns"], row["Errors"]) == ("support-bot", "2 turns", "")


def test_it_says_how_many_sessions_are_new(browser: Client, project: Project, now: datetime) -> None:
    make_session_row(project, "chat-1", turns=1, now=now - timedelta(minutes=5))
    url = LIST + Page(browser.get(LIST).text).part("newer").attribute("hx-get")

    def newer() -> list[str]:
        return [words for words, _ in Page(browser.get(url, headers={"HX-Request": "true"}).text).links]

    assert newer() == []
    make_session_row(project, "chat-2", turns=1, first=2, now=now)
    assert newer() == ["1 new session"]


def test_it_offers_the_range_that_has_sessions(browser: Client, project: Project, now: datetime) -> None:
    assert "when they carry the same session.id" in Page(browser.get(LIST).text).text
    make_session_row(project, now=now - timedelta(days=5))
    assert Page(browser.get(LIST).text).link("Show the last 7 days") == "?range=7d"


def test_the_bars_of_turns_are_shares_of_the_longest_one(browser: Client, project: Project, now: datetime) -> None:
    spans = [
        sent_span(number, trace=number, start=now - timedelta(seconds=60 - number), seconds=seconds, session__id="chat")
        for number, seconds in enumerate((8, 2), start=1)
    ]
    pipeline.store(project.pk, spans, now)
    page = Page(browser.get(f"{LIST}{Session.objects.get().pk}/").text)
    bars = [page.region(f"Turn {number}").all(".//*[local-name()='rect']")[1] for number in (1, 2)]
    assert [bar.attribute("width") for bar in bars] == ["100%", "25.0%"]


def test_it_opens_a_session_by_its_id(browser: Client, project: Project, now: datetime) -> None:
    session = make_session_row(project, "chat/ü 1", now=now)
    assert browser.get(LIST, {"key": "chat/ü 1"}).headers["Location"] == f"{LIST}{session.pk}/"
    assert browser.get(LIST, {"key": "other"}).status_code == 404


def test_it_costs_the_same_for_ten_rows_and_twenty(browser: Client, project: Project, now: datetime) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(LIST).status_code == 200
        return len(queries)

    for number in range(10):
        make_session_row(project, f"chat-{number}", turns=1, first=number + 1, now=now)
    ten = queries()
    for number in range(10, 20):
        make_session_row(project, f"chat-{number}", turns=1, first=number + 1, now=now)
    assert queries() == ten


def test_it_reads_a_session_in_order(browser: Client, project: Project, now: datetime) -> None:
    session = make_session(project, "chat", turns=3, now=now)
    page = Page(browser.get(f"{LIST}{session.pk}/").text)
    for number in (1, 2, 3):
        turn = page.region(f"Turn {number}")
        assert f"Question {number}?" in turn.text
        assert f"Answer {number}." in turn.text
        assert turn.link(f"Turn {number}") == f"/p/default/traces/{number:032x}/?range=1d"
    assert turns(page) == [1, 2, 3]


def test_it_reads_a_very_long_session_in_parts(browser: Client, project: Project, now: datetime) -> None:
    session = make_session(project, "chat", turns=53, now=now)
    url = f"{LIST}{session.pk}/"
    first = Page(browser.get(url).text)
    assert turns(first) == list(range(1, 51))
    assert not first.has_link("Earlier turns")
    last = Page(browser.get(url + first.link("Later turns")).text)
    assert turns(last) == [51, 52, 53]
    assert last.link("Earlier turns") == "?turn=1"
    assert not last.has_link("Later turns")


def test_it_is_not_there_for_outsiders(
    client_as: Callable[[User], Client], charlie: User, project: Project, now: datetime
) -> None:
    session, client = make_session_row(project, now=now), client_as(charlie)
    assert client.get(LIST).status_code == 404
    assert client.get(f"{LIST}{session.pk}/").status_code == 404
    assert client.get(f"/p/other/sessions/{session.pk}/").status_code == 404
    assert client.get("/p/other/sessions/", {"key": session.key}).status_code == 404


def test_it_only_reads(browser: Client, project: Project, now: datetime) -> None:
    session = make_session_row(project, now=now)
    assert browser.post(LIST).status_code == 405
    assert browser.post(f"{LIST}{session.pk}/").status_code == 405


def test_it_answers_htmx_with_rows(browser: Client, project: Project, now: datetime) -> None:
    make_session_row(project, now=now)
    page = Page(browser.get(LIST, headers={"HX-Request": "true"}).text)
    assert not page.is_whole
    assert len(page.rows) == 1


@pytest.mark.parametrize("turn", ["9" * 30, "9" * 4_000, "x", "-1", "²"])
def test_it_ignores_nonsense_in_the_url(browser: Client, project: Project, now: datetime, turn: str) -> None:
    session = make_session(project, now=now)
    assert "Question 1?" in Page(browser.get(f"{LIST}{session.pk}/", {"turn": turn}).text).region("Turn 1").text


def test_it_hides_sessions_without_traces(browser: Client, project: Project, now: datetime) -> None:
    session = make_session_row(project, "emptied", now=now)
    Session.objects.filter(pk=session.pk).update(trace_count=0)
    assert "emptied" not in browser.get(LIST).text
    assert browser.get(LIST, {"key": "emptied"}).status_code == 404
    assert browser.get(f"{LIST}{session.pk}/").status_code == 404


def test_it_costs_the_same_for_two_turns_and_ten(browser: Client, project: Project, now: datetime) -> None:
    def queries(turns: int) -> int:
        session = make_session(project, f"of {turns}", turns=turns, first=turns * 100, now=now)
        with CaptureQueriesContext(connection) as queries:
            assert f"Answer {turns * 101 - 1}." in Page(browser.get(f"{LIST}{session.pk}/").text).text
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
    turn = Page(browser.get(f"{LIST}{Session.objects.get().pk}/").text).region("Turn 1")
    assert "first text" in turn.text
    assert "The text of 1 further spans" in turn.text
