"""A member who looks at an agent."""

from collections.abc import Callable

import pytest
from django.test import Client

from catalyst.agents.models import Agent
from catalyst.core.models import Project, User
from tests.factories import make_agent


@pytest.fixture
def browser(client_as: Callable[[User], Client], bob: User) -> Client:
    """A member's."""
    return client_as(bob)


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


def tab_of(agent: Agent) -> str:
    return f"/p/default/agents/{agent.pk}/analysis/"
