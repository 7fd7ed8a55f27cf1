"""The audit log of a project's settings, and that nothing is noted that was not done."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.test import Client

from catalyst.core import operations
from catalyst.core.actor import Actor
from catalyst.core.models import AuditEntry, Project, User

PAGE = "/p/default/settings/audit/"


def test_it_shows_who_did_what(client_as: Callable[[User], Client], alice: User, project: Project) -> None:
    client = client_as(alice)
    assert "Nothing has been changed yet" in client.get(PAGE).text
    operations.create_key(project, name="<ci>", scopes=["read"], by=Actor(alice))
    text = client.get(PAGE).text
    assert "created API key" in text
    assert "&lt;ci&gt; (cat_" in text
    assert "for read" in text


def test_it_goes_on_to_older_changes(client_as: Callable[[User], Client], alice: User, project: Project) -> None:
    for number in range(51):
        operations.rename_project(project, name=f"Name {number}", by=Actor(alice))
    client = client_as(alice)
    text = client.get(PAGE).text
    assert "from Name 49" in text
    assert "from Default" not in text
    older = text.split('<a href="?before=')[1].split('"')[0]
    text = client.get(PAGE, {"before": older}).text
    assert "from Default" in text
    assert "Older changes" not in text


@pytest.mark.parametrize("before", ["x", "-1", "9" * 30, "²", "\0"])
def test_it_starts_at_the_newest_when_asked_nonsense(
    client_as: Callable[[User], Client], alice: User, project: Project, before: str
) -> None:
    operations.rename_project(project, name="Support", by=Actor(alice))
    assert "from Default" in client_as(alice).get(PAGE, {"before": before}).text


def test_it_is_for_owners(client_as: Callable[[User], Client], bob: User, viewer: User, charlie: User) -> None:
    assert [client_as(each).get(PAGE).status_code for each in (bob, viewer, charlie)] == [403, 403, 404]
    assert client_as(bob).post(PAGE).status_code == 405


def test_it_shows_nothing_of_other_projects(
    client_as: Callable[[User], Client], alice: User, charlie: User, other_project: Project
) -> None:
    operations.rename_project(other_project, name="Foreign", by=Actor(charlie))
    assert "Foreign" not in client_as(alice).get(PAGE).text


def test_it_notes_nothing_that_was_rolled_back(project: Project, alice: User, now: datetime) -> None:
    with pytest.raises(ValidationError), transaction.atomic():
        operations.invite(project, role="member", by=Actor(alice), now=now)
        raise ValidationError("Not now.")
    assert not AuditEntry.objects.exists()


def test_it_outlives_people_and_projects(project: Project, alice: User) -> None:
    operations.rename_project(project, name="Support", by=Actor(alice))
    alice.delete()
    project.delete()
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.target_name, entry.project, entry.actor) == ("alice", "Support", None, None)
