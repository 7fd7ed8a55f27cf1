"""The runs of a signal, as pages."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from catalyst.core.models import Project, User
from signals.models import Label, Signal, SignalRun
from signals.runs import backfill
from tests.factories import make_agent, make_label, make_signal, make_trace, settle_all
from tests.judge_server import JudgeServer
from tests.page import Page

pytestmark = pytest.mark.real_clock

HTMX = {"HX-Request": "true"}


@pytest.fixture
def signal(project: Project) -> Signal:
    """A draft about traces."""
    return make_signal(make_agent(project))


@pytest.fixture
def traces(project: Project, now: datetime) -> None:
    """Three of them, settled."""
    for number in range(1, 4):
        make_trace(project, number, now=now)
    settle_all(now)


def asked(now: datetime, **about: int) -> dict[str, str | int]:
    time = "%Y-%m-%dT%H:%M"
    start, end = now - timedelta(days=1), now + timedelta(minutes=1)
    window: dict[str, str | int] = {"start": f"{start:{time}}", "end": f"{end:{time}}", "sample_rate": 100}
    return window | about


def url(signal: Signal, rest: str = "") -> str:
    return f"/p/default/signals/{signal.pk}/runs/{rest}"


def progress(browser: Client, signal: Signal) -> tuple[int, str, bool]:
    """What a poll answers: its status, the progress of the only run, and whether another one may start."""
    response = browser.get(url(signal), headers=HTMX)
    page = Page(response.text)
    (button,) = page.all("//button[normalize-space()='Backfill']")
    words = page.table().row(1)["Progress"].split(",")[0]
    return response.status_code, words, button.element.get("disabled") is None


def test_its_form_begins_with_all_of_the_last_week(browser: Client, signal: Signal, project: Project) -> None:
    window = Page(browser.get(url(signal)).text).region("Backfill").forms[0].filled
    make_trace(project, now=timezone.now())
    preview = browser.get(url(signal, "preview/"), window | {"sample_rate": "100"}, headers=HTMX)
    assert "1 matching trace, 1 sampled at 100%: 1 to judge." in Page(preview.text).text
    length = datetime.fromisoformat(window["end"]) - datetime.fromisoformat(window["start"])
    assert length == timedelta(days=7)


@pytest.mark.usefixtures("traces")
def test_a_preview_tells_count_and_price_and_starts_nothing(
    browser: Client, signal: Signal, now: datetime, judge: JudgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalyst.env.env.judge_model", "gpt-4o-mini")
    part = Page(browser.get(url(signal, "preview/"), asked(now), headers=HTMX).text)
    assert not part.is_whole
    assert "3 matching traces, 3 sampled at 100%: 3 to judge." in part.text
    assert "About $0.0" in part.text
    assert "estimated from 3 prompts" in part.text
    assert not SignalRun.objects.exists()
    assert not judge.asked


@pytest.mark.usefixtures("traces")
def test_a_preview_says_what_became_of_targets_that_the_version_knows(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    for number, status in enumerate(("failed", "queued"), start=1):
        label = make_label(signal, number, now=now, status=status)
        Label.objects.filter(pk=label.pk).update(target_key=project.traces.order_by("pk")[number - 1].trace_id.hex)
    part = Page(browser.get(url(signal, "preview/"), asked(now), headers=HTMX).text)
    assert "3 matching traces, 3 sampled at 100%: 1 to judge." in part.text
    known = (
        "The backfill leaves 2 as they are, because v1 has judged or queued them: 0 with a label, 1 failed, 1 pending."
    )
    assert known in part.text
    assert part.link("Results") == f"{signal.get_absolute_url()}#going"


@pytest.mark.usefixtures("traces")
def test_a_preview_says_when_no_price_is_known(
    browser: Client, signal: Signal, now: datetime, judge: JudgeServer
) -> None:
    part = Page(browser.get(url(signal, "preview/"), asked(now), headers=HTMX).text)
    assert "no price for judge-1" in part.text


def test_its_form_begins_with_the_range_of_the_page(browser: Client, signal: Signal, now: datetime) -> None:
    page = Page(browser.get(url(signal), {"from": "2026-11-01T00:00", "to": "2026-11-02T00:00", "rate": "25"}).text)
    filled = page.form("new/?from=2026-11-01T00%3A00&to=2026-11-02T00%3A00&rate=25").filled
    assert (filled["start"], filled["end"], filled["sample_rate"]) == ("2026-11-01T00:00", "2026-11-02T00:00", "25")


def test_a_preview_says_that_the_dates_are_reversed(browser: Client, signal: Signal, now: datetime) -> None:
    window = asked(now)
    window |= {"start": window["end"], "end": window["start"]}
    part = Page(browser.get(url(signal, "preview/"), window, headers=HTMX).text)
    assert "From must be before To" in part.text
    assert "0 matching" not in part.text


def test_a_preview_without_javascript_puts_no_token_into_an_address(
    browser: Client, signal: Signal, now: datetime
) -> None:
    page = Page(browser.get(url(signal)).text)
    (button,) = page.all("//button[normalize-space()='Preview']")
    assert button.element.get("formmethod") is None
    response = browser.post(url(signal, "preview/"), asked(now))
    assert "0 matching traces, 0 sampled at 100%: 0 to judge." in Page(response.text).text
    assert not SignalRun.objects.exists()


def test_a_preview_of_nonsense_says_what_is_wrong(browser: Client, signal: Signal, now: datetime) -> None:
    response = browser.get(url(signal, "preview/"), asked(now, sample_rate=500), headers=HTMX)
    assert response.status_code == 200
    assert ["from 0 to 100" in error for error in Page(response.text).errors] == [True]


@pytest.mark.usefixtures("traces")
def test_it_runs_shows_progress_and_stops_asking_when_it_has_ended(
    browser: Client, signal: Signal, now: datetime
) -> None:
    page = Page(browser.post(url(signal, "new/"), asked(now), follow=True).text)
    assert "Backfill started" in page.text
    assert page.polls == ["2s"]
    while backfill.step(now + timedelta(minutes=2)):
        pass
    Label.objects.filter(pk=Label.objects.earliest("pk").pk).update(status="done", value="yes", labelled_at=now)
    assert progress(browser, signal) == (200, "Judging 1 of 3 queued", False)
    Label.objects.update(status="done", value="yes", labelled_at=now, cost=Decimal(0))
    while backfill.step(now + timedelta(minutes=3)):
        pass
    assert progress(browser, signal) == (286, "Done", True)
    assert "run-ended" in browser.get(url(signal), headers=HTMX).headers["HX-Trigger"]


def test_it_cancels(browser: Client, signal: Signal, now: datetime) -> None:
    run = backfill.start(signal, start=now - timedelta(days=1), end=now, sample_rate=10, now=now)
    assert "Cancel" in Page(browser.get(url(signal)).text).table().buttons
    page = Page(browser.post(url(signal, f"{run.pk}/cancel/"), follow=True).text)
    assert "Backfill cancelled" in page.text
    assert page.table().row(1)["Progress"] == "Cancelled"
    assert page.table().buttons == []


def test_it_says_why_a_second_run_can_t_start(browser: Client, signal: Signal, now: datetime) -> None:
    backfill.start(signal, start=now - timedelta(days=1), end=now, sample_rate=10, now=now)
    response = browser.post(url(signal, "new/"), asked(now))
    assert response.status_code == 422
    assert "is already running" in Page(response.text).errors[0]


def test_a_run_of_another_signal_can_t_be_cancelled_here(browser: Client, signal: Signal, now: datetime) -> None:
    other = make_signal(signal.agent, name="Other")
    run = backfill.start(other, start=now - timedelta(days=1), end=now, sample_rate=10, now=now)
    assert browser.post(url(signal, f"{run.pk}/cancel/")).status_code == 404


def test_a_viewer_sees_runs_only(client_as: Callable[[User], Client], viewer: User, signal: Signal) -> None:
    page = Page(client_as(viewer).get(url(signal)).text)
    assert "No backfills yet" in page.headings
    assert "Backfill" not in page.headings


def test_older_runs_are_on_the_next_page(browser: Client, signal: Signal, now: datetime) -> None:
    window = {"window_start": now - timedelta(days=1), "window_end": now, "sample_rate": 10, "state": "cancelled"}
    SignalRun.objects.bulk_create(SignalRun(version=signal.current_version, **window) for _ in range(22))
    first = Page(browser.get(url(signal)).text)
    second = Page(browser.get(url(signal) + first.link("Older backfills")).text)
    keys = [row.attribute("id") for page in (first, second) for row in page.table().rows]
    assert len(first.table().rows) == 20
    assert keys == [f"run-{run.pk}" for run in SignalRun.objects.order_by("-pk")]
    assert not second.has_link("Older backfills")


@pytest.mark.usefixtures("traces")
def test_the_results_of_a_run_tell_its_own_figures_and_no_estimate(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    label = make_label(signal, now=now)
    Label.objects.filter(pk=label.pk).update(target_key=project.traces.earliest("pk").trace_id.hex)
    backfill.start(signal, start=now - timedelta(days=1), end=now + timedelta(minutes=1), sample_rate=70, now=now)
    while backfill.step(now + timedelta(minutes=2)):
        pass
    run = SignalRun.objects.get()
    queued = Label.objects.filter(run=run)
    failed = queued.latest("pk")
    queued.exclude(pk=failed.pk).update(status="done", value="yes", labelled_at=now)
    Label.objects.filter(pk=failed.pk).update(status="failed")
    row = Page(browser.get(url(signal)).text).table().row(1)
    assert row.links
    for count, results in row.links:
        page = Page(browser.get(results).text)
        assert len(page.rows) == int(count)
        assert f"3 traces matched, {run.sampled} of them sampled at 70%: the backfill queued {run.queued}" in page.text
        assert "Estimated from" not in page.text
