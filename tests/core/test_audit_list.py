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
from tests.factories import make_agent, make_signal
from tests.page import Page

PAGE = "/p/default/settings/audit/"


def test_it_shows_who_did_what(client_as: Callable[[User], Client], alice: User, project: Project) -> None:
    client = client_as(alice)
    assert "Nothing has been changed yet" in Page(client.get(PAGE).text).text
    operations.create_key(project, name="<ci>", scopes=["read"], by=Actor(alice))
    (row,) = Page(client.get(PAGE).text).table("Audit log").rows
    assert (row["User"], row["Action"]) == ("alice", "created API key")
    assert row["Object"].startswith("<ci> (cat_")
    assert row["Object"].endswith("for read")


def test_it_goes_on_to_older_changes(client_as: Callable[[User], Client], alice: User, project: Project) -> None:
    for number in range(51):
        operations.rename_project(project, name=f"Name {number}", by=Actor(alice))
    client = client_as(alice)
    newest = Page(client.get(PAGE).text)
    assert newest.table("Audit log").row(1)["Object"] == "Name 50 from Name 49"
    assert "from Default" not in newest.text
    oldest = Page(client.get(PAGE + newest.link("Older changes")).text)
    assert [row["Object"] for row in oldest.table("Audit log").rows] == ["Name 0 from Default"]
    assert not oldest.has_link("Older changes")


@pytest.mark.parametrize("before", ["x", "-1", "9" * 30, "²", "\0"])
def test_it_starts_at_the_newest_when_asked_nonsense(
    client_as: Callable[[User], Client], alice: User, project: Project, before: str
) -> None:
    operations.rename_project(project, name="Support", by=Actor(alice))
    page = Page(client_as(alice).get(PAGE, {"before": before}).text)
    assert [row["Object"] for row in page.table("Audit log").rows] == ["Support from Default"]


def test_it_is_for_owners(client_as: Callable[[User], Client], bob: User, viewer: User, charlie: User) -> None:
    assert [client_as(each).get(PAGE).status_code for each in (bob, viewer, charlie)] == [403, 403, 404]
    assert client_as(bob).post(PAGE).status_code == 405


def test_it_shows_nothing_of_other_projects(
    client_as: Callable[[User], Client], alice: User, charlie: User, other_project: Project
) -> None:
    operations.rename_project(other_project, name="Foreign", by=Actor(charlie))
    assert "Foreign" not in client_as(alice).get(PAGE).text


def test_it_tells_things_of_one_name_apart(
    client_as: Callable[[User], Client], alice: User, project: Project, now: datetime
) -> None:
    by = Actor(alice)
    ci, _ = operations.create_key(project, name="ci", scopes=["read"], by=by)
    same, _ = operations.create_key(project, name="ci", scopes=["read"], by=Actor(api_key=ci))
    link, _ = operations.invite(project, role="member", by=by, now=now)
    operations.revoke_invitation(link, by=by, now=now)
    for identity in ("bot-1", "bot-2"):
        agent = make_agent(project, identity)
        agent.name = "Bot"
        agent.save(update_fields=["name"])
        make_signal(agent, name="Sentiment")
    rows = Page(client_as(alice).get(PAGE).text).table("Audit log").rows
    assert [row["Object"] for row in rows[:2]] == ["Sentiment of Bot (bot-2)", "Sentiment of Bot (bot-1)"]
    made = f"as member, {link.created_at:%Y-%m-%d %H:%M:%S} UTC"
    assert [(row["Action"], row["Object"]) for row in rows[2:4]] == [
        ("revoked invitation", made),
        ("created invitation", made),
    ]
    assert [(row["User"], row["Object"]) for row in rows[4:]] == [
        (f"API key ci ({ci.hint}…)", f"ci ({same.hint}…) for read"),
        ("alice", f"ci ({ci.hint}…) for read"),
    ]


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
