"""The labels that an alert counted: a click on their number lists exactly these."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.test import Client

from alerts.models import Alert, AlertEvent, Delivery
from catalyst.core.models import Project, User
from catalyst.timerange import DAY
from signals import operations
from signals.judging import claims
from signals.models import Label, SignalRun
from signals.models.label_queue import LabelRequest
from signals.models.label_states import Status
from tests.alerts.history import LEASE, History
from tests.factories import make_channel
from tests.page import Page

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def browser(client_as: Callable[[User], Client], alice: User) -> Client:
    """The owner's browser."""
    return client_as(alice)


@pytest.fixture
def history(project: Project) -> History:
    return History(project, NOON)


def rows_of(browser: Client, path: str) -> list[str]:
    """The labels that a link lists, on all its pages."""
    page = Page(browser.get(path).text)
    found = page.table().rows if page.rows else []
    values = [row["Label"] for row in found]
    while page.has_link("Load more"):
        page = Page(browser.get(path.partition("?")[0] + page.link("Load more")).text)
        values += [row["Label"] for row in page.table().rows]
    return values


def path_of(browser: Client, alert: Alert, *, event: int = 0) -> str:
    """Where the number of labels of an event leads, on the page of its alert. 0 is the newest event."""
    around = "?from=2026-11-20T00:00&to=2026-11-21T00:00"
    page = Page(browser.get(f"{alert.get_absolute_url()}{around}").text)
    return page.table().rows[event].links[0][1]


def number_of(alert: Alert) -> int:
    return AlertEvent.objects.filter(alert=alert).earliest("window_end").labelled


def test_the_page_and_the_message_lead_to_the_labels_of_the_window(history: History, browser: Client) -> None:
    alert = history.alert(window="5m")
    alert.channels.add(make_channel(history.signal.project, now=history.now))
    history.label(yes=0, no=3)
    history.minute(6)
    history.label(yes=20, no=15)
    history.minute()
    history.label(yes=4)
    path = path_of(browser, alert)
    assert sorted(rows_of(browser, path)) == ["no"] * 15 + ["yes"] * 20
    assert number_of(alert) == 35
    links = {link["text"]: link["url"] for link in Delivery.objects.get().message["links"]}
    assert links["Labels of this window"].endswith(path)
    counts = dict(Page(browser.get(path).text).part("label-choice").links)
    assert list(counts) == ["All 35", "yes 20", "no 15"]
    for words, href in counts.items():
        assert len(rows_of(browser, path.partition("?")[0] + href)) == int(words.split()[-1])


def test_what_is_judged_after_the_evaluation_is_not_listed(history: History, browser: Client) -> None:
    alert = history.alert(window="5m", threshold=0.5)
    history.settle(8)
    history.judge(["yes", "yes", "yes", "no", "no"])
    history.minute(17)
    assert number_of(alert) == 5
    history.judge(["yes", "yes"])
    history.judge([""], status=Status.FAILED)
    assert sorted(rows_of(browser, path_of(browser, alert))) == ["no"] * 2 + ["yes"] * 3


def test_only_live_labels_of_the_version_are_listed(history: History, browser: Client) -> None:
    alert = history.alert(window="5m")
    history.label(yes=2)
    history.publish()
    history.settle(3)
    run = SignalRun.objects.create(
        version=history.version, window_start=NOON - DAY, window_end=NOON, sample_rate=100, created_by_name="Test"
    )
    history.settle(4, run=run)
    history.judge(["yes"] * 7)
    history.minute()
    assert number_of(alert) == 3
    assert rows_of(browser, path_of(browser, alert)) == ["yes"] * 3


def grow(history: History, target: int) -> None:
    """More spans of a target settle."""
    label = Label.objects.get(target_key=UUID(int=target).hex)
    request = LabelRequest(
        version_id=label.version_id,
        signal_id=label.signal_id,
        project_id=label.project_id,
        scope=label.scope,
        target_key=label.target_key,
        trace_id=label.trace_id,
        span_id=None,
        session_key="",
        target_time=label.target_time,
        wanted_revision=label.wanted_revision + 1,
    )
    Label.objects.enqueue([request], history.now)


def test_targets_that_grow_later_are_said_to_be_missing(history: History, browser: Client) -> None:
    alert = history.alert(window="5m")
    history.label(yes=4)
    history.minute(20)
    grow(history, 1)
    history.judge(["no"])
    path = path_of(browser, alert, event=1)
    page = Page(browser.get(path).text)
    assert rows_of(browser, path) == ["yes"] * 3
    assert "1 more: their traces have grown and count again later" in page.main.text
    # The one that grew is in the window in which it settled again.
    later = path.replace("2026-11-20T11%3A56%2F2026-11-20T12%3A01", "2026-11-20T12%3A20%2F2026-11-20T12%3A25")
    assert rows_of(browser, later.partition("&judged=")[0]) == ["no"]


def test_a_label_that_left_the_queue_with_its_earlier_value_is_in_no_later_window(
    history: History, browser: Client
) -> None:
    alert = history.alert(window="5m")
    history.label(yes=2)
    history.minute(20)
    grow(history, 1)
    operations.disable(history.signal, history.now)
    assert set(Label.objects.values_list("status", "value")) == {("done", "yes")}
    path = path_of(browser, alert, event=1)
    later = path.replace("2026-11-20T11%3A56%2F2026-11-20T12%3A01", "2026-11-20T12%3A20%2F2026-11-20T12%3A25")
    assert rows_of(browser, later) == []
    assert rows_of(browser, path) == ["yes"]


def test_a_chip_says_what_is_listed_and_leads_out(history: History, browser: Client) -> None:
    alert = history.alert(window="5m")
    history.label(yes=2)
    history.minute()
    path = path_of(browser, alert)
    page = Page(browser.get(path).text)
    assert "settled: 20 Nov 11:56 to 12:01 UTC" in page.main.text
    assert "whatever the range" in page.main.text
    assert not [label for label in page.labels if label.startswith("Rates and coverage")]
    out = Page(browser.get(path.partition("?")[0] + page.link("Show labels of any time of settling")).text)
    assert [label for label in out.labels if label.startswith("Rates and coverage")]
    assert "settled:" not in out.main.text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("settled=2026-11-20T11:56/2026-11-20T12:01", "Choose a version, too"),
        ("settled=2026-11-20T11:56/2026-11-20T12:01&version=all", "Choose a version, too"),
        ("settled=2026-11-20T11:56&version=1", "Enter two times with a slash between."),
        ("settled=2026-11-20T12:01/2026-11-20T11:56&version=1", "Enter two times with a slash between."),
        ("settled=a/b&version=1", "Enter two times with a slash between."),
        ("judged=soon", "Enter a time."),
    ],
)
def test_what_can_not_be_applied_says_so(history: History, browser: Client, query: str, said: str) -> None:
    text = Page(browser.get(f"{history.signal.get_absolute_url()}?{query}").text).main.text
    assert "Not applied. " in text
    assert said in text


def test_the_export_has_the_labels_of_the_window(history: History, browser: Client) -> None:
    alert = history.alert(window="5m")
    history.label(yes=2)
    history.minute(13)
    history.label(yes=1)
    query = path_of(browser, alert, event=1).partition("?")[2]
    answer = browser.get(f"{history.signal.get_absolute_url()}labels/?{query}&as=jsonl")
    lines = b"".join(answer.streaming_content).splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 2


def test_the_newest_window_leads_to_its_labels(history: History, browser: Client) -> None:
    alert = history.alert(window="5m", threshold=1.0)
    history.label(yes=1, no=4)
    history.minute()
    page = Page(browser.get(alert.get_absolute_url()).text)
    assert sorted(rows_of(browser, page.main.link("5"))) == ["no"] * 4 + ["yes"]


def test_claims_in_flight_are_not_counted(history: History, browser: Client) -> None:
    alert = history.alert(window="5m")
    history.label(yes=3)
    history.settle(1)
    assert len(claims.claim(1, LEASE, history.now)) == 1
    history.minute(16)
    assert number_of(alert) == 3
    assert rows_of(browser, path_of(browser, alert)) == ["yes"] * 3
