"""The labels of a signal as a list: filtered, searched, exported, and gone through one by one."""

import csv
import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from catalyst.core.models import Project, User
from catalyst.timerange import named
from signals import operations
from signals.definitions.definition import Definition
from signals.filters import LabelFilter
from signals.models import Label, Signal, SignalRun
from signals.results import labels as label_lists
from tests.factories import make_agent, make_labels, make_session, make_signal, settle_all
from tests.page import Page

LIST = "/p/default/signals/"


@pytest.fixture
def now() -> datetime:
    """Pages ask the real clock."""
    return timezone.now() - timedelta(minutes=5)


@pytest.fixture
def browser(client_as: Callable[[User], Client], viewer: User) -> Client:
    """A viewer's browser."""
    return client_as(viewer)


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    return make_signal(make_agent(project), active_since=now - timedelta(days=1))


@pytest.fixture
def labels(signal: Signal, project: Project, now: datetime) -> list[Label]:
    """Six labels, the newest last: no, yes, no, yes, failed, waiting."""
    made = make_labels(signal, project, 6, now=now)
    for number, label in enumerate(made):
        label.target_time = now - timedelta(minutes=20 * (6 - number))
        label.save(update_fields=["target_time"])
    for number, label in enumerate(made[:4]):
        value = "yes" if number % 2 else "no"
        given = {"status": "done", "value": value, "reason": f"Reason {number} for 100%_", "cost": "0.25"}
        Label.objects.filter(pk=label.pk).update(**given, labelled_at=now, judge="judge-1")
    Label.objects.filter(pk=made[4].pk).update(status="failed", error="No.")
    return made


def listed(signal: Signal, wanted: LabelFilter, most: int = 2) -> list[int]:
    """All labels that pass, page by page."""
    found: list[int] = []
    after = None
    while True:
        page = label_lists.page(signal, wanted, named("1d", timezone.now()), after, most)
        found += [label.pk for label in page.labels]
        if page.more is None:
            return found
        after = page.more


def test_it_pages_through_what_passes_each_filter(signal: Signal, labels: list[Label]) -> None:
    newest = [label.pk for label in reversed(labels)]
    assert listed(signal, LabelFilter()) == newest
    assert listed(signal, LabelFilter(value="yes")) == [labels[3].pk, labels[1].pk]
    assert listed(signal, LabelFilter(status="failed")) == [labels[4].pk]
    assert listed(signal, LabelFilter(status="waiting")) == [labels[5].pk]
    assert listed(signal, LabelFilter(status="done", version=1), most=1) == newest[2:]
    assert listed(signal, LabelFilter(version=2)) == []
    run = SignalRun.objects.create(
        version=labels[0].version, window_start=timezone.now(), window_end=timezone.now(), sample_rate=10
    )
    Label.objects.filter(pk=labels[1].pk).update(run=run)
    assert listed(signal, LabelFilter(run=run.pk)) == [labels[1].pk]


@pytest.mark.parametrize("searched", [1, 2, 3, 10_000])
def test_it_finds_a_text_in_the_reasons_however_many_it_may_look_at_for_a_page(
    signal: Signal, labels: list[Label], searched: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_lists, "SEARCHED", searched)
    assert listed(signal, LabelFilter(text="reason 1 FOR 100%_")) == [labels[1].pk]
    assert listed(signal, LabelFilter(text="100%_"), most=1) == [label.pk for label in reversed(labels[:4])]
    assert listed(signal, LabelFilter(text="Reason 2", status="done")) == [labels[2].pk]
    assert listed(signal, LabelFilter(text="Reason 2", value="yes")) == []
    assert listed(signal, LabelFilter(text="%0")) == []


def test_the_page_takes_the_filter_from_its_query(browser: Client, signal: Signal, labels: list[Label]) -> None:
    page = f"{LIST}{signal.pk}/"

    def reasons(query: str) -> list[str]:
        return [
            row["Reason"].removesuffix(" judged by judge-1")
            for row in Page(browser.get(f"{page}?{query}").text).table().rows
        ]

    assert reasons("q=Reason 3") == ["Reason 3 for 100%_"]
    assert "No traces match" in Page(browser.get(f"{page}?version=7").text).text
    assert Page(browser.get(f"{page}?run=99").text).has_link("Clear filters")
    assert "Reason 3 for 100%_" in reasons("run=nonsense&q=%00")
    operations.publish_version(signal, Definition("binary", "Now?", 50))
    assert Page(browser.get(page).text).choice("Version").options["v2"] == "2"


def test_it_says_what_its_shares_are_estimates_of(
    browser: Client, signal: Signal, labels: list[Label], now: datetime
) -> None:
    page = f"{LIST}{signal.pk}/"
    words = Page(browser.get(page).text).text
    assert "Estimated from" not in words
    version = operations.publish_version(signal, Definition("binary", "Now?", 25))
    Label.objects.update(version=version)
    words = Page(browser.get(page).text).text
    assert "Estimated from 4 labels of 6 sampled traces: 25% of about 24 matching." in words
    SignalRun.objects.create(version=version, window_start=now, window_end=now, sample_rate=50)
    assert "Estimated from" not in Page(browser.get(page).text).text


def test_it_estimates_nothing_from_labels_of_several_versions(
    browser: Client, signal: Signal, labels: list[Label]
) -> None:
    operations.publish_version(signal, Definition("binary", "Now?", 50))
    assert Label.objects.filter(version__number=2).count() == 1  # it took over what waited
    words = Page(browser.get(f"{LIST}{signal.pk}/").text).text
    assert "Estimated from" not in words
    assert "Includes 2 versions. Each trace counts once, with the label of the newest version that has one." in words
    assert "Labels of v1 only." in Page(browser.get(f"{LIST}{signal.pk}/?version=1").text).text


def test_the_chart_shows_counts_or_shares(browser: Client, signal: Signal, labels: list[Label]) -> None:

    def suffix(query: str) -> str:
        figure = Page(browser.get(f"{LIST}{signal.pk}/{query}").text).figures["labels-over-time"]
        return str(figure["layout"]["yaxis"]["ticksuffix"])

    assert (suffix(""), suffix("?show=share")) == ("", "%")


def exported(browser: Client, signal: Signal, query: str = "") -> str:
    answer = browser.get(f"{LIST}{signal.pk}/labels/?{query}")
    assert answer.status_code == 200
    return answer.getvalue().decode()


def test_it_exports_what_passes_as_csv_and_json_lines(
    browser: Client, signal: Signal, labels: list[Label], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_lists, "BATCH", 2)
    rows = list(csv.DictReader(io.StringIO(exported(browser, signal))))
    assert [row["target"] for row in rows] == [label.target_key for label in reversed(labels)]
    assert rows[2]["label"] == "yes"
    assert (rows[2]["reason"], rows[2]["cost_usd"]) == ("Reason 3 for 100%_", "0.250000000")
    assert rows[2]["preview"] == "Question 4?"
    assert rows[0]["status"] == "queued"
    lines = [json.loads(line) for line in exported(browser, signal, "as=jsonl&label=no").splitlines()]
    assert [line["target"] for line in lines] == [labels[2].target_key, labels[0].target_key]
    assert lines[0]["version"] == 1
    head = browser.head(f"{LIST}{signal.pk}/labels/?as=jsonl")
    assert head.headers["Content-Disposition"] == 'attachment; filename="refund-wanted.jsonl"'


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1+1", "\t=1", "\rx", '=HYPERLINK("http://x")'])
def test_no_cell_is_a_formula(browser: Client, signal: Signal, labels: list[Label], text: str) -> None:
    Label.objects.filter(pk=labels[0].pk).update(reason=text)
    rows = list(csv.DictReader(io.StringIO(exported(browser, signal), newline="")))
    assert rows[-1]["reason"] == f"'{text}"
    assert json.loads(exported(browser, signal, "as=jsonl").splitlines()[-1])["reason"] == text


def test_its_export_is_closed_to_outsiders(
    client_as: Callable[[User], Client], charlie: User, signal: Signal, labels: list[Label]
) -> None:
    assert client_as(charlie).get(f"{LIST}{signal.pk}/labels/").status_code == 404


def test_a_row_leads_through_the_filtered_list(browser: Client, signal: Signal, labels: list[Label]) -> None:
    listed = Page(browser.get(f"{LIST}{signal.pk}/?label=yes").text)
    first = f"/p/default/traces/{labels[3].target_key}/?label=yes&at={labels[3].pk}"
    second = f"/p/default/traces/{labels[1].target_key}/?label=yes&at={labels[1].pk}"
    assert [row.link(row.links[0][0]) for row in listed.table().rows] == [first, second]
    walk = Page(browser.get(first).text).region("Labels of Refund wanted")
    assert "Reason 3 for" in walk.text
    assert walk.links == [("Refund wanted", f"{LIST}{signal.pk}/?label=yes"), ("Older ]", second)]
    walk = Page(browser.get(second).text).region("Labels of Refund wanted")
    assert walk.links == [("Refund wanted", f"{LIST}{signal.pk}/?label=yes"), ("Newer [", first)]


def test_a_walk_follows_a_search(browser: Client, signal: Signal, labels: list[Label]) -> None:
    page = Page(browser.get(f"/p/default/traces/{labels[1].target_key}/?q=Reason&at={labels[1].pk}").text)
    assert page.link("Newer [") == f"/p/default/traces/{labels[2].target_key}/?q=Reason&at={labels[2].pk}"
    assert page.link("Older ]") == f"/p/default/traces/{labels[0].target_key}/?q=Reason&at={labels[0].pk}"


@pytest.mark.parametrize("at", ["", "x", "0", "99999999999999999999"])
def test_a_page_that_was_opened_from_nowhere_leads_nowhere(browser: Client, labels: list[Label], at: str) -> None:
    response = browser.get(f"/p/default/traces/{labels[1].target_key}/?at={at}")
    assert response.status_code == 200
    assert "Labels of Refund wanted" not in Page(response.text).labels


def test_a_walk_stays_in_its_project(
    browser: Client, labels: list[Label], other_project: Project, now: datetime
) -> None:
    foreign = make_signal(make_agent(other_project, "theirs"), name="Foreign", active_since=now)
    (theirs,) = make_labels(foreign, other_project, 1, now=now)
    assert "Foreign" not in browser.get(f"/p/default/traces/{labels[1].target_key}/?at={theirs.pk}").text


def test_a_walk_goes_through_sessions(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), scope="session", active_since=now - timedelta(days=1))
    for number, key in enumerate(("one", "two")):
        make_session(project, key, first=1 + 2 * number, now=now + timedelta(seconds=number))
    settle_all(now)
    older, newer = Label.objects.filter(signal=signal).order_by("target_time")
    session = project.sessions.get(key=newer.session_key)
    page = Page(browser.get(f"/p/default/sessions/{session.pk}/?at={newer.pk}").text)
    before = project.sessions.get(key=older.session_key)
    assert page.link("Older ]") == f"/p/default/sessions/{before.pk}/?at={older.pk}"
