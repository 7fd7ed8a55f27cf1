"""What stops without a connection or a channel: schedules, too."""

from datetime import datetime

import pytest

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from catalyst.llms import connections
from catalyst.registry import ChannelUse, users_of
from halo.schedules import writes
from tests.factories import make_agent, make_channel, make_connection
from tests.halo.schedules.definitions import make_schedule

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


def test_a_connection_names_the_schedules_that_ask_it(agent: Agent, now: datetime) -> None:
    connection = make_connection(agent.project, now=now)
    schedule = make_schedule(agent, now=now, connection=connection.pk)
    assert connections.names_of_users(connection) == ["Nightly"]
    writes.archive(schedule, now)
    assert connections.names_of_users(connection) == []


def test_a_channel_names_the_schedules_that_tell_it(agent: Agent, now: datetime) -> None:
    channel = make_channel(agent.project, now=now)
    make_schedule(agent, now=now, channels=[channel.pk])
    assert [name for name, _ in users_of(ChannelUse, [channel.pk])[channel.pk]] == ["Nightly"]
