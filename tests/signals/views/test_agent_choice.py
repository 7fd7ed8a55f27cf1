"""A project with many agents lists some of them, and finds the others by name."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from catalyst.agents.models import Agent
from catalyst.core.models import Project, User
from signals.forms.signal import MAX_LISTED_AGENTS
from signals.models import Signal
from tests.factories import make_agent, make_signal

pytestmark = pytest.mark.django_db


@pytest.fixture
def many(project: Project) -> list[Agent]:
    return [make_agent(project, f"agent {number:03d}") for number in range(MAX_LISTED_AGENTS + 10)]


@pytest.fixture
def page(client_as: Callable[[User], Client], alice: User, project: Project) -> Callable[..., str]:
    client = client_as(alice)

    def page(name: str, *arguments: object, **query: str) -> str:
        return client.get(reverse(name, args=[project.slug, *arguments]), query).content.decode()

    return page


def options(text: str) -> list[str]:
    return [line.partition(">")[2].partition("<")[0] for line in text.split("<option")[1:] if "agent 0" in line]


def test_few_agents_are_listed_without_a_search(project: Project, page: Callable[..., str]) -> None:
    make_agent(project, "agent 001")
    text = page("signals:signal-create")
    assert "Find an agent" not in text
    assert options(text) == ["for agent 001"]


def test_many_agents_are_searched(many: list[Agent], page: Callable[..., str]) -> None:
    text = page("signals:signal-create")
    assert "Find an agent" in text
    assert len(options(text)) == MAX_LISTED_AGENTS
    assert options(page("signals:agent-choices", agent_text="T 057")) == ["agent 057"]
    assert len(options(page("signals:agent-choices"))) == MAX_LISTED_AGENTS
    assert "No agent has this name" in page("signals:agent-choices", agent_text="nobody")


def test_the_chosen_agent_is_always_listed(many: list[Agent], page: Callable[..., str]) -> None:
    text = page("signals:signal-create", agent=many[-1].identity)
    assert f'<option value="{many[-1].pk}" selected>' in text


def test_a_signal_of_an_agent_that_was_searched_is_saved(
    client_as: Callable[[User], Client], alice: User, project: Project, many: list[Agent]
) -> None:
    sent = {"agent": many[-1].pk, "name": "Found", "scope": "trace", "type": "binary", "prompt": "Is it?", "bad": "yes"}
    url = reverse("signals:signal-create", args=[project.slug])
    response = client_as(alice).post(url, sent | {"sample_rate": "100", "sample_rate_other": ""})
    assert (response.status_code, Signal.objects.get().agent) == (302, many[-1])


def test_a_duplicate_can_go_to_any_agent(many: list[Agent], page: Callable[..., str], now: datetime) -> None:
    signal = make_signal(many[0], active_since=now)
    text = page("signals:signal-duplicate", signal.pk)
    assert "Find an agent" in text
    assert len(options(text)) == MAX_LISTED_AGENTS


def test_agents_of_other_projects_are_not_found(other_project: Project, page: Callable[..., str]) -> None:
    make_agent(other_project, "agent 007")
    assert options(page("signals:agent-choices", agent_text="agent")) == []
