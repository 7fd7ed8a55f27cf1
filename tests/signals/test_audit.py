"""What people do with signals is in the audit log of their project."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.core.management import call_command
from django.test import Client

from catalyst.core.actor import Actor
from catalyst.core.models import Project, User
from signals import operations
from signals.definitions.definition import Definition
from signals.models import Label, Signal
from signals.runs import signal_tests
from tests.factories import make_agent, make_labels, make_signal
from tests.judge_server import JudgeServer

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
        ("Catalyst", "created", "Refund of support-bot"),
        ("alice", "activated", "Refund of support-bot"),
        ("alice", "saved a version of", "Refund of support-bot"),
        ("alice", "renamed", "Refund wanted of support-bot"),
        ("bob", "archived", "Refund wanted of support-bot"),
        ("bob", "unarchived", "Refund wanted of support-bot"),
    ]


@pytest.mark.parametrize("action", ["activate", "disable", "archive", "unarchive"])
def test_it_names_who_pressed_the_button(
    client_as: Callable[[User], Client], bob: User, project: Project, now: datetime, action: str
) -> None:
    signal = make_signal(make_agent(project), active_since=now if action == "disable" else None)
    if action == "unarchive":
        operations.archive(signal, now)
    assert client_as(bob).post(f"/p/default/signals/{signal.pk}/{action}/", {"sure": "yes"}).status_code == 302
    assert log(project)[-1] == ("bob", f"{action.removesuffix('e')}ed", "Refund wanted of support-bot")


def detail(project: Project) -> str:
    """The detail of the newest entry."""
    return project.audit_entries.latest("pk").detail


@pytest.fixture
def failed(project: Project, now: datetime, judge: JudgeServer) -> Signal:
    """A signal with two failed labels."""
    signal = make_signal(make_agent(project), active_since=now)
    make_labels(signal, project, 2, now=now)
    Label.objects.update(status="failed")
    return signal


def test_it_records_retries(client_as: Callable[[User], Client], bob: User, project: Project, failed: Signal) -> None:
    browser, url = client_as(bob), f"/p/default/signals/{failed.pk}"
    again = f"{url}/labels/{Label.objects.earliest('pk').pk}/retry/"
    browser.post(again)
    assert (log(project)[-1], detail(project)) == (
        ("bob", "retried labels of", "Refund wanted of support-bot"),
        "1 failed",
    )
    Label.objects.update(status="failed")
    browser.post(f"{url}/retry/")
    assert (log(project)[-1], detail(project)) == (
        ("bob", "retried labels of", "Refund wanted of support-bot"),
        "2 failed",
    )
    before = log(project)
    browser.post(again)
    browser.post(f"{url}/retry/")
    assert log(project) == before, "nothing failed meanwhile"


def test_it_records_retries_of_operators(
    client_as: Callable[[User], Client], project: Project, failed: Signal, now: datetime
) -> None:
    browser = client_as(User.objects.create_superuser("operator"))
    selected = list(Label.objects.values_list("pk", flat=True))
    browser.post("/admin/signals/label/", {"action": "retry", "_selected_action": selected})
    Label.objects.update(status="failed")
    browser.post("/admin/signals/signal/", {"action": "retry_failed", "_selected_action": [failed.pk]})
    assert log(project)[-2:] == [("operator", "retried labels of", "Refund wanted of support-bot")] * 2


def test_it_records_exports(
    client_as: Callable[[User], Client], viewer: User, project: Project, failed: Signal
) -> None:
    browser, url = client_as(viewer), f"/p/default/signals/{failed.pk}/labels/"
    browser.head(url)
    before = log(project)
    browser.get(f"{url}?from=2026-11-01T00:00&to=2026-11-08T00:00").getvalue()
    assert log(project) == [*before, ("viewer", "exported labels of", "Refund wanted of support-bot")]
    assert detail(project) == "from 2026-11-01T00:00 to 2026-11-08T00:00 UTC"


def test_it_records_an_export_by_a_command_once(project: Project, failed: Signal) -> None:
    call_command("signals", "export", str(failed.pk), "--from", "2026-11-01", "--limit", "1", "--all", "--csv")
    assert [entry for entry in log(project) if entry[1] == "exported labels of"] == [
        ("Catalyst", "exported labels of", "Refund wanted of support-bot")
    ]


def test_it_records_tests(project: Project, alice: User, failed: Signal, now: datetime) -> None:
    by, version = Actor(alice), failed.current_version
    assert version is not None
    newest = signal_tests.sample_newest(version, 20, now - timedelta(hours=1), now + timedelta(hours=1))
    signal_tests.start_test(version, newest, now, by)
    assert (log(project)[-1], detail(project)) == (("alice", "tested", "Refund wanted of support-bot"), "2 traces")
    draft = operations.draft_version(EDITED, failed.agent, "trace")
    signal_tests.start_test(draft, newest, now, by)
    entry = project.audit_entries.latest("pk")
    assert (entry.action, entry.kind, entry.target_name) == ("tested a draft for", "agent", str(failed.agent))
