"""Unarchived signals of one agent have different names."""

from datetime import datetime
from importlib import import_module

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client

from catalyst.agents.models import Agent
from catalyst.core.models import Project
from signals import operations
from signals.definitions.definition import Definition
from signals.models import Signal
from tests.factories import make_agent, make_signal
from tests.page import Page

BINARY = Definition("binary", "Is it?", 100)
TAKEN = "support-bot already has a signal with this name"


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


@pytest.fixture
def mood(agent: Agent) -> Signal:
    return make_signal(agent, name="Mood")


def names(agent: Agent) -> list[str]:
    return [signal.name for signal in Signal.objects.for_agent(agent).unarchived().order_by("pk")]


def test_a_second_one_of_a_name_is_refused(agent: Agent, mood: Signal, project: Project) -> None:
    with pytest.raises(ValidationError, match=TAKEN) as refused:
        operations.create_signal(agent, name=" Mood ", scope="span", definition=BINARY)
    assert list(refused.value.error_dict) == ["name"]
    other = make_signal(agent, name="Other")
    with pytest.raises(ValidationError, match=TAKEN):
        operations.rename(other, "Mood")
    assert names(agent) == ["Mood", "Other"]
    another = make_agent(project, "other-bot")
    operations.create_signal(another, name="Mood", scope="span", definition=BINARY)
    assert names(another) == ["Mood"]


def test_an_archived_one_frees_its_name_and_gets_a_number_when_it_returns(
    agent: Agent, mood: Signal, now: datetime
) -> None:
    operations.archive(mood, now)
    operations.create_signal(agent, name="Mood", scope="span", definition=BINARY)
    operations.unarchive(mood)
    assert mood.name == "Mood (2)"
    assert names(agent) == ["Mood (2)", "Mood"]


def test_signals_of_merged_agents_get_numbers(agent: Agent, mood: Signal, project: Project, now: datetime) -> None:
    into = make_agent(project, "other-bot")
    for name in ("Mood", "Mood (2)", "M" * 100):
        make_signal(into, name=name)
    make_signal(agent, name="M" * 100)
    operations.archive(make_signal(agent, name="Old"), now)
    operations.move_signals(agent, into)
    assert sorted(names(into)) == sorted(["Mood", "Mood (2)", "Mood (3)", "M" * 100, "M" * 96 + " (2)"])
    assert Signal.objects.get(name="Old").agent == into


def test_the_editor_says_it_beside_the_name(browser: Client, mood: Signal) -> None:
    path = "/p/default/signals/new/?template=laziness"
    filled = Page(browser.get(path).text).form(path).filled
    page = Page(browser.post(path, filled | {"name": "Mood"}).text)
    assert page.part("row-name").errors == [TAKEN]
    assert Signal.objects.count() == 1


def test_a_duplicate_suggests_a_free_name_and_refuses_a_taken_one(browser: Client, agent: Agent, mood: Signal) -> None:
    path = f"/p/default/signals/{mood.pk}/duplicate/"
    assert Page(browser.get(path).text).field("Name").value == "Mood (2)"
    page = Page(browser.post(path, {"agent": agent.pk, "name": "Mood"}).text)
    assert TAKEN in page.errors


def test_an_upgrade_numbers_duplicates(agent: Agent, mood: Signal, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX signals_signal_name_of_agent")
    for name in ("Other", "Mood (2)", "Gone"):
        make_signal(agent, name=name)
    Signal.objects.filter(name__in=["Other", "Gone"]).update(name="Mood")
    operations.archive(Signal.objects.latest("pk"), now)
    import_module("signals.migrations.0027_names_of_signals").number_duplicates(apps, None)
    assert names(agent) == ["Mood", "Mood (3)", "Mood (2)"]
    assert Signal.objects.latest("pk").name == "Mood"
