"""Who is in a project: rules of members and invitations."""

import re
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction

from catalyst.core import operations
from catalyst.core.actor import Actor
from catalyst.core.models import Invitation, Membership, Project, User
from tests.locks import SECONDS, waiting

MINUTE = timedelta(minutes=1)


@pytest.fixture
def stranger(db: None) -> User:
    """Somebody without a project."""
    return User.objects.create_user("stranger")


def membership(user: User) -> Membership:
    return Membership.objects.get(user=user)


def log(project: Project) -> list[tuple[str, str, str, str]]:
    """The audit log, oldest first: who did what on which kind of thing, and the detail."""
    entries = project.audit_entries.order_by("pk")
    return [(entry.actor_name, entry.action, entry.kind, entry.detail) for entry in entries]


def test_it_makes_its_maker_the_owner_of_a_project(stranger: User) -> None:
    project = operations.create_project(name="Support Bot", owner=stranger)
    assert project.slug == "support-bot"
    assert membership(stranger).is_owner
    assert log(project) == [("stranger", "created", "project", "")]


@pytest.mark.parametrize("name", ["Default", "default!", "日本", "x" * 100])
def test_it_finds_every_project_an_address_of_its_own(project: Project, stranger: User, name: str) -> None:
    owners = [stranger, *(User.objects.create_user(f"stranger {number}") for number in range(2))]
    slugs = {operations.create_project(name=name, owner=owner).slug for owner in owners} | {project.slug}
    assert len(slugs) == 4
    assert all(0 < len(slug) <= 60 for slug in slugs)


def test_its_address_breaks_at_words(db: None, stranger: User) -> None:
    assert operations.create_project(name="Acme <b>shop</b> 🚀", owner=stranger).slug == "acme-b-shop-b"


def test_a_name_without_letters_has_an_address_of_its_own(db: None, stranger: User) -> None:
    rockets, stars = (operations.create_project(name=name, owner=stranger).slug for name in ("🚀🚀", "⭐"))
    assert re.fullmatch(r"project-[0-9a-f]{6}", rockets)
    assert re.fullmatch(r"project-[0-9a-f]{6}", stars)
    assert rockets != stars


def test_it_renames_a_project_and_keeps_its_address(project: Project, alice: User) -> None:
    operations.rename_project(project, name="Production", by=Actor(alice))
    operations.rename_project(project, name="Production", by=Actor(alice))
    project.refresh_from_db()
    assert (project.name, project.slug) == ("Production", "default")
    assert log(project) == [("alice", "renamed", "project", "from Default")]


def test_it_changes_roles(project: Project, alice: User, bob: User) -> None:
    operations.change_role(membership(bob), role="owner", by=Actor(alice))
    operations.change_role(membership(alice), role="viewer", by=Actor(bob))
    assert [membership(each).role for each in (alice, bob)] == ["viewer", "owner"]
    assert log(project) == [
        ("alice", "changed", "membership", "from member to owner"),
        ("bob", "changed", "membership", "from owner to viewer"),
    ]


def test_it_keeps_the_last_owner(project: Project, alice: User, bob: User) -> None:
    with pytest.raises(ValidationError, match="alice is the last owner"):
        operations.change_role(membership(alice), role="member", by=Actor(alice))
    with pytest.raises(ValidationError, match="alice is the last owner"):
        operations.remove_member(membership(alice), by=Actor(alice))
    assert membership(alice).is_owner
    assert log(project) == []


@pytest.mark.django_db(transaction=True)
def test_it_keeps_one_of_two_owners_who_remove_each_other_at_once(project: Project, alice: User, bob: User) -> None:
    operations.change_role(membership(bob), role="owner", by=Actor(alice))

    with ExitStack() as stack:
        with transaction.atomic():
            operations.remove_member(membership(bob), by=Actor(alice))
            removal = partial(operations.remove_member, membership(alice), by=Actor(bob))
            second = stack.enter_context(waiting(removal))
        with pytest.raises(ValidationError, match="alice is the last owner"):
            second.result(SECONDS)
    assert list(project.memberships.values_list("user__username", "role")) == [("alice", "owner")]


def test_it_counts_only_owners_who_can_sign_in(project: Project, alice: User, bob: User) -> None:
    operations.change_role(membership(bob), role="owner", by=Actor(alice))
    User.objects.filter(pk=bob.pk).update(is_active=False)
    with pytest.raises(ValidationError, match="last owner"):
        operations.remove_member(membership(alice), by=Actor(alice))


def test_it_removes_members(project: Project, alice: User, bob: User) -> None:
    operations.remove_member(membership(bob), by=Actor(alice))
    assert not Membership.objects.filter(user=bob).exists()
    assert log(project) == [("alice", "removed", "membership", "")]


def test_it_lets_in_whoever_is_invited(project: Project, alice: User, stranger: User, now: datetime) -> None:
    invitation, token = operations.invite(project, role="viewer", by=Actor(alice), now=now)
    assert token not in str(Invitation.objects.values().get())
    assert operations.find_invitation(token, now + MINUTE) == invitation
    operations.accept_invitation(invitation, user=stranger, now=now + MINUTE)
    assert membership(stranger).role == "viewer"
    assert log(project) == [
        ("alice", "created", "invitation", ""),
        ("stranger", "accepted", "invitation", "made by alice"),
    ]


def test_it_lets_in_one_person_per_invitation(project: Project, alice: User, stranger: User, now: datetime) -> None:
    invitation, token = operations.invite(project, role="member", by=Actor(alice), now=now)
    operations.sign_up(invitation, username="ada", password="correct horse", now=now)
    assert operations.find_invitation(token, now) is None
    with pytest.raises(ValidationError, match="no longer works"):
        operations.accept_invitation(invitation, user=stranger, now=now)
    with pytest.raises(ValidationError, match="no longer works"):
        operations.sign_up(invitation, username="eve", password="correct horse", now=now)
    assert not User.objects.filter(username="eve").exists()


def test_it_lets_nobody_in_when_expired_or_revoked(
    project: Project, alice: User, stranger: User, now: datetime
) -> None:
    expired, old = operations.invite(project, role="member", by=Actor(alice), now=now - operations.INVITATION_LIFETIME)
    revoked, void = operations.invite(project, role="member", by=Actor(alice), now=now)
    operations.revoke_invitation(revoked, by=Actor(alice), now=now)
    operations.revoke_invitation(revoked, by=Actor(alice), now=now)
    assert [operations.find_invitation(token, now) for token in (old, void, "", "nonsense")] == [None] * 4
    for invitation in (expired, revoked):
        with pytest.raises(ValidationError, match="no longer works"):
            operations.accept_invitation(invitation, user=stranger, now=now)
    assert [action for _, action, _, _ in log(project)] == ["created", "created", "revoked"]


def test_it_leaves_members_and_their_invitation_as_they_are(
    project: Project, alice: User, bob: User, now: datetime
) -> None:
    invitation, token = operations.invite(project, role="owner", by=Actor(alice), now=now)
    operations.accept_invitation(invitation, user=bob, now=now)
    assert membership(bob).role == "member"
    assert operations.find_invitation(token, now) == invitation


def test_it_notes_what_happens_to_keys(project: Project, alice: User, now: datetime) -> None:
    key, _ = operations.create_key(project, name="ci", scopes=["ingest", "read"], by=Actor(alice))
    assert operations.revoke_key(key, by=Actor(alice), now=now)
    assert not operations.revoke_key(key, by=Actor(alice), now=now)
    assert log(project) == [("alice", "created", "API key", "for ingest, read"), ("alice", "revoked", "API key", "")]
