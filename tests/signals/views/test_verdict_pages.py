"""The page of a label: its verdicts, and what the judge was asked for each."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client
from pytest_django import Settings

from catalyst.core.models import Project, User
from signals.judging import worker as judging
from signals.models import Exchange, Label, Verdict
from signals.results import verdicts
from tests.factories import LATER, make_agent, make_labels, make_signal, make_trace, make_verdict, settle_all
from tests.judge_server import JudgeServer, says
from tests.page import Page
from tests.traces.sent import sent_span
from traces.ingest import pipeline

pytestmark = pytest.mark.real_clock

HTMX = {"HX-Request": "true"}
ATTACK = "<script>alert(1)</script>"
VERDICTS = "Judge calls for this label, newest first"


@pytest.fixture
def label(project: Project, now: datetime) -> Label:
    return make_labels(make_signal(make_agent(project), active_since=now - timedelta(days=1)), project, 1, now=now)[0]


@pytest.fixture
def browser(client_as: Callable[[User], Client], bob: User) -> Client:
    """Bob's browser; he may edit."""
    return client_as(bob)


def page_of(label: Label) -> str:
    return f"/p/default/signals/{label.signal_id}/labels/{label.pk}/"


def prompt_of(verdict: Verdict) -> str:
    return f"{page_of(verdict.label)}verdicts/{verdict.pk}/"


def test_both_verdicts_on_a_target_that_grew_can_be_read_and_the_newest_counts(
    label: Label, project: Project, now: datetime, judge: JudgeServer, browser: Client
) -> None:
    judge.script = lambda asked: (
        says("no", "It was settled.") if "More." in asked.recording else says("yes", "It is so.")
    )
    judging.run(lambda: now + LATER)
    pipeline.store(project.pk, [sent_span(99, 17, start=now, output__value="More.")], now + LATER)
    settle_all(now + LATER)
    judging.run(lambda: now + 3 * LATER)
    newest, oldest = Page(browser.get(page_of(label)).text).table(VERDICTS).rows
    earlier, later = label.verdicts.order_by("pk")
    assert [row["Label"] for row in (newest, oldest)] == ["no current", "yes"]
    assert newest["Reason"].startswith("It was settled.")
    assert oldest["Reason"].startswith("It is so.")
    assert [row["Judge"] for row in (newest, oldest)] == [
        f"judged by scripted-judge-1 revision {revision}" for revision in (2, 1)
    ]
    assert [row["Tokens"].split(" + ")[0] for row in (newest, oldest)] == ["120", "120"]
    assert newest["Duration"].endswith("ms")
    assert newest["Cost"] == "\N{EN DASH}"
    assert "More." not in Page(browser.get(prompt_of(earlier)).text).text
    assert "| More." in Page(browser.get(prompt_of(later)).text).text


def test_it_says_for_how_long_what_was_asked_is_kept(label: Label, browser: Client, settings: Settings) -> None:
    settings.JUDGE_EXCHANGE_DAYS = 7
    assert "Prompts and answers are kept for 7 days." in Page(browser.get(page_of(label)).text).text
    settings.JUDGE_EXCHANGE_DAYS = 0
    assert "Prompts and answers are not kept." in Page(browser.get(page_of(label)).text).text


def test_it_shows_what_was_asked_and_answered_escaped(
    project: Project, label: Label, now: datetime, judge: JudgeServer, browser: Client
) -> None:
    make_trace(project, 7, now=now, said=(ATTACK, ATTACK))
    settle_all(now)
    judge.script = lambda _: says("yes", ATTACK)
    judging.run(lambda: now + LATER)
    verdict = Verdict.objects.get(label__target_key=f"{7:032x}")
    for headers in ({}, HTMX):
        text = browser.get(prompt_of(verdict), headers=headers).text
        assert "| &lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert "Does the user ask for a refund?" in text
        assert "{&quot;reason&quot;: &quot;&lt;script&gt;" in text
        assert ATTACK not in text
        assert Page(text).is_whole != bool(headers)
    assert ATTACK not in browser.get(page_of(verdict.label)).text


def test_it_shows_why_there_is_no_label(label: Label, now: datetime, judge: JudgeServer, browser: Client) -> None:
    assert "No judge has answered yet." in Page(browser.get(page_of(label)).text).text
    judge.script = lambda _: says("maybe")
    judging.run(lambda: now + LATER)
    page = Page(browser.get(page_of(label)).text)
    (row,) = page.table(VERDICTS).rows
    assert row["Label"] == "None"
    assert "“maybe”, which is none of: yes, no" in row["Reason"]
    assert "“maybe”, which is none of: yes, no" in page.region("Label").text


def test_a_viewer_reads_the_verdicts_but_not_the_prompt(
    label: Label, now: datetime, client_as: Callable[[User], Client], viewer: User, browser: Client
) -> None:
    verdict = make_verdict(label, now)
    assert Page(browser.get(page_of(label)).text).has_link("Show prompt")
    (row,) = Page(client_as(viewer).get(page_of(label)).text).table(VERDICTS).rows
    assert row["Reason"] == "Because yes."
    assert not row.has_link("Show prompt")
    assert client_as(viewer).get(prompt_of(verdict)).status_code == 403


def test_it_says_when_what_was_asked_is_not_kept_any_more(label: Label, now: datetime, browser: Client) -> None:
    verdict = make_verdict(label, now)
    Exchange.objects.all().delete()
    assert not Page(browser.get(page_of(label)).text).has_link("Show prompt")
    assert browser.get(prompt_of(verdict)).status_code == 404


def test_it_finds_only_what_belongs_together(
    label: Label, project: Project, now: datetime, client_as: Callable[[User], Client], charlie: User, browser: Client
) -> None:
    verdict = make_verdict(label, now)
    second = make_signal(make_agent(project), name="Second", active_since=now - timedelta(days=1))
    make_trace(project, 2, now=now)
    settle_all(now)
    other = Label.objects.get(signal=second)
    assert browser.get(f"/p/default/signals/{other.signal_id}/labels/{label.pk}/").status_code == 404
    assert browser.get(f"{page_of(other)}verdicts/{verdict.pk}/").status_code == 404
    assert client_as(charlie).get(page_of(label)).status_code == 404


def test_it_bounds_the_verdicts(label: Label, now: datetime, browser: Client) -> None:
    for _ in range(verdicts.MAX_VERDICTS + 2):
        make_verdict(label, now)
    page = Page(browser.get(page_of(label)).text)
    assert len(page.table(VERDICTS).rows) == verdicts.MAX_VERDICTS
    assert "calls are shown." in page.text


def test_every_row_of_a_signal_leads_to_its_label(label: Label, browser: Client) -> None:
    (row,) = Page(browser.get(f"/p/default/signals/{label.signal_id}/").text).table().rows
    assert row.link("Pending") == f"{page_of(label)}?range=1d"
