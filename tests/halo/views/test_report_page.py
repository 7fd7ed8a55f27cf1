"""The page of a report: what it says, what its numbers lead to, and how it watches one that runs."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst.agents.models import Agent
from catalyst.core.models import AuditEntry, Project, User
from halo.choices import EngineKind, RunStatus
from halo.models import Run
from tests.factories import (
    make_citation,
    make_connection,
    make_finding,
    make_run,
    make_run_event,
    make_trace,
    make_trace_rows,
)
from tests.page import Page, Part
from traces.models.span import hex_span_id

pytestmark = pytest.mark.real_clock

HTMX = {"HX-Request": "true"}


def page_of(browser: Client, run: Run) -> Page:
    return Page(browser.get(run.get_absolute_url()).text)


def finding_of(page: Page, rank: int = 1) -> Part:
    return page.part(f"finding-{rank}")


def test_it_says_what_was_read_by_whom_and_at_what_cost(browser: Client, agent: Agent, now: datetime) -> None:
    about: dict[str, Any] = {
        "engine": EngineKind.MODEL,
        "model_name": "gpt-4o",
        "input_tokens": 9_000,
        "output_tokens": 1_000,
    }
    read: dict[str, Any] = {"trace_count": 4106, "read_trace_count": 640, "notes": ["Read 640 of 4,106 traces."]}
    run = make_run(agent, now=now, cost=Decimal("3.12"), **about, **read, asked={"focus": "status=error"})
    page = page_of(browser, run)
    assert run.conversation.title in page.headings
    facts = page.facts
    assert facts["Traces"] == "4,106, 640 read"
    assert (facts["Took"], facts["Cost"], facts["Tokens"], facts["Model"]) == ("7.00 s", "$3.12", "10.0k", "gpt-4o")
    assert facts["Filter"] == "status is error"
    assert "Read 640 of 4,106 traces." in page.region("How it was read").text
    assert "One failure does most of the harm." in page.main.text


def test_the_offline_analyst_costs_nothing(browser: Client, agent: Agent, now: datetime) -> None:
    facts = page_of(browser, make_run(agent, now=now)).facts
    assert (facts["Traces"], facts["By"]) == ("100, all read", "Offline analyst")
    assert not {"Cost", "Tokens", "Model"} & facts.keys()


def test_a_finding_says_how_often_it_happens_and_how_often_before(browser: Client, agent: Agent, now: datetime) -> None:
    run = make_run(agent, now=now)
    ids = [UUID(int=number) for number in range(1, 21)]
    make_finding(run, ids, title="It times out", prior_count=4, prior_total=100, cost=Decimal("1.5"), tokens=2_000)
    make_finding(run, ids[:1], rank=2, prior_count=0, prior_total=100)
    make_finding(run, rank=3, claimed_count=58)
    page = page_of(browser, run)
    first = finding_of(page)
    assert "High Reliability 20 of 100 traces 20.0%, up from 4.0% in the window before" in first.text
    assert "Wasted: $1.50, 2.0k tokens" in first.text
    assert "Fix Retry it once." in first.text
    assert "new: none in the window before" in finding_of(page, 2).text
    claimed = finding_of(page, 3)
    assert "About 58 traces, as the model says. Not counted." in claimed.text
    assert {words for words, _ in claimed.links} == {"As text of finding 3", "Make a signal of finding 3"}


def test_the_number_of_a_finding_lists_exactly_its_traces(
    browser: Client, agent: Agent, project: Project, now: datetime
) -> None:
    make_trace_rows(project, range(1, 8), now=now - timedelta(hours=3))
    run = make_run(agent, now=now)
    make_finding(run, [UUID(int=2), UUID(int=5)], title="It loops")
    for words in ("2", "Open these traces of finding 1"):
        page = Page(browser.get(finding_of(page_of(browser, run)).link(words)).text)
        assert {row.links[0][1].split("/")[4] for row in page.table().rows} == {UUID(int=n).hex for n in (2, 5)}
        assert "finding: It loops" in page.main.text


def test_a_finding_whose_traces_have_expired_leads_nowhere(browser: Client, agent: Agent, now: datetime) -> None:
    run = make_run(agent, now=now, lists_traces=False)
    make_finding(run, [UUID(int=1)], query="status=error")
    finding = finding_of(page_of(browser, run))
    assert "The traces have expired." in finding.text
    assert [words for words, _ in finding.links] == ["As text of finding 1"]


def test_citations_lead_to_the_span_and_say_what_is_wrong_with_them(
    browser: Client, agent: Agent, project: Project, now: datetime
) -> None:
    trace = make_trace(project, 1, now=now - timedelta(hours=1), said=("Where is my parcel?", "Here."))
    run = make_run(agent, now=now)
    finding = make_finding(run, [trace.trace_id])
    make_citation(run, finding, trace.trace_id, 18, note="the newest", quote="Here.", quote_state="found")
    make_citation(run, finding, trace.trace_id, quote="Not said.", quote_state="missing")
    make_citation(run, finding, trace.trace_id, state="outside")
    make_citation(run, finding, None, text="deadbeef" * 4)
    page = page_of(browser, run)
    said = finding_of(page).text
    assert finding_of(page).links[0][1].endswith(f"/traces/{trace.hex_id}/?span={hex_span_id(18)}")
    for words in ("Where is my parcel?", "Cited as: the newest", "Verified", "The quote is in it.", "“Not said.”"):
        assert words in said
    assert "Not in the cited trace" in said
    assert [part.text for part in page.all("//s[contains(@class, 'cite')]")] == [f"{'deadbeef' * 2}dead…"]
    assert page.facts["Citations"] == "2 of 4 verified, 1 unknown, 1 outside the window, 1 quote not found"
    doubtful = page.part("doubtful")
    assert len(doubtful.items) == 3
    assert f"{'deadbeef' * 4} Unknown: this project has no such trace or span." in doubtful.items


def test_a_summary_belongs_to_its_citation_for_the_keyboard_too(
    browser: Client, agent: Agent, project: Project, now: datetime
) -> None:
    trace = make_trace(project, 1, now=now)
    run = make_run(agent, now=now)
    finding = make_finding(run)
    make_citation(run, finding, trace.trace_id)
    make_citation(run, finding, None)
    page = page_of(browser, run)
    cited = page.all("//*[contains(concat(' ', @class, ' '), ' cite ')]")
    assert [part.element.tag for part in cited] == ["a", "s"]
    for part in cited:
        assert page.part(part.attribute("aria-describedby")).text
        assert part.element.tag == "a" or part.attribute("tabindex") == "0"


def test_what_a_model_writes_is_only_text(browser: Client, agent: Agent, now: datetime) -> None:
    hostile = '<img src=x onerror="alert(1)"> <script>alert(1)</script> ![p](http://evil.example/p.png)'
    run = make_run(agent, now=now, lede=hostile, text=hostile, notes=[hostile])
    make_finding(run, title=hostile, happens=hostile, evidence=hostile, fix=hostile)
    page = page_of(browser, run)
    assert page.main.all(".//img | .//script | .//*[@onerror]") == []


def test_the_words_of_a_model_cite_in_place(browser: Client, agent: Agent, project: Project, now: datetime) -> None:
    trace = make_trace(project, 1, now=now - timedelta(hours=1))
    said = f"It **loops** in [trace:{trace.hex_id}] and [trace:{'f' * 32}], see [here](http://evil.example)."
    run = make_run(agent, now=now, engine=EngineKind.MODEL, model_name="gpt-4o", text=said)
    finding = make_finding(run, happens=said)
    make_citation(run, finding, trace.trace_id)
    make_citation(run, None, None)
    page = page_of(browser, run)
    for part in (finding_of(page), page.all("//details[contains(@class, 'whole-text')]")[0]):
        links = [link for _, link in part.links]
        assert any(link.endswith(f"/traces/{trace.hex_id}/") for link in links)
        assert "http://evil.example" not in links
        assert part.all(".//strong")
        assert part.all(".//s[contains(@class, 'unknown')]")
    text = browser.get(f"{run.get_absolute_url()}markdown/").text
    assert text.count(f"](http://testserver/p/default/traces/{trace.hex_id}/)") == 3


def test_what_rules_quote_of_traces_is_only_text(browser: Client, agent: Agent, now: datetime) -> None:
    hostile = "**Loud** [click](http://evil.example) __init__"
    run = make_run(agent, now=now, lede=hostile)
    make_finding(run, kind="recurring_failure", happens=hostile, evidence=hostile, fix=hostile)
    for page in (page_of(browser, run), Page(browser.get(f"/p/default/agents/{agent.pk}/analysis/").text)):
        assert hostile in page.main.text
        assert "http://evil.example" not in [link for _, link in page.links]
    text = browser.get(f"{run.get_absolute_url()}markdown/").text
    assert text.count("\\*\\*Loud\\*\\* \\[click\\](http://evil.example)") == 4


def test_equal_quotes_are_shown_once(browser: Client, agent: Agent, now: datetime) -> None:
    run = make_run(agent, now=now)
    finding = make_finding(run)
    for number in range(3):
        make_citation(run, finding, UUID(int=number), quote="It timed out.")
    assert finding_of(page_of(browser, run)).text.count("“It timed out.”") == 1


def test_an_incomplete_report_says_why_and_keeps_what_was_written(browser: Client, agent: Agent, now: datetime) -> None:
    about: dict[str, Any] = {"engine": EngineKind.MODEL, "model_name": "gpt-4o"}
    over: dict[str, Any] = {
        "is_partial": True,
        "error": "It reached its budget of 30 minutes.",
        "text": "It begins **well**",
    }
    run = make_run(agent, now=now, status=RunStatus.TIMED_OUT, **about, **over)
    said = page_of(browser, run).main.text
    assert "Incomplete. It reached its budget of 30 minutes." in said
    assert "Run it again with more minutes" in said
    assert "It begins well" in said


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (RunStatus.FAILED, "the log of the worker tells why"),
        (RunStatus.CANCELLED, "Run it again to read everything."),
        (RunStatus.NO_TRACES, "a longer window or fewer filters"),
    ],
)
def test_a_report_that_came_to_nothing_says_what_to_do(
    browser: Client, agent: Agent, now: datetime, status: RunStatus, remedy: str
) -> None:
    run = make_run(agent, now=now, status=status, error="So it is.")
    page = page_of(browser, run)
    assert f"{status.label}. So it is." in page.main.text
    assert remedy in page.main.text
    assert page.polls == []
    form = Page(browser.get(page.main.link("Run it again")).text)
    assert form.choice("Window").chosen == ["From and to…"]


def running(agent: Agent, now: datetime) -> Run:
    about: dict[str, Any] = {"engine": EngineKind.MODEL, "model_name": "gpt-4o", "turn": 3, "call_count": 9}
    spent: dict[str, Any] = {"input_tokens": 81_000, "cost": Decimal("0.21"), "trace_count": 59, "read_trace_count": 59}
    begun = now - timedelta(minutes=4)
    run = make_run(agent, now=now, status=RunStatus.RUNNING, **about, **spent, started_at=begun)
    make_run_event(run, "Looks for errors", at=now)
    make_run_event(run, "Reads a trace", at=now, agent="helper 1", depth=1)
    make_run_event(run, "Compares them", at=now)
    return run


def test_it_shows_what_a_running_report_does(browser: Client, agent: Agent, now: datetime) -> None:
    page = page_of(browser, running(agent, now))
    facts = page.facts
    assert (facts["Turn"], facts["Tokens so far"], facts["Cost so far"]) == ("3 of 20", "81.0k", "$0.210")
    assert page.region("What each agent does").items == ["analyst Compares them", "helper 1 Reads a trace"]
    assert "Looks for errors" in page.region("Events").text
    assert "at most 2" in page.main.text
    assert page.polls == ["2s"]
    assert "Cancel" in page.buttons
    assert not page.main.has_link("Run again")


def test_it_becomes_the_report_without_a_reload_and_stops_asking(browser: Client, agent: Agent, now: datetime) -> None:
    run = running(agent, now)
    part = Page(browser.get(run.get_absolute_url(), headers=HTMX).text)
    assert (part.is_whole, part.polls) == (False, ["2s"])
    assert "Running" in part.part(f"history-{run.pk}").text
    Run.objects.filter(pk=run.pk).update(status=RunStatus.COMPLETED, ended_at=now, lede="All is said.")
    make_finding(run, [UUID(int=1)])
    ended = Page(browser.get(run.get_absolute_url(), headers=HTMX).text)
    assert (ended.is_whole, ended.polls) == (False, [])
    assert "All is said." in ended.text
    assert ended.part("report-said").text == "The report has ended: completed."
    assert "1 finding" in ended.part(f"history-{run.pk}").text


def test_a_report_that_no_worker_takes_says_so(browser: Client, agent: Agent, now: datetime) -> None:
    run = make_run(agent, now=now - timedelta(minutes=2), status=RunStatus.PENDING_EXPORT, started_at=None)
    assert "No worker has taken it yet." in page_of(browser, run).main.text


def test_cancelling_ends_it_once_and_is_in_the_audit_log(browser: Client, agent: Agent, now: datetime) -> None:
    run = running(agent, now)
    page = Page(browser.post(f"{run.get_absolute_url()}cancel/", follow=True).text)
    assert "The report is cancelled." in page.text
    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED
    assert "bob cancelled it." in page.main.text
    again = Page(browser.post(f"{run.get_absolute_url()}cancel/", follow=True).text)
    assert "The report has already ended" in again.text
    assert AuditEntry.objects.filter(action="cancelled").count() == 1


def test_viewers_read_and_start_nothing(
    client_as: Callable[[User], Client], viewer: User, agent: Agent, now: datetime
) -> None:
    client = client_as(viewer)
    ended, open_run = make_run(agent, now=now), running(agent, now)
    make_finding(ended, [UUID(int=1)])
    page = page_of(client, ended)
    assert "Finding 1" in page.main.text
    assert not page.main.has_link("Run again")
    assert "Cancel" not in page_of(client, open_run).buttons
    assert client.post(f"{open_run.get_absolute_url()}cancel/").status_code == 403
    assert client.get(f"/p/default/agents/{agent.pk}/analysis/new/").status_code == 403


def test_it_downloads_as_markdown(browser: Client, agent: Agent, project: Project, now: datetime) -> None:
    trace = make_trace(project, 1, now=now - timedelta(hours=1))
    run = make_run(agent, now=now, notes=["Read all."], text="Whole text.")
    finding = make_finding(run, [trace.trace_id], title="It <b>fails</b>\n# often")
    make_citation(run, finding, trace.trace_id, 18)
    make_citation(run, finding, None, text="deadbeef")
    response = browser.get(page_of(browser, run).main.link("Download Markdown"))
    assert response.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert response.headers["Content-Disposition"].endswith('.md"')
    text = response.text
    assert "## 1. It \\<b\\>fails\\</b\\> \\# often\n" in text
    assert "High, reliability. 1 of 100 traces (1.0%)." in text
    assert f"](http://testserver/p/default/traces/{trace.hex_id}/?span={hex_span_id(18)})" in text
    assert "~~deadbeef~~ (unknown)" in text
    assert "- Read all." in text
    assert text.endswith("Whole text.\n")


def test_more_findings_need_no_more_queries(browser: Client, agent: Agent, project: Project, now: datetime) -> None:
    make_trace_rows(project, range(1, 25), now=now)
    run = make_run(agent, now=now)
    counts = []
    for ranks in (range(1, 11), range(11, 21)):
        for rank in ranks:
            finding = make_finding(run, [UUID(int=rank)], rank=rank)
            make_citation(run, finding, UUID(int=rank), rank, quote="Said.", quote_state="found")
        browser.get(run.get_absolute_url())
        with CaptureQueriesContext(connection) as queries:
            page_of(browser, run)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_model_is_named_with_its_connection(browser: Client, agent: Agent, project: Project, now: datetime) -> None:
    make_connection(project, now=now)
    assert page_of(browser, make_run(agent, now=now)).facts["Model"] == "gpt-4o-mini (Team)"
