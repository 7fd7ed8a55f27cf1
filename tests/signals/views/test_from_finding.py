"""From a finding to a signal that measures it: a draft, its test on the traces that the finding cites, and its rate."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from catalyst.agents.models import Agent
from catalyst.core.models import Project, User
from halo.models import Finding
from signals.judging import worker
from signals.models import Signal, SignalTest
from tests.factories import (
    give,
    make_agent,
    make_citation,
    make_finding,
    make_labels,
    make_run,
    make_signal,
    make_traces,
)
from tests.judge_server import JudgeServer, says
from tests.page import Form, Page
from traces import trace_groups

pytestmark = pytest.mark.real_clock

NEW = "/p/default/signals/new/"
TRIAL = "/p/default/signals/trial/"


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


@pytest.fixture
def finding(agent: Agent, project: Project, now: datetime) -> Finding:
    """It touches four of ten traces, and cites three of these and one that is unknown."""
    make_traces(project, range(1, 11), now=now - timedelta(hours=1))
    run = make_run(agent, now=now)
    ids = [UUID(int=number) for number in (1, 2, 3, 4)]
    found = make_finding(run, ids, title="The lookup fails", happens="The tool `lookup` raises & ends the run.")
    for number in (1, 2, 3):
        make_citation(run, found, UUID(int=number))
    make_citation(run, found, None)
    return found


def report_of(browser: Client, finding: Finding) -> Page:
    return Page(browser.get(finding.run.get_absolute_url()).text)


def editor_of(browser: Client, finding: Finding) -> tuple[str, Form, Page]:
    """The editor to which the button of the finding leads: its address, its form and its page."""
    href = report_of(browser, finding).part("finding-1").link("Make a signal of finding 1")
    page = Page(browser.get(href).text)
    return href, Form(page.part("editor").element), page


def query_of(href: str) -> str:
    return href.partition("?")[2]


def test_a_finding_opens_the_editor_with_a_draft(browser: Client, finding: Finding) -> None:
    _, form, page = editor_of(browser, finding)
    sent = form.filled
    assert (sent["name"], sent["scope"], sent["type"], sent["bad"]) == ("The lookup fails", "trace", "binary", "yes")
    assert "The tool `lookup` raises & ends the run." in sent["prompt"]
    assert "Answer yes if the problem happens" in sent["prompt"]
    assert (sent["test_window"], sent["test_count"]) == ("finding", "9")
    assert "Nothing is saved yet" in page.text
    assert page.link("The lookup fails") == finding.get_absolute_url()
    assert Signal.objects.count() == 0


@pytest.mark.parametrize(
    ("hits", "cited", "others", "warnings"),
    [
        ({1, 2, 3, 7}, "3 of 3", "1 of 6", []),
        ({1, 2}, "2 of 3", "0 of 6", ["1 of the cited did not come out yes"]),
        ({1, 2, 3, 5, 6, 7, 8}, "3 of 3", "4 of 6", ["Most of the others came out yes too"]),
    ],
)
def test_its_test_says_how_the_cited_and_others_came_out(
    browser: Client,
    finding: Finding,
    judge: JudgeServer,
    hits: set[int],
    cited: str,
    others: str,
    warnings: list[str],
) -> None:
    judge.script = lambda asked: says("yes" if any(f"Question {n}?" in asked.recording for n in hits) else "no")
    href, form, _ = editor_of(browser, finding)
    browser.post(f"{TRIAL}?{query_of(href)}", form.filled)
    for _ in range(2):
        worker.run(timezone.now)
    test = SignalTest.objects.get()
    said = Page(browser.get(f"{TRIAL}{test.pk}/?{query_of(href)}").text)
    assert len(judge.asked) == 9
    assert said.part("signal-test-proof").text == f"{cited} cited traces came out yes; {others} others did."
    found = [words for words in ("of the cited did not come out", "Most of the others") if words in said.text]
    assert len(found) == len(warnings)
    for words in warnings:
        assert words in said.text


def test_a_test_of_spans_says_why_it_does_not_run_on_them(
    browser: Client, finding: Finding, judge: JudgeServer
) -> None:
    href, form, _ = editor_of(browser, finding)
    answer = browser.post(f"{TRIAL}?{query_of(href)}", form.filled | {"scope": "span"})
    assert "choose the scope trace or session" in Page(answer.text).text
    assert judge.asked == []


def test_a_signal_of_another_agent_does_not_measure_it(
    browser: Client, finding: Finding, project: Project, judge: JudgeServer
) -> None:
    other = make_agent(project, "other")
    href, form, _ = editor_of(browser, finding)
    sent = form.filled | {"agent": str(other.pk)}
    tested = browser.post(f"{TRIAL}?{query_of(href)}", sent)
    assert "The finding is of another agent." in Page(tested.text).text
    browser.post(f"{NEW}?{query_of(href)}", sent)
    finding.refresh_from_db()
    assert (Signal.objects.get().agent, finding.issue) == (other, None)


def test_the_finding_knows_the_signal_that_was_saved(browser: Client, finding: Finding, project: Project) -> None:
    href, form, _ = editor_of(browser, finding)
    answer = browser.post(f"{NEW}?{query_of(href)}", form.filled | {"then": "activate"})
    signal = Signal.objects.get()
    finding.refresh_from_db()
    assert finding.issue is not None
    assert (finding.issue.signal_id, finding.issue.title) == (signal.pk, "The lookup fails")
    # A backfill of its window is next.
    backfill = Page(browser.get(answer.headers["Location"]).text)
    assert answer.headers["Location"].startswith(f"/p/default/signals/{signal.pk}/runs/?")
    assert backfill.field("From (UTC)").value == f"{finding.run.window_start:%Y-%m-%dT%H:00}"
    assert "is active, and measures the finding" in backfill.text
    assert "Make a signal" not in report_of(browser, finding).part("finding-1").text


def test_a_finding_shows_the_rate_of_its_signal(
    browser: Client, finding: Finding, agent: Agent, project: Project, now: datetime
) -> None:
    signal = make_signal(agent, name="Lookups that fail", active_since=now - timedelta(days=2))
    first, *others = make_labels(signal, project, 4, now=now - timedelta(minutes=30))
    give(signal, "yes", now=now, pk=first.pk)
    give(signal, "no", now=now, pk__in=[label.pk for label in others])
    trace_groups.measure(project, finding.pk, signal.pk, now)
    ((text, href),) = [link for link in report_of(browser, finding).part("finding-1").links if "Measured" in link[0]]
    assert text.startswith("Measured by Lookups that fail: yes 10.0% since ")
    assert "yes 10.0%" in Page(browser.get(href).text).text


def test_a_viewer_makes_no_signals(client_as: Callable[[User], Client], viewer: User, finding: Finding) -> None:
    assert "Make a signal" not in report_of(client_as(viewer), finding).text


def test_a_finding_of_another_project_is_none(
    browser: Client, agent: Agent, other_project: Project, now: datetime
) -> None:
    other = make_finding(make_run(make_agent(other_project), now=now), title="Secret")
    page = Page(browser.get(f"{NEW}?finding={other.pk}").text)
    assert "Secret" not in page.text
    browser.post(f"{NEW}?finding={other.pk}", Form(page.part("editor").element).filled | {"name": "A", "prompt": "B?"})
    other.refresh_from_db()
    assert other.issue is None
    assert Signal.objects.count() == 1


def test_a_draft_that_does_not_fit_says_so(browser: Client, agent: Agent) -> None:
    query = f"?name={'n' * 101}&scope=galaxy&type=string&label=good&label=bad&negative=bad&prompt=Was+it+so%3F"
    page = Page(browser.get(NEW + query).text)
    sent = Form(page.part("editor").element).filled
    assert (sent.get("name", ""), sent["scope"], sent["type"], sent["prompt"]) == ("", "trace", "string", "Was it so?")
    assert (sent["label-0"], sent["label-1"], sent["sentiment-1"]) == ("good", "bad", "negative")
    assert "The name has at most 100 characters." in page.text
    assert "The scope is one of span, trace, session." in page.text
