"""A signal's page: what it found."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst import timerange
from catalyst.core.models import Project, User
from catalyst.llms.endpoints import endpoint
from catalyst.llms.models import JudgeHealth
from signals import operations
from signals.definitions import definition
from signals.definitions.templates import TEMPLATES
from signals.models import Label, Signal
from signals.models.label_rollup import Coverage
from tests.factories import make_agent, make_label, make_labels, make_session, make_signal, make_trace, settle_all
from tests.judge_server import JudgeServer
from tests.page import Page
from traces.models.span import hex_span_id

pytestmark = pytest.mark.real_clock

NUMBERS = {"HX-Request": "true", "HX-Target": "signal-numbers"}
ROWS = {"HX-Request": "true", "HX-Target": "label-rows"}
EMPTY = {"HX-Request": "true", "HX-Target": "no-labels"}


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    """An active one that asks about traces."""
    return make_signal(make_agent(project), labels=("good", "fair", "bad"), active_since=now - timedelta(days=9))


def page_of(signal: Signal) -> str:
    return f"/p/default/signals/{signal.pk}/"


def answer(label: Label, value: str, now: datetime, **fields: Any) -> None:
    """Give a label as a judge would."""
    given = {"status": "done", "value": value, "labelled_at": now, "judge": "judge-1", "reason": f"Because {value}."}
    Label.objects.filter(pk=label.pk).update(**given | fields)


def test_it_shows_the_signal_and_what_it_asks(browser: Client, signal: Signal) -> None:
    text = browser.get(page_of(signal)).text
    for fact in ("Refund wanted", "Active", "support-bot", "trace", "string, 3 labels", "100%"):
        assert fact in text
    assert "Does the user ask for a refund?" in text


def test_it_shows_counts_shares_and_their_doubt(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    for number, value in enumerate(("good", "good", "bad", ""), start=1):
        make_label(signal, number, now=now, value=value)
    page = Page(browser.get(page_of(signal)).text)
    assert "66.7% 20.8 to 93.9%, 2 of 3" in page.text
    assert "0.0 to 56.1%, 0 of 3" in page.text
    assert page.has_link("good 2")


def test_its_chart_goes_by_the_hour_or_the_day(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    week = timerange.named("7d", now)
    times = (week.start - week.bucket_width, week.start + week.bucket_width, *[now] * 4)
    for number, time in enumerate(times, start=1):
        make_label(signal, number, now=now, value="good", target_time=time)

    def bars(query: str) -> tuple[int, int]:
        """How many there are, and how many labels they hold: those of the range, however wide a bar is."""
        text = browser.get(page_of(signal), QueryDict(query)).text
        figure = json.loads(
            text.split('<script id="labels-over-time" type="application/json">')[1].split("</script>")[0]
        )
        heights = [height or 0 for trace in figure["data"] for height in trace["y"]]
        assert f"{sum(heights)} of {sum(heights)}" in Page(text).text
        return len(figure["data"][0]["x"]), sum(heights)

    assert bars("range=7d") == (56, 5)
    assert bars("range=7d&bars=hour") == (168, 5)
    days = week.with_bucket_width("day").buckets()
    assert bars("range=7d&bars=day") == (len(days), 5)
    assert bars("range=1d&bars=day") == (24, 4)
    text = browser.get(page_of(signal), {"range": "7d", "show": "share"}).text
    assert 'href="?range=7d&amp;show=share&amp;bars=day"' in text
    assert 'aria-label="How wide a bar is"' not in browser.get(page_of(signal), {"range": "90d"}).text


def test_it_says_what_became_of_every_sampled_target(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    make_label(signal, 1, now=now, value="good")
    make_label(signal, 2, now=now, value="bad", status="queued")
    make_label(signal, 3, now=now, status="failed", error="The judge said <maybe>.")
    make_label(signal, 4, now=now, status="skipped")
    make_label(signal, 5, now=now, status="running")
    make_label(signal, 6, now=now)
    text = browser.get(page_of(signal)).text
    assert signal.hours.coverage() == Coverage(waiting=3, done=1, failed=1, skipped=1)
    assert 'aria-label="1 labelled, 3 waiting, 1 failed, 1 skipped"' in " ".join(text.split())
    assert "grew since they were labelled" in text
    assert "It grew since." in text
    assert "The judge said &lt;maybe&gt;." in text
    assert "carries no content" in text


def test_it_leads_from_a_trace_label_to_the_trace(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    (label,) = make_labels(signal, project, 1, now=now)
    answer(label, "bad", now, reason="<script>alert(1)</script>")
    Label.objects.filter(pk=label.pk).update(cost="0.0042")
    text = browser.get(page_of(signal)).text
    assert f'href="/p/default/traces/{label.target_key}/?at={label.pk}"' in text
    assert "Question 1?" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "judge-1" in text
    assert "$0.0042" in text


def test_it_leads_from_a_span_label_to_the_span(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), scope="span", active_since=now - timedelta(hours=1))
    trace = make_trace(project, now=now, said=("<b>Hi</b>", "Hello"))
    settle_all(now)
    label = Label.objects.get(signal=signal)
    assert label.span_id is not None
    text = browser.get(page_of(signal)).text
    assert f'href="/p/default/traces/{trace.hex_id}/?span={hex_span_id(label.span_id)}&amp;at={label.pk}"' in text
    assert "&lt;b&gt;Hi&lt;/b&gt;" in text


def test_it_leads_from_a_session_label_to_the_session(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), scope="session", active_since=now - timedelta(hours=1))
    session = make_session(project, "chat <1>", now=now)
    settle_all(now)
    text = browser.get(page_of(signal)).text
    assert f'href="/p/default/sessions/{session.pk}/?at={Label.objects.get().pk}"' in text
    assert "Question 1?" in text
    assert "chat &lt;1&gt;" in text


def test_it_keeps_labels_of_targets_that_are_gone(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    (label,) = make_labels(signal, project, 1, now=now)
    answer(label, "bad", now)
    project.traces.all().delete()
    text = browser.get(page_of(signal)).text
    assert ">Expired<" in text
    assert "Because bad." in text


def test_it_filters_by_label_state_and_version(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    good = make_label(signal, 1, now=now, value="good")
    bad = make_label(signal, 2, now=now, value="bad")
    failed = make_label(signal, 3, now=now, status="failed", error="No.")

    def shown(query: str) -> set[int]:
        text = browser.get(f"{page_of(signal)}?{query}").text
        return {label.pk for label in (good, bad, failed) if f'title="{label.target_key}"' in text}

    assert shown("") == {good.pk, bad.pk, failed.pk}
    assert shown("label=bad") == {bad.pk}
    assert shown("status=failed") == {failed.pk}
    assert shown("status=waiting") == set()
    assert shown("version=1") == {good.pk, bad.pk, failed.pk}
    assert shown("version=2") == set()
    for nonsense in ("status=x", "version=x", "after=x", "range=x"):
        assert shown(nonsense) == {good.pk, bad.pk, failed.pk}
    assert shown("label=%00%27") == set()
    assert "Nothing passes this filter" in browser.get(f"{page_of(signal)}?label=never").text


def test_it_offers_the_range_that_has_labels(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    make_label(signal, now=now - timedelta(days=5), value="good")
    text = browser.get(page_of(signal)).text
    assert "Nothing in the last 1 d" in text
    assert 'href="?range=7d"' in text
    assert "Because good." in browser.get(f"{page_of(signal)}?range=7d").text


def test_it_continues_where_a_page_ended(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    labels = [make_label(signal, number, now=now) for number in range(1, 41)]
    first = browser.get(page_of(signal))
    link = first.text.split("?after=")[1].split('"')[0]
    second = browser.get(f"{page_of(signal)}?after={link}", headers={"HX-Request": "true"})
    assert not Page(second.text).is_whole
    assert "HX-Request" in second.headers["Vary"]
    pages = [{label.pk for label in labels if label.target_key in page.text} for page in (first, second)]
    assert [len(page) for page in pages] == [30, 10]
    assert not pages[0] & pages[1]
    assert "every 5s" in first.text
    assert "every 5s" not in second.text


def test_it_polls_while_work_is_open_then_seldom_and_not_when_disabled(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    label = make_label(signal, now=now)
    page = browser.get(page_of(signal)).text
    assert page.count('hx-trigger="every 5s"') == 2
    numbers = browser.get(page_of(signal), headers=NUMBERS)
    assert numbers.status_code == 200
    assert numbers.text.count('id="label-choice"') == 1
    assert "hx-swap-oob" in numbers.text
    assert Page(numbers.text).all(".//tr") == []
    answer(label, "good", now)
    numbers, rows = (browser.get(page_of(signal), headers=headers) for headers in (NUMBERS, ROWS))
    assert (numbers.status_code, rows.status_code) == (200, 200)
    assert 'hx-trigger="every 30s"' in numbers.text
    assert 'hx-trigger="every 30s"' in rows.text
    assert "100%" in Page(numbers.text).text
    assert "Because good." in rows.text
    operations.disable(signal, now)
    numbers, rows = (browser.get(page_of(signal), headers=headers) for headers in (NUMBERS, ROWS))
    assert (numbers.status_code, rows.status_code) == (286, 286)
    assert 'hx-trigger="every' not in browser.get(page_of(signal)).text


def test_it_polls_while_traffic_has_yet_to_settle(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    make_trace(project, 1, now=now)
    assert browser.get(page_of(signal), headers=NUMBERS).status_code == 200
    operations.disable(signal, now)
    assert browser.get(page_of(signal), headers=NUMBERS).status_code == 286


def test_it_fills_by_itself_when_the_first_label_comes(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    assert 'id="no-labels"' in browser.get(page_of(signal)).text
    assert browser.get(page_of(signal), headers=EMPTY).status_code == 204
    make_label(signal, now=now)
    assert browser.get(page_of(signal), headers=EMPTY).headers["HX-Refresh"] == "true"


def test_it_keeps_outcomes_of_older_versions(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    make_label(signal, now=now, value="fair")
    operations.publish_version(signal, definition.Definition(type="binary", prompt="Now?", sample_rate=10))
    page = Page(browser.get(page_of(signal)).text)
    assert "Now?" in page.text
    assert "How did it go?" not in page.text
    assert "Does the user ask for a refund?" not in page.text
    assert page.has_link("fair 1")


def test_it_names_the_offline_judge(browser: Client, project: Project, now: datetime) -> None:
    template = TEMPLATES["jailbreak"]
    signal = make_signal(make_agent(project), prompt=template.prompt, active_since=now - timedelta(hours=1))
    make_label(signal, now=now, value="no", judge="offline")
    text = browser.get(page_of(signal)).text
    assert text.count("offline judge (rules)") == 3
    labels = Page(text).table("Sampled traces, newest first")
    assert [pill.text for pill in labels.all(".//*[@class='pill neutral']")] == ["no"]


def test_it_warns_when_nothing_can_judge(browser: Client, signal: Signal) -> None:
    text = browser.get(page_of(signal)).text
    assert "no model connected" in text
    assert "CATALYST_JUDGE_MODEL" in text


def test_it_says_when_the_judge_does_not_answer(
    browser: Client, signal: Signal, judge: JudgeServer, now: datetime
) -> None:
    assert "does not answer" not in browser.get(page_of(signal)).text
    JudgeHealth.objects.create(
        url=endpoint(), model="judge-1", failures=2, paused_until=now, error="It asks to slow <down>."
    )
    text = browser.get(page_of(signal)).text
    assert "judge-1 does not answer." in text
    assert "It asks to slow &lt;down&gt;." in text


@pytest.mark.parametrize("person", ["charlie", "viewer"])
def test_it_shows_itself_to_members_only_and_viewers_no_buttons(
    request: pytest.FixtureRequest, client_as: Callable[[User], Client], signal: Signal, person: str
) -> None:
    response = client_as(request.getfixturevalue(person)).get(page_of(signal))
    assert response.status_code == (404 if person == "charlie" else 200)
    assert "Disable" not in response.text


def test_without_labels_it_leads_editors_to_a_run(
    client_as: Callable[[User], Client], browser: Client, viewer: User, signal: Signal, now: datetime
) -> None:
    page = Page(browser.get(page_of(signal)).text)
    assert "Nothing sampled yet" in page.text
    assert page.link("Judge what is stored") == f"{page_of(signal)}runs/"
    assert "Judge what is stored" not in client_as(viewer).get(page_of(signal)).text
    operations.disable(signal, now)
    assert "Judge what is stored" in browser.get(page_of(signal)).text


def test_it_shows_no_signal_of_another_project(browser: Client, other_project: Project) -> None:
    foreign = make_signal(make_agent(other_project))
    assert browser.get(page_of(foreign)).status_code == 404
    assert browser.post(page_of(foreign)).status_code == 405


def test_it_asks_as_often_for_many_labels_as_for_few(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    def queries(headers: dict[str, str]) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(page_of(signal), headers=headers).status_code == 200
        return len(captured)

    make_labels(signal, project, 2, now=now)
    few = [queries(headers) for headers in ({}, NUMBERS, ROWS)]
    make_labels(signal, project, 20, now=now)
    operations.publish_version(signal, definition.Definition(type="binary", prompt="Now?", sample_rate=10))
    make_labels(signal, project, 20, now=now + timedelta(minutes=1))
    assert [queries(headers) for headers in ({}, NUMBERS, ROWS)] == few


def test_it_says_how_judging_goes_whatever_the_range(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    then = now - timedelta(days=3)
    for number, error in enumerate(("It said <maybe>.", "It said <maybe>.", "No."), start=1):
        make_label(signal, number, now=then, status="failed", error=error)
    make_label(signal, 4, now=then, not_before=now - timedelta(minutes=2, seconds=5))
    with time_machine.travel(now, tick=False):
        page = Page(browser.get(f"{page_of(signal)}?range=1h", headers=NUMBERS).text)
    judging = page.region("Queue status")
    assert judging.facts["Waiting"] == "1"
    assert judging.facts["Lag"] == "2m 05s, since the oldest label was due"
    assert judging.items == ["2 It said <maybe>.", "1 No."]
    assert judging.buttons == ["Retry"]


def test_it_says_of_how_many_failures_the_reasons_are(
    browser: Client, signal: Signal, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signals.results.queue_status.MAX_FAILURES_SAMPLED", 2)
    for number in (1, 2, 3):
        make_label(signal, number, now=now, status="failed", error="No.")
    judging = Page(browser.get(page_of(signal)).text).region("Queue status")
    assert "Why the newest 2 failed:" in judging.text
    assert judging.items == ["2 No."]
    Label.objects.filter(pk=Label.objects.values("pk")[:1]).delete()
    assert "Why the newest" not in browser.get(page_of(signal)).text
