"""The form that asks for a report, its preview, and the pages that lead to it."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from catalyst.agents.models import Agent
from catalyst.core.models import AuditEntry, Project
from halo.choices import EngineKind
from halo.models import Run
from halo.runs.requests import DEFAULT_PROMPT, MAX_OPEN, QUESTIONS
from tests.factories import (
    give,
    make_agent,
    make_connection,
    make_finding,
    make_labels,
    make_run,
    make_signal,
    make_trace,
    make_trace_rows,
)
from tests.halo.views.conftest import tab_of
from tests.page import Page
from tests.traces.sent import sent_span
from traces.ingest import pipeline

pytestmark = pytest.mark.real_clock

HTMX = {"HX-Request": "true"}
DAY = timedelta(days=1)


def sent(browser: Client, agent: Agent, query: str = "", **typed: Any) -> dict[str, Any]:
    """What a browser sends of the form on the tab."""
    page = Page(browser.get(f"{tab_of(agent)}{query}").text)
    (form,) = [form for form in page.forms if form.element.get("id") == "new-report"]
    return form.filled | typed


def ask(browser: Client, agent: Agent, query: str = "", **typed: Any) -> Page:
    data = sent(browser, agent, query, **typed)
    return Page(browser.post(f"{tab_of(agent)}new/{query}", data, follow=True).text)


def preview(browser: Client, agent: Agent, query: str = "", **typed: Any) -> Page:
    data = sent(browser, agent, query, **typed)
    return Page(browser.post(f"{tab_of(agent)}preview/{query}", data, headers=HTMX).text)


def test_one_click_starts_the_offline_analyst_on_what_the_page_shows(
    browser: Client, agent: Agent, now: datetime
) -> None:
    page = ask(browser, agent, "?range=7d")
    run = Run.objects.get()
    assert (run.engine, run.prompt) == (EngineKind.RULES, DEFAULT_PROMPT)
    assert timedelta(days=7) <= run.window_end - run.window_start < timedelta(days=8)
    assert run.window_end - now < timedelta(minutes=5)
    assert run.conversation.title in page.headings
    assert AuditEntry.objects.filter(action="started").count() == 1


def test_it_begins_with_the_default_question_and_the_range_of_the_page(browser: Client, agent: Agent) -> None:
    page = Page(browser.get(f"{tab_of(agent)}?range=3d").text)
    assert page.field("Question").value == DEFAULT_PROMPT
    assert page.choice("Window").chosen == ["The last 3 days"]
    assert "The last 90 days" not in page.choice("Window").options
    assert list(page.choice("Analyst").options) == ["Offline analyst (rules, no model)"]
    long = Page(browser.get(f"{tab_of(agent)}?range=90d").text)
    assert long.choice("Window").chosen == ["The last 30 days"]
    assert "at most 30 days" in long.main.text
    custom = Page(browser.get(f"{tab_of(agent)}?from=2026-11-01T10:00&to=2026-11-02T10:00").text)
    assert custom.choice("Window").chosen == ["From and to…"]
    assert custom.field("From (UTC)").value == "2026-11-01T10:00"


@pytest.mark.parametrize("key", ["1h", "6h", "12h", "1d", "3d", "7d", "14d", "30d"])
def test_every_window_of_a_page_can_be_read(browser: Client, agent: Agent, key: str) -> None:
    ask(browser, agent, f"?range={key}")
    run = Run.objects.get()
    assert run.window_end - run.window_start <= timedelta(days=30)


def test_a_model_of_a_connection_is_the_default_and_its_limits_are_kept(
    browser: Client, agent: Agent, project: Project, now: datetime
) -> None:
    connection = make_connection(project, now=now, allowed_models=["gpt-4o"])
    page = Page(browser.get(tab_of(agent)).text)
    options = page.choice("Analyst").options
    assert list(options) == ["gpt-4o-mini", "gpt-4o", "Offline analyst (rules, no model)"]
    assert page.choice("Analyst").chosen == ["gpt-4o-mini"]
    assert "halo-engine" in page.main.text
    limits: dict[str, Any] = {
        "span_limit": 500,
        "max_turns": 9,
        "max_depth": 2,
        "budget_usd": "1.50",
        "reasoning_effort": "low",
    }
    ask(browser, agent, engine=options["gpt-4o"], prompt="Why do refunds fail?", **limits)
    run = Run.objects.get()
    assert (run.connection, run.model_name, run.prompt) == (connection, "gpt-4o", "Why do refunds fail?")
    assert (run.span_limit, run.max_turns, run.max_depth, run.reasoning_effort) == (500, 9, 2, "low")
    assert (run.budget_usd, run.budget_tokens, run.budget_minutes) == (Decimal("1.50"), None, 30)


def test_a_preview_says_how_much_it_reads_and_what_that_costs(
    browser: Client, agent: Agent, project: Project, now: datetime
) -> None:
    make_trace(project, 1, now=now - timedelta(hours=1))
    failed = sent_span(48, trace=3, start=now - timedelta(hours=2), status="error", agent__name=agent.identity)
    pipeline.store(project.pk, [failed], now)
    said = preview(browser, agent).text
    assert said == "2 traces, 3 spans, 1 failed. The offline analyst reads all of them, for free."
    make_connection(project, now=now)
    said = preview(browser, agent, span_limit=2).text
    assert "gpt-4o-mini (Team) reads 66.7% of the spans, about $" in said
    assert "1 trace, 1 span, 1 failed." in preview(browser, agent, "?status=error").text
    assert "No traces match in this window." in preview(browser, agent, "?service=other").text
    assert not Run.objects.exists()


def test_without_javascript_a_preview_is_a_page_with_the_form(
    browser: Client, agent: Agent, project: Project, now: datetime
) -> None:
    make_trace(project, 1, now=now - timedelta(hours=1))
    data = sent(browser, agent, prompt="Is it fast?")
    page = Page(browser.post(f"{tab_of(agent)}preview/", data).text)
    assert page.is_whole
    assert "1 trace, 2 spans, 0 failed." in page.part("report-preview").text
    assert page.field("Question").value == "Is it fast?"


@pytest.mark.parametrize(
    ("typed", "label", "error"),
    [
        ({"window": "custom", "start": "2026-10-01T00:00", "end": "2026-11-05T00:00"}, "Window", "at most 30 days"),
        ({"window": "custom", "start": "2026-11-02T00:00", "end": "2026-11-01T00:00"}, "To (UTC)", "must end after"),
        ({"window": "custom", "start": "", "end": "2026-11-01T00:00"}, "From (UTC)", "Enter a date and time"),
        ({"window": "90d"}, "Window", "Choose one of the options"),
        ({"prompt": "x" * 20_001}, "Question", "20001"),
        ({"max_turns": "101"}, "Turns", "Enter a number from 3 to 100."),
        ({"budget_usd": "0"}, "US dollars at most", "Enter a number from 0.01"),
        ({"budget_minutes": "soon"}, "Minutes at most", "Enter a whole number"),
        ({"engine": "999:gpt-9"}, "Analyst", "Choose one of the options"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    browser: Client, agent: Agent, project: Project, now: datetime, typed: dict[str, str], label: str, error: str
) -> None:
    make_connection(project, now=now)
    page = ask(browser, agent, **typed)
    assert "Not started." in page.main.text
    assert label.lower() in [words for words, link in page.links if link.startswith("#report-")]
    assert error in " ".join(page.errors)
    assert not Run.objects.exists()
    assert error in " ".join(preview(browser, agent, **typed).errors)


def test_a_suggested_question_is_one_click_and_keeps_what_was_typed(
    browser: Client, agent: Agent, project: Project, now: datetime
) -> None:
    make_connection(project, now=now)
    page = ask(browser, agent, ask=2, max_turns=7)
    assert page.field("Question").value == QUESTIONS[1]
    assert page.field("Turns").value == "7"
    assert "Not started." not in page.main.text
    assert not Run.objects.exists()


def test_the_filter_in_the_address_becomes_the_focus(
    browser: Client, agent: Agent, project: Project, now: datetime
) -> None:
    signal = make_signal(agent, labels=["fine", "refused"], active_since=now - DAY)
    make_labels(signal, project, 3, now=now - timedelta(hours=1))
    give(signal, "refused", now=now, trace_id__in=[project.traces.order_by("pk")[0].trace_id])
    query = f"?status=ok&label={signal.pk}%3Arefused&sort=-cost&range=7d"
    assert preview(browser, agent, query).text.startswith("1 trace, ")
    page = ask(browser, agent, query)
    assert Run.objects.get().focus == f"status=ok&label={signal.pk}%3Arefused"
    assert page.facts["Filter"] == "status is ok, Refund wanted is refused"


def test_a_filter_that_can_not_be_applied_starts_nothing(browser: Client, agent: Agent, project: Project) -> None:
    for query in ("?min_tokens=many", f"?agent={make_agent(project, 'other-bot').pk}"):
        page = ask(browser, agent, query)
        assert "Not applied." in page.main.text
        assert "The filter can't be applied." in page.main.text
    assert not Run.objects.exists()


def test_run_again_repeats_the_question_the_window_and_the_limits(
    browser: Client, agent: Agent, project: Project, now: datetime
) -> None:
    make_connection(project, now=now, allowed_models=["gpt-4o"])
    options = Page(browser.get(tab_of(agent)).text).choice("Analyst").options
    limits = {"max_turns": 9, "budget_tokens": 5_000, "budget_usd": "2.5"}
    ask(browser, agent, "?status=error", prompt="Why?", engine=options["gpt-4o"], **limits)
    run = Run.objects.get()
    Run.objects.filter(pk=run.pk).update(status="completed", ended_at=now)
    address = Page(browser.get(run.get_absolute_url()).text).main.link("Run again")
    page = Page(browser.get(address).text)
    assert page.field("Question").value == "Why?"
    assert (page.choice("Analyst").chosen, page.choice("Window").chosen) == (["gpt-4o"], ["From and to…"])
    assert page.field("From (UTC)").value == f"{run.window_start:%Y-%m-%dT%H:%M}"
    shown = [page.field(name).value for name in ("Turns", "Tokens at most", "US dollars at most")]
    assert shown == ["9", "5000", "2.5"]
    assert page.main.has_link("Remove filter status is error")


def test_the_traces_of_a_finding_can_be_the_focus(
    browser: Client, agent: Agent, project: Project, now: datetime
) -> None:
    traces = make_trace_rows(project, range(1, 5), now=now - timedelta(hours=1))
    finding = make_finding(make_run(agent, now=now), [traces[0].trace_id], title="It loops")
    query = f"?finding={finding.pk}"
    assert "finding: It loops" in Page(browser.get(f"{tab_of(agent)}new/{query}").text).main.text
    assert preview(browser, agent, query).text.startswith("1 trace, ")


def test_too_many_at_once_are_refused_in_words(browser: Client, agent: Agent) -> None:
    for _ in range(MAX_OPEN):
        ask(browser, agent)
    assert "10 reports of this project are under way." in ask(browser, agent).main.text
    assert Run.objects.count() == MAX_OPEN


def test_htmx_is_led_to_the_report(browser: Client, agent: Agent) -> None:
    response = browser.post(f"{tab_of(agent)}new/", sent(browser, agent), headers=HTMX)
    assert response.headers["HX-Redirect"] == Run.objects.get().get_absolute_url()
