"""The signals of one agent, as a tab and as a section of its overview."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalyst.core.models import Project, User
from signals import actions
from signals.models import Label
from tests.factories import make_agent, make_labels, make_signal

HTMX = {"HX-Request": "true"}


@pytest.fixture
def now() -> datetime:
    """Pages ask the real clock."""
    return timezone.now()


@pytest.fixture
def browser(client_as: Callable[[User], Client], bob: User) -> Client:
    """Bob's browser."""
    return client_as(bob)


def page_of(project: Project) -> str:
    return f"/p/default/agents/{make_agent(project).pk}/signals/"


def test_it_shows_what_the_signals_of_the_agent_found(browser: Client, project: Project, now: datetime) -> None:
    agent = make_agent(project)
    signal = make_signal(agent, name="Refund <wanted>", active_since=now - timedelta(hours=1))
    for label, value in zip(make_labels(signal, project, 4, now=now), ("yes", "no", "no", "no"), strict=True):
        Label.objects.filter(pk=label.pk).update(status="done", value=value, labelled_at=now)
    make_signal(agent, name="Still a draft")
    make_signal(make_agent(project, "other"), name="Of another agent")
    actions.archive(make_signal(agent, name="Put away"), now)
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
    assert response.text.strip().startswith('<section class="card" id="agent-signals"')
    assert "<html" not in response.text
    assert "HX-Request" in response.headers["Vary"]


def test_it_offers_the_first_signal(
    browser: Client, client_as: Callable[[User], Client], viewer: User, project: Project
) -> None:
    text = browser.get(page_of(project)).text
    assert "No signal asks anything" in text
    assert "/signals/new/?agent=support-bot" in text
    assert "/signals/new/" not in client_as(viewer).get(page_of(project)).text


def test_it_asks_as_often_for_many_signals_as_for_few(browser: Client, project: Project) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(page_of(project)).status_code == 200
        return len(captured)

    for number in range(10):
        make_signal(make_agent(project), name=f"Signal {number}")
    few = queries()
    for number in range(10, 20):
        make_signal(make_agent(project), name=f"Signal {number}")
    assert queries() == few
