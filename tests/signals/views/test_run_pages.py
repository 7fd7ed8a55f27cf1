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
from tests.factories import make_agent, make_signal, make_trace, settle_all
from tests.judge_server import JudgeServer

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


def test_its_form_begins_with_all_of_the_last_week(browser: Client, signal: Signal, project: Project) -> None:
    text = browser.get(url(signal)).text
    window = {name: text.split(f'name="{name}" value="')[1].split('"')[0] for name in ("start", "end")}
    make_trace(project, now=timezone.now())
    assert "matching trace:" in browser.get(url(signal, "preview/"), window | {"sample_rate": 100}, headers=HTMX).text
    length = datetime.fromisoformat(window["end"]) - datetime.fromisoformat(window["start"])
    assert length == timedelta(days=7)


@pytest.mark.usefixtures("traces")
def test_a_preview_tells_count_and_price_and_starts_nothing(
    browser: Client, signal: Signal, now: datetime, judge: JudgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalyst.env.env.judge_model", "gpt-4o-mini")
    text = browser.get(url(signal, "preview/"), asked(now), headers=HTMX).text
    assert "<b>3</b> of" in text
    assert "<b>3</b> to judge" in text
    assert "About <b>$0.0" in text
    assert "from the length of" in text
    assert "<html" not in text
    assert not SignalRun.objects.exists()
    assert not judge.asked


@pytest.mark.usefixtures("traces")
def test_a_preview_says_when_no_price_is_known(
    browser: Client, signal: Signal, now: datetime, judge: JudgeServer
) -> None:
    assert "judge-1 has no public price" in browser.get(url(signal, "preview/"), asked(now), headers=HTMX).text


def test_a_preview_of_nonsense_says_what_is_wrong(browser: Client, signal: Signal, now: datetime) -> None:
    response = browser.get(url(signal, "preview/"), asked(now, sample_rate=500), headers=HTMX)
    assert response.status_code == 200
    assert "from 0 to 100" in response.text


@pytest.mark.usefixtures("traces")
def test_it_runs_shows_progress_and_stops_asking_when_it_has_ended(
    browser: Client, signal: Signal, now: datetime
) -> None:
    response = browser.post(url(signal, "new/"), asked(now), follow=True)
    assert "The run has started" in response.text
    assert 'hx-trigger="every 2s"' in response.text
    while backfill.step(now + timedelta(minutes=2)):
        pass
    Label.objects.filter(pk=Label.objects.earliest("pk").pk).update(status="done", value="yes", labelled_at=now)
    page = browser.get(url(signal), headers=HTMX)
    assert (page.status_code, "1 of 3" in page.text) == (200, True)
    assert 'hx-swap-oob="true" disabled' in " ".join(page.text.split())
    Label.objects.update(status="done", value="yes", labelled_at=now, cost=Decimal(0))
    while backfill.step(now + timedelta(minutes=3)):
        pass
    page = browser.get(url(signal), headers=HTMX)
    assert (page.status_code, "Done" in page.text) == (286, True)
    assert 'hx-swap-oob="true" >Run</button>' in " ".join(page.text.split())
    assert "run-ended" in page.headers["HX-Trigger"]


def test_it_cancels(browser: Client, signal: Signal, now: datetime) -> None:
    run = backfill.start(signal, start=now - timedelta(days=1), end=now, sample_rate=10, now=now)
    assert "Cancel</button>" in browser.get(url(signal)).text
    text = browser.post(url(signal, f"{run.pk}/cancel/"), follow=True).text
    assert "The run is cancelled" in text
    assert "Cancel</button>" not in text


def test_it_says_why_a_second_run_can_t_start(browser: Client, signal: Signal, now: datetime) -> None:
    backfill.start(signal, start=now - timedelta(days=1), end=now, sample_rate=10, now=now)
    response = browser.post(url(signal, "new/"), asked(now))
    assert (response.status_code, "is under way" in response.text) == (422, True)


def test_a_run_of_another_signal_can_t_be_cancelled_here(browser: Client, signal: Signal, now: datetime) -> None:
    other = make_signal(signal.agent, name="Other")
    run = backfill.start(other, start=now - timedelta(days=1), end=now, sample_rate=10, now=now)
    assert browser.post(url(signal, f"{run.pk}/cancel/")).status_code == 404


def test_a_viewer_sees_runs_only(client_as: Callable[[User], Client], viewer: User, signal: Signal) -> None:
    text = client_as(viewer).get(url(signal)).text
    assert "No run yet" in text
    assert "Judge what is stored" not in text


def test_older_runs_are_on_the_next_page(browser: Client, signal: Signal, now: datetime) -> None:
    window = {"window_start": now - timedelta(days=1), "window_end": now, "sample_rate": 10, "state": "cancelled"}
    SignalRun.objects.bulk_create(SignalRun(version=signal.current_version, **window) for _ in range(22))
    first = browser.get(url(signal)).text
    assert first.count('<tr id="run-') == 20
    oldest = min(SignalRun.objects.order_by("-pk")[:20].values_list("pk", flat=True))
    second = browser.get(url(signal), {"before": oldest}).text
    assert second.count('<tr id="run-') == 2
