"""A signal's page: what it found."""

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
from signals.runs import backfill
from tests.factories import make_agent, make_label, make_labels, make_session, make_signal, make_trace, settle_all
from tests.judge_server import JudgeServer
from tests.page import Page, Row
from traces.models.span import hex_span_id

pytestmark = pytest.mark.real_clock

NUMBERS = {"HX-Request": "true", "HX-Target": "signal-numbers"}
ROWS = {"HX-Request": "true", "HX-Target": "label-rows"}
EMPTY = {"HX-Request": "true", "HX-Target": "no-labels"}
SAMPLED = "Sampled traces, newest first"


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    """An active one that asks about traces."""
    return make_signal(make_agent(project), labels=("good", "fair", "bad"), active_since=now - timedelta(days=9))


def page_of(signal: Signal) -> str:
    return f"/p/default/signals/{signal.pk}/"


def key_of(row: Row) -> str:
    """The whole id of a row's target."""
    return row.all(".//*[contains(@class, 'mono')]")[0].attribute("title")


def answer(label: Label, value: str, now: datetime, **fields: Any) -> None:
    """Give a label as a judge would."""
    given = {"status": "done", "value": value, "labelled_at": now, "judge": "judge-1", "reason": f"Because {value}."}
    Label.objects.filter(pk=label.pk).update(**given | fields)


def test_it_shows_the_signal_and_what_it_asks(browser: Client, signal: Signal) -> None:
    page = Page(browser.get(page_of(signal)).text).main
    assert page.headings[0] == "Refund wanted"
    facts = {"Agent": "support-bot", "Scope": "trace", "Type": "3 labels", "Version": "v1", "Sample rate": "100%"}
    assert facts.items() <= page.facts.items()
    assert "Does the user ask for a refund?" in page.part("definition").text


def test_it_shows_counts_shares_and_their_doubt(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    for number, value in enumerate(("good", "good", "bad", ""), start=1):
        make_label(signal, number, now=now, value=value)
    page = Page(browser.get(page_of(signal)).text)
    assert "66.7% 20.8 to 93.9%, 2 of 3" in page.text
    assert "0.0 to 56.1%, 0 of 3" in page.text
    assert "Pending 1" in page.text
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
        page = Page(browser.get(page_of(signal), QueryDict(query)).text)
        figure = page.figures["labels-over-time"]
        heights = [height or 0 for trace in figure["data"] for height in trace["y"]]
        assert f"{sum(heights)} of {sum(heights)}" in page.text
        return len(figure["data"][0]["x"]), sum(heights)

    assert bars("range=7d") == (len(week.buckets()), 5)
    assert bars("range=7d&bars=hour") == (len(week.with_bucket_width("hour").buckets()), 5)
    days = week.with_bucket_width("day").buckets()
    assert bars("range=7d&bars=day") == (len(days), 5)
    assert bars("range=1d&bars=day") == (len(timerange.named("1d", now).buckets()), 4)
    widths = Page(browser.get(page_of(signal), {"range": "7d", "show": "share"}).text).region("Bar width")
    assert "?range=7d&show=share&bars=day" in [address for _, address in widths.links]
    assert "Bar width" not in Page(browser.get(page_of(signal), {"range": "90d"}).text).labels


def test_it_says_what_became_of_every_sampled_target(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    make_label(signal, 1, now=now, value="good")
    make_label(signal, 2, now=now, value="bad", status="queued")
    make_label(signal, 3, now=now, status="failed", error="The judge said <maybe>.")
    make_label(signal, 4, now=now, status="skipped")
    make_label(signal, 5, now=now, status="running")
    make_label(signal, 6, now=now)
    page = Page(browser.get(page_of(signal)).text)
    assert signal.hours.coverage() == Coverage(waiting=3, done=1, failed=1, skipped=1)
    covered = page.region("Rates and coverage, the last 24 hours")
    assert covered.region("1 labelled, 3 pending, 1 failed, 1 skipped")
    assert covered.facts["Re-judged"].startswith("1 labelled before new spans came")
    assert covered.facts["Labelled"].startswith("2 ")
    reasons = {key_of(row): row["Reason"] for row in page.table(SAMPLED).rows}
    assert reasons == {
        f"{1:032x}": "Because good. judged by judge-1",
        f"{2:032x}": "Because bad. New spans since this label. Pending judged by judge-1",
        f"{3:032x}": "The judge said <maybe>.",
        f"{4:032x}": "No content to judge",
        f"{5:032x}": "",
        f"{6:032x}": "",
    }


def test_it_says_that_its_labels_are_of_another_prompt(browser: Client, signal: Signal, now: datetime) -> None:
    make_label(signal, now=now, value="good")
    warning = "Labels of version 1, whose prompt was another one than that of version 2"
    operations.publish_version(signal, definition.Definition("string", "Another?", 100, ("good", "fair", "bad")))
    page = Page(browser.get(page_of(signal)).text)
    assert warning in page.text
    compared = Page(browser.get(page.link("Compare v1 with v2")).text)
    assert "What changed from v1 to v2" in compared.headings
    make_label(signal, 2, now=now, value="good")
    assert warning not in Page(browser.get(page_of(signal)).text).text
    assert warning in Page(browser.get(page_of(signal), {"version": 1}).text).text


def test_it_counts_what_has_yet_to_end_unless_the_range_has_ended(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    make_label(signal, now=now, value="good")
    for number in (2, 3):
        make_trace(project, number, now=now)
    waits = "Waiting for 2 traces to end"
    assert waits in Page(browser.get(page_of(signal)).text).text
    label = Label.objects.get()
    label.target_time = now - timedelta(days=2)
    label.save(update_fields=["target_time"])
    past = {"from": timerange.iso(now - timedelta(days=3)), "to": timerange.iso(now - timedelta(days=1))}
    page = Page(browser.get(page_of(signal), past).text)
    assert "Sampled 1" in page.text
    assert waits not in page.text


def test_it_leads_from_a_trace_label_to_the_trace(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    (label,) = make_labels(signal, project, 1, now=now)
    answer(label, "bad", now, reason="<script>alert(1)</script>")
    Label.objects.filter(pk=label.pk).update(cost="0.0042")
    response = browser.get(page_of(signal))
    (row,) = Page(response.text).table(SAMPLED).rows
    assert row.link("Question 1?") == f"/p/default/traces/{label.target_key}/?at={label.pk}"
    assert (row["Label"], row["Reason"]) == ("bad", "<script>alert(1)</script> judged by judge-1")
    assert (row["Cost"], row["Version"]) == ("$0.0042", "v1")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in response.text


def test_it_leads_from_a_span_label_to_the_span(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), scope="span", active_since=now - timedelta(hours=1))
    trace = make_trace(project, now=now, said=("<b>Hi</b>", "Hello"))
    settle_all(now)
    label = Label.objects.get(signal=signal)
    assert label.span_id is not None
    (row,) = Page(browser.get(page_of(signal)).text).table("Sampled spans, newest first").rows
    (target, _) = row.links
    assert "<b>Hi</b>" in target[0]
    assert target[1] == f"/p/default/traces/{trace.hex_id}/?span={hex_span_id(label.span_id)}&at={label.pk}"


def test_it_leads_from_a_session_label_to_the_session(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), scope="session", active_since=now - timedelta(hours=1))
    session = make_session(project, "chat <1>", now=now)
    settle_all(now)
    (row,) = Page(browser.get(page_of(signal)).text).table("Sampled sessions, newest first").rows
    assert row.link("Question 1?") == f"/p/default/sessions/{session.pk}/?at={Label.objects.get().pk}"
    assert row["Session"] == "Question 1? chat <1>"


def test_it_keeps_labels_of_targets_that_are_gone(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    (label,) = make_labels(signal, project, 1, now=now)
    answer(label, "bad", now)
    project.traces.all().delete()
    (row,) = Page(browser.get(page_of(signal)).text).table(SAMPLED).rows
    assert row["Trace"].startswith("Deleted")
    assert row["Reason"].startswith("Because bad.")


def test_it_filters_by_label_state_and_version(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    good = make_label(signal, 1, now=now, value="good")
    bad = make_label(signal, 2, now=now, value="bad")
    failed = make_label(signal, 3, now=now, status="failed", error="No.")

    def shown(query: str) -> set[int]:
        keys = {key_of(row) for row in Page(browser.get(f"{page_of(signal)}?{query}").text).rows}
        return {label.pk for label in (good, bad, failed) if label.target_key in keys}

    assert shown("") == {good.pk, bad.pk, failed.pk}
    assert shown("label=bad") == {bad.pk}
    assert shown("status=failed") == {failed.pk}
    assert shown("status=waiting") == set()
    assert shown("version=1") == {good.pk, bad.pk, failed.pk}
    assert shown("version=2") == set()
    for nonsense in ("status=x", "version=x", "after=x", "range=x"):
        assert shown(nonsense) == {good.pk, bad.pk, failed.pk}
    assert shown("label=%00%27") == set()
    assert "No traces match" in Page(browser.get(f"{page_of(signal)}?label=never").text).headings


def test_it_says_which_filters_it_does_not_apply(browser: Client, signal: Signal) -> None:
    page = Page(browser.get(f"/p/default/signals/{signal.pk}/?status=banana&version=x").text)
    (note,) = page.all("//main//div[@role='alert']")
    assert note.text == "Not applied. Status: There is no such choice. Version: Enter a whole number."
    listed = Page(browser.get("/p/default/signals/?sort=banana").text)
    assert "Not applied. Sort: There is no such choice." in listed.main.text


def test_it_offers_the_range_that_has_labels(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    make_label(signal, now=now - timedelta(days=5), value="good")
    page = Page(browser.get(page_of(signal)).text)
    assert "No labels in the last 24 hours" in page.headings
    assert page.link("Show the last 7 days") == "?range=7d"
    (row,) = Page(browser.get(f"{page_of(signal)}?range=7d").text).table(SAMPLED).rows
    assert row["Reason"].startswith("Because good.")


def test_it_continues_where_a_page_ended(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    labels = [make_label(signal, number, now=now) for number in range(1, 41)]
    first = Page(browser.get(page_of(signal)).text)
    response = browser.get(page_of(signal) + first.link("Load more"), headers={"HX-Request": "true"})
    second = Page(response.text)
    assert not second.is_whole
    assert "HX-Request" in response.headers["Vary"]
    keys = [[key_of(row) for row in page.rows] for page in (first, second)]
    assert [len(page) for page in keys] == [30, 10]
    assert set(keys[0] + keys[1]) == {label.target_key for label in labels}
    assert (first.polls, second.polls) == (["5s", "5s"], [])


def test_it_polls_while_work_is_open_then_seldom_and_not_when_disabled(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    label = make_label(signal, now=now)
    assert Page(browser.get(page_of(signal)).text).polls == ["5s", "5s"]
    numbers = browser.get(page_of(signal), headers=NUMBERS)
    assert numbers.status_code == 200
    assert Page(numbers.text).part("label-choice").attribute("hx-swap-oob") == "true"
    assert Page(numbers.text).rows == []
    answer(label, "good", now)
    numbers, rows = (browser.get(page_of(signal), headers=headers) for headers in (NUMBERS, ROWS))
    assert (numbers.status_code, rows.status_code) == (200, 200)
    assert Page(numbers.text).polls == Page(rows.text).polls == ["30s"]
    assert "100%" in Page(numbers.text).text
    assert "Because good." in Page(rows.text).rows[0].text
    operations.disable(signal, now)
    numbers, rows = (browser.get(page_of(signal), headers=headers) for headers in (NUMBERS, ROWS))
    assert (numbers.status_code, rows.status_code) == (286, 286)
    assert Page(browser.get(page_of(signal)).text).polls == []


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
    assert Page(browser.get(page_of(signal)).text).part("no-labels").attribute("hx-trigger") == "every 5s"
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
    page = Page(browser.get(page_of(signal)).text)
    assert page.facts["Judge"] == "offline judge (rules)"
    labels = page.table(SAMPLED)
    assert "judged by" not in labels.row(1)["Reason"]
    assert [pill.text for pill in labels.all(".//*[@class='pill neutral']")] == ["no"]


def test_it_warns_when_nothing_can_judge(browser: Client, signal: Signal) -> None:
    page = Page(browser.get(page_of(signal)).text)
    assert page.facts["Judge"] == "no model connected"
    assert "Ask an owner to add one in Settings, Models." in page.text


def test_it_says_when_the_judge_does_not_answer(
    browser: Client, signal: Signal, judge: JudgeServer, now: datetime
) -> None:
    make_label(signal, now=now)
    shown = Page(browser.get(page_of(signal)).text)
    assert "does not answer" not in shown.text
    assert shown.all("//*[normalize-space()='Judging']")
    JudgeHealth.objects.create(
        url=endpoint(), model="judge-1", failures=2, paused_until=now, error="It asks to slow <down>."
    )
    page = Page(browser.get(page_of(signal)).text)
    assert "judge-1 does not answer. It asks to slow <down>." in page.text
    assert not page.all("//*[normalize-space()='Judging']")


@pytest.mark.parametrize("person", ["charlie", "viewer"])
def test_it_shows_itself_to_members_only_and_viewers_no_buttons(
    request: pytest.FixtureRequest, client_as: Callable[[User], Client], signal: Signal, person: str
) -> None:
    response = client_as(request.getfixturevalue(person)).get(page_of(signal))
    assert response.status_code == (404 if person == "charlie" else 200)
    assert "Disable" not in Page(response.text).buttons


def test_without_labels_one_click_backfills_what_is_stored(
    client_as: Callable[[User], Client],
    browser: Client,
    viewer: User,
    signal: Signal,
    project: Project,
    now: datetime,
) -> None:
    page = Page(browser.get(page_of(signal)).text)
    assert "New traces of support-bot are judged about 10 s after their last span." in page.text
    assert "support-bot has no stored trace that matches." in page.text
    make_trace(project, now=now - timedelta(days=10))
    (form,) = [form for form in Page(browser.get(page_of(signal)).text).forms if form.action.endswith("runs/new/")]
    assert form.buttons == ["Backfill the 1 trace you have"]
    assert "you have" not in Page(client_as(viewer).get(page_of(signal)).text).text
    page = Page(browser.post(form.action, form.filled, follow=True).text)
    assert "Backfill started" in page.text
    assert "you have" not in page.text
    while backfill.step(now + timedelta(minutes=2)):
        pass
    assert Label.objects.get().signal == signal


@pytest.mark.parametrize("state", ["draft", "active", "archived"])
@pytest.mark.parametrize("scope", ["span", "trace", "session"])
def test_without_labels_there_is_nothing_to_filter_or_export(
    browser: Client, project: Project, now: datetime, state: str, scope: str
) -> None:
    since = None if state == "draft" else now
    signal = make_signal(make_agent(project), scope=scope, name="Mood", active_since=since)
    if state == "archived":
        operations.archive(signal, now)
    page = Page(browser.get(page_of(signal)).text)
    assert not page.has_link("CSV")
    assert page.searches == []
    assert ("are judged" in page.text) == (state == "active")
    tab = Page(browser.get(f"{page_of(signal)}coverage/").text)
    assert ("It is archived." in tab.text, tab.has_link("backfill")) == (state == "archived", state != "archived")


def test_a_filter_that_nothing_matches_leaves_nothing_to_export(browser: Client, signal: Signal, now: datetime) -> None:
    make_label(signal, 1, now=now)
    page = Page(browser.get(f"{page_of(signal)}?q=nothing").text)
    assert page.has_link("Clear filters")
    assert not page.has_link("CSV")


def test_an_archived_signal_says_nothing_of_its_judge(browser: Client, signal: Signal, now: datetime) -> None:
    make_label(signal, 1, now=now)
    assert "Connect a model" in Page(browser.get(page_of(signal)).text).text
    operations.archive(signal, now)
    assert "Connect a model" not in Page(browser.get(page_of(signal)).text).text


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

    # A new hour between the two would have sums of its own.
    middle = now.replace(minute=30)
    with time_machine.travel(middle, tick=False):
        make_labels(signal, project, 2, now=middle)
        few = [queries(headers) for headers in ({}, NUMBERS, ROWS)]
        make_labels(signal, project, 20, now=middle)
        operations.publish_version(signal, definition.Definition(type="binary", prompt="Now?", sample_rate=10))
        make_labels(signal, project, 20, now=middle + timedelta(minutes=1))
        assert [queries(headers) for headers in ({}, NUMBERS, ROWS)] == few


@pytest.mark.usefixtures("judge")
def test_it_says_how_judging_goes_whatever_the_range(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    then = now - timedelta(days=3)
    for number, error in enumerate(("It said <maybe>.", "It said <maybe>.", "No."), start=1):
        make_label(signal, number, now=then, status="failed", error=error)
    make_label(signal, 4, now=then, not_before=now - timedelta(minutes=2, seconds=5))
    with time_machine.travel(now, tick=False):
        page = Page(browser.get(f"{page_of(signal)}?range=1h", headers=NUMBERS).text)
    judging = page.region("Queue")
    assert judging.facts["Pending"] == "1"
    assert judging.facts["Lag"] == "2m 05s, since the oldest label was due"
    assert judging.items == ["2 It said <maybe>.", "1 No."]
    assert judging.buttons == ["Retry"]


def test_it_says_of_how_many_failures_the_reasons_are(
    browser: Client, signal: Signal, project: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signals.results.queue_status.MAX_FAILURES_SAMPLED", 2)
    for number in (1, 2, 3):
        make_label(signal, number, now=now, status="failed", error="No.")
    judging = Page(browser.get(page_of(signal)).text).region("Queue")
    assert "Errors of the newest 2 failures:" in judging.text
    assert judging.items == ["2 No."]
    Label.objects.filter(pk=Label.objects.values("pk")[:1]).delete()
    assert "Errors of the newest" not in Page(browser.get(page_of(signal)).text).text
