"""What people do with signals is in the audit log of their project."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client

from catalyst.core.actor import Actor
from catalyst.core.models import Project, User
from signals import operations
from signals.definitions.definition import Definition
from tests.factories import make_agent, make_signal

EDITED = Definition(type="binary", prompt="Now?", sample_rate=10)


def log(project: Project) -> list[tuple[str, str, str]]:
    """Who did what to which signal, oldest first."""
    entries = project.audit_entries.order_by("pk")
    return [(entry.actor_name, entry.action, entry.target_name) for entry in entries if entry.kind == "signal"]


def test_it_notes_every_change_once(project: Project, alice: User, bob: User, now: datetime) -> None:
    signal = make_signal(make_agent(project), name="Refund")
    for _ in range(2):
        operations.activate(signal, now, Actor(alice))
        operations.publish_version(signal, EDITED, Actor(alice))
        operations.rename(signal, "Refund wanted", Actor(alice))
    for _ in range(2):
        operations.archive(signal, now, Actor(bob))
    for _ in range(2):
        operations.unarchive(signal, Actor(bob))
    assert log(project) == [
        ("Catalyst", "created", "Refund"),
        ("alice", "activated", "Refund"),
        ("alice", "published", "Refund"),
        ("alice", "renamed", "Refund wanted"),
        ("bob", "disabled", "Refund wanted"),
        ("bob", "archived", "Refund wanted"),
        ("bob", "unarchived", "Refund wanted"),
    ]


@pytest.mark.parametrize("action", ["activate", "disable", "archive", "unarchive"])
def test_it_names_who_pressed_the_button(
    client_as: Callable[[User], Client], bob: User, project: Project, now: datetime, action: str
) -> None:
    signal = make_signal(make_agent(project), active_since=now if action == "disable" else None)
    if action == "unarchive":
        operations.archive(signal, now)
    assert client_as(bob).post(f"/p/default/signals/{signal.pk}/{action}/").status_code == 302
    assert log(project)[-1] == ("bob", f"{action.removesuffix('e')}ed", "Refund wanted")
