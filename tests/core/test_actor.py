"""Who acts, in the audit log and on pages: a person, an API key or Catalyst itself."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.utils import timezone

from catalyst.core import operations
from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.models import ApiKey, AuditEntry, Project, User
from signals.models import Signal
from signals.operations import duplicate
from signals.runs import backfill
from tests.factories import make_agent, make_signal
from tests.page import Page

BEFORE = [("core", "0004_retention"), ("signals", "0014_help_texts"), ("agents", "0001_initial")]


@pytest.fixture
def key(project: Project) -> ApiKey:
    """A key of the project."""
    return ApiKey.issue(project=project, name="ci", scopes=["write"])[0]


def test_it_names_the_actor_of_an_entry_for_good(project: Project, alice: User, key: ApiKey) -> None:
    for number, actor in enumerate((Actor(alice), Actor(api_key=key), SYSTEM)):
        operations.rename_project(project, name=f"Name {number}", by=actor)
    entries = AuditEntry.objects.order_by("pk")
    assert [(each.actor, each.api_key, each.actor_name) for each in entries] == [
        (alice, None, "alice"),
        (None, key, f"API key {key}"),
        (None, None, "Catalyst"),
    ]
    alice.delete()
    key.delete()
    assert [(each.actor, each.api_key) for each in entries.all()] == [(None, None)] * 3
    assert [each.actor_name for each in entries.all()] == ["alice", f"API key {key}", "Catalyst"]


@pytest.mark.real_clock
def test_it_shows_what_a_key_made(
    client_as: Callable[[User], Client], alice: User, project: Project, key: ApiKey
) -> None:
    now, machine = timezone.now(), Actor(api_key=key)
    copy = duplicate(make_signal(make_agent(project)), make_agent(project), "Copy", by=machine)
    backfill.start(copy, start=now - timedelta(days=1), end=now, sample_rate=10, now=now, by=machine)
    operations.invite(project, role="member", by=machine, now=now)
    operations.create_key(project, name="other", scopes=["read"], by=machine)
    assert copy.current_version is not None
    assert copy.created_by_key == copy.current_version.created_by_key == key
    client, signal = client_as(alice), f"/p/default/signals/{copy.pk}"
    settings = "/p/default/settings"
    for page in (f"{signal}/versions/", f"{signal}/runs/", f"{settings}/members/", f"{settings}/keys/"):
        assert "by API key ci" in Page(client.get(page).text).text, page
    assert "API key ci" in Page(client.get(f"{settings}/audit/").text).text


def test_it_shows_who_made_something_after_they_left(
    client_as: Callable[[User], Client], alice: User, bob: User, project: Project, now: datetime
) -> None:
    operations.create_key(project, name="ci", scopes=["read"], by=Actor(bob))
    bob.delete()
    assert "by bob" in Page(client_as(alice).get("/p/default/settings/keys/").text).text


@pytest.fixture
def earlier_tables(transactional_db: None) -> Iterator[MigrationExecutor]:
    """The tables as they were before an actor could be anything but a person; brought up to date at the end."""
    executor = MigrationExecutor(connection)
    newest = executor.loader.graph.leaf_nodes()
    executor.migrate(BEFORE)
    yield MigrationExecutor(connection)
    MigrationExecutor(connection).migrate(newest)


@pytest.mark.slow
def test_an_upgrade_keeps_entries_and_names_who_made_rows(earlier_tables: MigrationExecutor, now: datetime) -> None:
    apps = earlier_tables.loader.project_state(BEFORE).apps
    user = apps.get_model("core", "User").objects.create(username="ada")
    project = apps.get_model("core", "Project").objects.create(name="Default", slug="default")
    keys = apps.get_model("core", "ApiKey").objects
    keys.create(project=project, name="by a person", digest="1", scopes=["read"], created_by=user)
    keys.create(project=project, name="by nobody", digest="2", scopes=["read"])
    agent = apps.get_model("agents", "Agent").objects.create(
        project=project, name="bot", identity="bot", first_seen_at=now
    )
    apps.get_model("signals", "Signal").objects.create(
        project=project, agent=agent, name="Refund", scope="trace", created_by=user
    )
    entries = apps.get_model("core", "AuditEntry").objects
    for actor, name in ((user, "ada"), (None, "Catalyst")):
        entries.create(
            project=project, actor=actor, actor_name=name, action="renamed", kind="project", target_id=project.pk
        )
    earlier_tables.migrate(earlier_tables.loader.graph.leaf_nodes())
    kept = AuditEntry.objects.order_by("pk")
    assert [(each.actor_id, each.api_key_id, each.actor_name) for each in kept] == [
        (user.pk, None, "ada"),
        (None, None, "Catalyst"),
    ]
    made = ApiKey.objects.order_by("pk").values_list("name", "created_by_name", "created_by_key")
    assert Signal.objects.get().created_by_name == "ada"
    assert list(made) == [("by a person", "ada", None), ("by nobody", "", None)]
