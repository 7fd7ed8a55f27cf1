"""The frame of every page, and the way back to the project that was opened last."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client

from catalyst.core.models import Membership, Project, User
from signals import operations
from tests.factories import make_agent, make_signal
from tests.page import Page

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HTMX = {"HX-Request": "true"}


@pytest.fixture
def zoo(bob: User) -> Project:
    """Bob's other project, the last by name."""
    project = Project.objects.create(name="Zoo", slug="zoo")
    Membership.objects.create(project=project, user=bob, role="viewer")
    return project


@pytest.fixture
def browser(client_as: Callable[[User], Client], bob: User) -> Client:
    """Bob's browser."""
    return client_as(bob)


def test_it_opens_the_first_project_by_name(browser: Client, zoo: Project) -> None:
    assert browser.get("/").headers["Location"] == "/p/default/traces/"


def test_it_opens_the_project_opened_last(browser: Client, zoo: Project) -> None:
    browser.get("/p/default/agents/")
    browser.get("/p/zoo/agents/")
    browser.get("/p/default/agents/", headers=HTMX)
    assert browser.get("/").headers["Location"] == "/p/zoo/traces/"


def test_it_opens_no_project_that_one_was_taken_out_of(browser: Client, zoo: Project) -> None:
    browser.get("/p/zoo/agents/")
    Membership.objects.filter(project=zoo).delete()
    assert browser.get("/").headers["Location"] == "/p/default/traces/"


def test_it_forgets_the_project_when_signing_out(browser: Client, bob: User, zoo: Project) -> None:
    browser.get("/p/zoo/agents/")
    browser.post("/logout/")
    browser.force_login(bob)
    assert browser.get("/").headers["Location"] == "/p/default/traces/"


def test_it_counts_what_agents_and_signals_list(browser: Client, project: Project, zoo: Project) -> None:
    assert {"Agents", "Signals"} <= {text for text, _ in Page(browser.get("/p/zoo/agents/").text).region("Main").links}
    agents = [make_agent(project, f"bot {number}") for number in range(99)]
    make_signal(agents[0], name="Kept")
    operations.archive(make_signal(agents[0], name="Archived"), NOW)
    page = Page(browser.get("/p/default/signals/").text)
    assert page.region("Main").has_link("Agents 99")
    assert page.region("Main").has_link("Signals 1")
    assert len(page.table().rows) == 1
    make_agent(project, "bot 99")
    assert Page(browser.get("/p/default/signals/").text).region("Main").has_link("Agents 99+")


def test_its_range_goes_along(browser: Client, zoo: Project) -> None:
    page = Page(browser.get("/p/default/agents/?range=7d&after=3&status=ok").text)
    rail = page.region("Main")
    assert rail.link("Traces") == "/p/default/traces/?range=7d"
    assert rail.link("Settings") == "/p/default/settings/?range=7d"
    assert page.link("Zoo") == "/p/zoo/agents/?range=7d"
    custom = Page(browser.get("/p/default/agents/?from=2026-11-01T10:00&to=2026-11-01T12:00").text)
    assert custom.region("Main").link("Signals") == "/p/default/signals/?from=2026-11-01T10%3A00&to=2026-11-01T12%3A00"
    assert "1 Nov 10:00 to 12:00 UTC" in custom.region("Time range").text
    assert (
        Page(browser.get("/p/default/traces/?range=999d").text).region("Main").link("Signals") == "/p/default/signals/"
    )


@pytest.mark.parametrize("path", ["/profile/", "/projects/new/"])
def test_it_frames_pages_outside_of_projects(
    client_as: Callable[[User], Client], alice: User, zoo: Project, path: str
) -> None:
    page = Page(client_as(alice).get(path).text)
    assert page.region("Main").link("Signals") == "/p/default/signals/"
    assert "Zoo" not in page.text
    stranger = client_as(User.objects.create_user("stranger")).get(path)
    assert stranger.status_code == 200
    assert not [address for _, address in Page(stranger.text).links if address.startswith("/p/")]
