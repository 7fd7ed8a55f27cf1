"""Questions about a report on its page: asked, answered, listed nowhere else."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from catalyst.agents.models import Agent
from catalyst.core.models import Project, User
from halo.choices import EngineKind, RunStatus
from halo.models import Run
from halo.runs import follow_ups
from tests.factories import (
    make_agent,
    make_citation,
    make_connection,
    make_finding,
    make_run,
    make_run_event,
    make_trace,
)
from tests.page import Form, Page

pytestmark = pytest.mark.real_clock

HTMX = {"HX-Request": "true"}


@pytest.fixture
def browser(client_as: Callable[[User], Client], bob: User) -> Client:
    """A member's."""
    return client_as(bob)


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


@pytest.fixture
def report(agent: Agent, now: datetime) -> Run:
    """One that a connected model has written."""
    connection = make_connection(agent.project, now=now)
    about: dict[str, Any] = {"engine": EngineKind.MODEL, "connection": connection, "model_name": "gpt-4o-mini"}
    return make_run(agent, now=now, text="It fails.", **about)


def page_of(browser: Client, run: Run) -> Page:
    return Page(browser.get(run.get_absolute_url()).text)


def answered(report: Run, prompt: str, now: datetime, **columns: Any) -> Run:
    """A question that a worker has answered."""
    asked = follow_ups.ask(report, prompt, now)
    ended = {"status": RunStatus.COMPLETED, "text": "Since **Tuesday**.", "ended_at": now} | columns
    Run.objects.filter(pk=asked.pk).update(**ended)
    asked.refresh_from_db()
    return asked


def test_a_question_is_asked_and_watched(browser: Client, report: Run, now: datetime) -> None:
    form = page_of(browser, report).form(f"/p/default/reports/{report.pk}/ask/#questions")
    answer = browser.post(form.action, form.filled | {"prompt": "Since <when>?"})
    asked = follow_ups.of(report.conversation).get()
    assert answer.headers["Location"] == f"{report.get_absolute_url()}#question-{asked.pk}"
    make_run_event(asked, "Reads a trace", at=now)
    exchange = page_of(browser, report).part(f"question-{asked.pk}")
    assert exchange.headings[0] == "Since <when>?"
    assert "Reads a trace" in exchange.text
    assert exchange.attribute("hx-get") == asked.get_absolute_url()
    again = browser.get(asked.get_absolute_url(), headers=HTMX)
    assert "Waiting to start" in Page(again.text).text
    assert 'id="report-said"' not in again.text


def test_an_answer_stands_below_its_question_with_what_it_cites(
    browser: Client, report: Run, project: Project, now: datetime
) -> None:
    trace = make_trace(project, 1, now=now - timedelta(hours=1))
    asked = answered(report, "Since when?", now)
    make_citation(asked, None, trace.trace_id)
    make_citation(asked, None, None, text="f" * 32)
    exchange = page_of(browser, report).part(f"question-{asked.pk}")
    assert "Since Tuesday." in exchange.text
    assert exchange.links[0][1].endswith(f"/traces/{UUID(int=1).hex}/")
    assert "Unknown: this project has no such trace" in exchange.text
    polled = browser.get(asked.get_absolute_url(), headers=HTMX)
    assert "hx-trigger" not in polled.text
    assert "The question has ended: completed." in Page(polled.text).text
    # Its own address is that of its report.
    assert browser.get(asked.get_absolute_url()).headers["Location"].endswith(f"#question-{asked.pk}")
    assert "Since \\<when" not in browser.get(f"{report.get_absolute_url()}markdown/").text
    assert "## Since when?\n\nSince **Tuesday**." in browser.get(f"{report.get_absolute_url()}markdown/").text


def test_a_question_that_failed_says_why(browser: Client, report: Run, now: datetime) -> None:
    asked = answered(report, "Why?", now, status=RunStatus.FAILED, text="", error="The endpoint refused the key.")
    said = page_of(browser, report).part(f"question-{asked.pk}").text
    assert "Failed. The endpoint refused the key." in said


def test_lists_show_the_report_and_not_its_questions(browser: Client, agent: Agent, report: Run, now: datetime) -> None:
    asked = answered(report, "Why?", now + timedelta(minutes=1))
    for url in ("/p/default/reports/", f"/p/default/agents/{agent.pk}/analysis/", report.get_absolute_url()):
        text = browser.get(url).text
        assert report.get_absolute_url() in text
        assert f'href="{asked.get_absolute_url()}' not in text


def test_an_empty_question_is_refused_in_place(browser: Client, report: Run) -> None:
    answer = browser.post(f"{report.get_absolute_url()}ask/", {"prompt": " "})
    assert answer.status_code == 422
    assert "Enter a question" in Page(answer.text).text


def test_a_report_by_rules_takes_no_question(browser: Client, agent: Agent, now: datetime) -> None:
    run = make_run(agent, now=now)
    assert "Ask a question" not in page_of(browser, run).text
    answer = browser.post(f"{run.get_absolute_url()}ask/", {"prompt": "Why?"}, follow=True)
    assert "Only a model answers questions" in answer.text


def test_drafts_of_signals_open_in_the_editor(browser: Client, report: Run, now: datetime) -> None:
    labels = [{"value": "calm", "is_bad": False}, {"value": "angry", "is_bad": True}]
    drafts = [
        {"name": "Refunds", "scope": "session", "prompt": "Is one <promised>?", "why": "It cost $80.", "labels": []},
        {"name": "Mood", "scope": "trace", "prompt": "How is the user?", "why": "", "labels": labels},
    ]
    Run.objects.filter(pk=report.pk).update(signal_drafts=drafts)
    part = page_of(browser, report).part("drafts")
    assert "It cost $80." in part.text
    sent = Form(Page(browser.get(part.link("Open in the editor with Refunds")).text).part("editor").element).filled
    assert (sent["name"], sent["scope"], sent["type"]) == ("Refunds", "session", "binary")
    assert sent["prompt"] == "Is one <promised>?"
    sent = Form(Page(browser.get(part.link("Open in the editor with Mood")).text).part("editor").element).filled
    assert (sent["type"], sent["label-1"], sent["sentiment-1"]) == ("string", "angry", "negative")
    asked = answered(report, "Others?", now, signal_drafts=drafts[:1])
    assert "Is one <promised>?" in page_of(browser, report).part(f"question-{asked.pk}").text


def test_the_offline_analyst_suggests_to_measure_its_findings(browser: Client, agent: Agent, now: datetime) -> None:
    run = make_run(agent, now=now)
    finding = make_finding(run, [UUID(int=1)], title="It loops")
    part = page_of(browser, run).part("drafts")
    assert "Finding 1: 1.0% of the traces." in part.text
    assert f"finding={finding.pk}" in part.link("Open in the editor with It loops")


def test_the_form_begins_with_the_question_which_signals_to_add(browser: Client, agent: Agent) -> None:
    page = Page(browser.get(f"/p/default/agents/{agent.pk}/analysis/new/?ask=signals").text)
    assert page.field("Question").value == "Which signals should I add?"


def test_viewers_read_and_do_not_ask(
    client_as: Callable[[User], Client], viewer: User, report: Run, now: datetime
) -> None:
    answered(report, "Since when?", now)
    page = page_of(client_as(viewer), report)
    assert "Since Tuesday." in page.text
    assert "Ask a question" not in page.text
