"""The signals of one agent, as a tab and as a section of its overview."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst.core.models import Project, User
from signals import operations
from signals.definitions import definition
from signals.models import Label, Signal
from tests.factories import make_agent, make_labels, make_signal, make_trace, settle_all

pytestmark = pytest.mark.real_clock

HTMX = {"HX-Request": "true"}


def page_of(project: Project) -> str:
    return f"/p/default/agents/{make_agent(project).pk}/signals/"


def test_it_shows_what_the_signals_of_the_agent_found(browser: Client, project: Project, now: datetime) -> None:
    agent = make_agent(project)
    signal = make_signal(agent, name="Refund <wanted>", active_since=now - timedelta(hours=1))
    for label, value in zip(make_labels(signal, project, 4, now=now), ("yes", "no", "no", "no"), strict=True):
        Label.objects.filter(pk=label.pk).update(status="done", value=value, labelled_at=now)
    make_signal(agent, name="Still a draft")
    make_signal(make_agent(project, "other"), name="Of another agent")
    operations.archive(make_signal(agent, name="Put away"), now)
    text = browser.get(page_of(project)).text
    assert "Refund &lt;wanted&gt;" in text
    assert "yes 25.0%" in text
    assert ">4<span" in text
    assert signal.get_absolute_url() in text
    assert "Still a draft" in text
    assert "Not running yet" in text
    assert "Of another agent" not in text
    assert "Put away" not in text


def test_it_is_a_section_for_htmx(browser: Client, project: Project) -> None:
    make_signal(make_agent(project))
    response = browser.get(page_of(project), headers=HTMX)
    assert response.text.strip().startswith('<section class="rates gap-below" id="agent-signals"')
    assert "<html" not in response.text
    assert "HX-Request" in response.headers["Vary"]


def test_it_offers_the_first_signal(
    browser: Client, client_as: Callable[[User], Client], viewer: User, project: Project
) -> None:
    text = browser.get(page_of(project)).text
    assert "No signal judges" in text
    assert "/signals/new/?agent=support-bot" in text
    assert "/signals/new/" not in client_as(viewer).get(page_of(project)).text


def test_it_asks_as_often_for_many_signals_as_for_few(browser: Client, project: Project, now: datetime) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(page_of(project)).status_code == 200
        return len(captured)

    for number in range(10):
        make_signal(make_agent(project), name=f"Signal {number}", active_since=now)
    few = queries()
    for number in range(10, 20):
        make_signal(make_agent(project), name=f"Signal {number}", active_since=now)
    assert queries() == few


def label_all(signal: Signal, values: Sequence[str], first: int, *, now: datetime) -> None:
    """Runs from number `first` on that began at `now`, labelled with these values."""
    project = signal.project
    for number in range(first, first + len(values)):
        make_trace(project, number, now=now, agent=signal.agent.identity)
    settle_all(now)
    for number, value in enumerate(values, first):
        labels = Label.objects.filter(signal=signal, trace_id=UUID(int=number))
        labels.update(status="done", value=value, labelled_at=now)


def test_it_shows_how_often_the_bad_label_is_given_against_the_period_before(
    browser: Client, project: Project, now: datetime
) -> None:
    then = now - timedelta(hours=30)
    signal = make_signal(make_agent(project), active_since=now - timedelta(days=3))
    label_all(signal, ["yes"] * 2 + ["no"] * 38, 1, now=then)
    label_all(signal, ["yes"] * 30 + ["no"] * 10, 41, now=now)
    section = browser.get(page_of(project), headers=HTMX).text
    assert '<b class="negative">75.0%</b>' in section
    assert re.search(r'class="delta bad" title="from 5.0%">\s*up 70.0 points<', section)
    assert f'href="{signal.get_absolute_url()}' in section


def test_it_leaves_grey_what_may_be_chance(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(days=3))
    label_all(signal, ["yes", "no", "no", "no"], 1, now=now - timedelta(hours=30))
    label_all(signal, ["yes", "yes", "no", "no"], 5, now=now)
    section = browser.get(page_of(project), headers=HTMX).text
    assert re.search(r'class="delta " title="from 25.0%">\s*up 25.0 points<', section)


def test_it_compares_with_nothing_less_than_the_whole_period_before(
    browser: Client, project: Project, now: datetime
) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(hours=40))
    label_all(signal, ["no"] * 4, 1, now=now - timedelta(hours=30))
    label_all(signal, ["yes"] * 4, 5, now=now)
    section = browser.get(page_of(project), headers=HTMX).text
    assert "100%</b>" in section
    assert " points<" not in section


def test_it_compares_no_version_with_another(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(days=3))
    label_all(signal, ["no"] * 4, 1, now=now - timedelta(hours=30))
    operations.publish_version(signal, definition.Definition(type="binary", prompt="Now?", sample_rate=100))
    label_all(signal, ["yes"] * 4, 5, now=now)
    section = browser.get(page_of(project), headers=HTMX).text
    assert "100%</b>" in section
    assert " points<" not in section
    week = " ".join(browser.get(page_of(project), {"range": "7d"}, headers=HTMX).text.split())
    assert "8 labels of v1 to v2, 100% of sampled" in week


def test_it_leaves_a_gap_where_nothing_was_judged(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(days=3))
    for first, hours in enumerate((9, 8, 2), 1):
        label_all(signal, ["yes"], first, now=now - timedelta(hours=hours))
    assert browser.get(page_of(project), headers=HTMX).text.count("<polyline") == 2


def test_it_lists_the_names_of_those_that_do_not_fit(browser: Client, project: Project, now: datetime) -> None:
    for number in range(6):
        make_signal(make_agent(project), name=f"Signal {number}", active_since=now)
    section = browser.get(page_of(project), headers=HTMX).text
    assert section.count("<figure") == 3
    assert all(f"Signal {number}" in section for number in range(6))
    assert "All signals" in section


def test_it_says_how_many_labels_a_rate_is_of_and_what_they_cost(
    browser: Client, project: Project, now: datetime
) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(hours=1))
    first, second, third, _ = (label.pk for label in make_labels(signal, project, 4, now=now))
    Label.objects.filter(pk__in=[first, second]).update(status="done", value="yes", labelled_at=now, cost="0.01")
    Label.objects.filter(pk=third).update(status="failed", error="The judge is broken.")
    text = " ".join(re.sub(r"<[^>]*>", "", browser.get(page_of(project), headers=HTMX).text).split())
    assert "2 labels, 50.0% of sampled" in text
    assert "$0.0200 1 failed" in text


@pytest.mark.parametrize("query", ["range=1h", "range=1d", "range=7d"])
def test_it_draws_what_failed_and_what_judging_cost(
    browser: Client, project: Project, now: datetime, query: str
) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(hours=1))
    first, second = (label.pk for label in make_labels(signal, project, 2, now=now))
    Label.objects.filter(pk=first).update(status="done", value="yes", labelled_at=now)
    section = browser.get(f"{page_of(project)}?{query}", headers=HTMX).text
    assert 'aria-label="Cost over' not in section
    assert 'aria-label="Failed over' not in section
    Label.objects.filter(pk=first).update(cost="0.01")
    Label.objects.filter(pk=second).update(status="failed", error="The judge is broken.")
    section = browser.get(f"{page_of(project)}?{query}", headers=HTMX).text
    drawn = dict(
        re.findall(r'aria-label="(Cost|Failed) over [^>]*>\s*<polyline class="[^"]*" points="([^"]*)"', section)
    )
    assert set(drawn) == {"Cost", "Failed"}
    for points in drawn.values():
        heights = [float(point.split(",")[1]) for point in points.split()]
        assert heights.count(1) == 1
        assert heights.count(21) == len(heights) - 1
