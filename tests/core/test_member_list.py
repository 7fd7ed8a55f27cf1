"""The Members page of a project's settings."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from catalyst.core import operations
from catalyst.core.actor import Actor
from catalyst.core.models import Invitation, Membership, Project, User
from tests.page import Page

PAGE = "/p/default/settings/members/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def owner(client_as: Callable[[User], Client], alice: User) -> Client:
    """Alice's browser."""
    return client_as(alice)


def url(user: User, what: str) -> str:
    return f"{PAGE}{Membership.objects.get(user=user).pk}/{what}/"


def test_it_lists_members_and_what_owners_can_do(owner: Client, bob: User, viewer: User) -> None:
    page = Page(owner.get(PAGE).text)
    people = [row["Person"] for row in page.table("Members").rows]
    assert people == ["alice you alice@example.org", "bob bob@example.org", "viewer viewer@example.org"]
    assert [page.choice(f"Role of {name}").chosen for name in ("alice", "bob")] == [["Owner"], ["Member"]]
    assert "Create invite link" in page.buttons


def test_it_shows_a_link_once(owner: Client, project: Project) -> None:
    response = owner.post(PAGE, {"role": "viewer"}, headers=HTMX)
    assert response.status_code == 200
    shown = Page(response.text)
    assert not shown.is_whole
    link = shown.part("invitation-link").text
    assert link.startswith("http://testserver/invitations/")
    assert Client().get(link).status_code == 200
    text = owner.get(PAGE).text
    assert link not in text
    assert [row["Role"] for row in Page(text).table("Open invitations").rows] == ["Viewer"]


@pytest.mark.parametrize("role", ["", "root"])
def test_it_invites_nobody_as_something_unknown(owner: Client, project: Project, role: str) -> None:
    assert owner.post(PAGE, {"role": role}, headers=HTMX).status_code == 422
    assert not project.invitations.exists()


def test_it_changes_what_somebody_may_do_at_once(owner: Client, client_as: Callable[[User], Client], bob: User) -> None:
    browser = client_as(bob)
    key = {"name": "ci", "scopes": ["ingest"]}
    assert browser.post("/p/default/settings/keys/", key).status_code == 200
    response = owner.post(url(bob, "role"), {"role": "viewer"}, follow=True)
    assert "bob is viewer now" in Page(response.text).text
    assert browser.post("/p/default/settings/keys/", key).status_code == 403
    owner.post(url(bob, "role"), {"role": "owner"})
    assert browser.get("/p/default/settings/audit/").status_code == 200


@pytest.mark.parametrize("role", ["", "root"])
def test_it_gives_nobody_an_unknown_role(owner: Client, bob: User, role: str) -> None:
    page = Page(owner.post(url(bob, "role"), {"role": role}, follow=True).text)
    assert "A role is owner, member or viewer" in page.text
    assert Membership.objects.get(user=bob).role == "member"


def test_it_removes_a_member_at_once(owner: Client, client_as: Callable[[User], Client], bob: User) -> None:
    browser = client_as(bob)
    assert owner.post(url(bob, "remove"), headers=HTMX).headers["HX-Redirect"] == PAGE
    assert browser.get(PAGE).status_code == 404


def test_it_keeps_the_last_owner(owner: Client, alice: User, bob: User) -> None:
    for what, data in (("role", {"role": "member"}), ("remove", {})):
        assert "alice is the last owner" in Page(owner.post(url(alice, what), data, follow=True).text).text
    assert Membership.objects.get(user=alice).is_owner


def test_it_lets_an_owner_leave_to_another(owner: Client, alice: User, bob: User) -> None:
    owner.post(url(bob, "role"), {"role": "owner"})
    assert owner.post(url(alice, "remove")).headers["Location"] == "/"
    assert owner.get(PAGE).status_code == 404


def test_it_revokes_an_invitation(owner: Client, alice: User, project: Project) -> None:
    invitation, token = operations.invite(project, role="member", by=Actor(alice), now=timezone.now())
    revoke = f"/p/default/settings/invitations/{invitation.pk}/revoke/"
    assert owner.get(revoke).headers["Location"] == "/p/default/settings/"
    assert owner.post(revoke).headers["Location"] == PAGE
    assert Invitation.objects.get().revoked_at is not None
    assert Client().get(f"/invitations/{token}/").status_code == 410


def test_it_lets_others_only_look(
    client_as: Callable[[User], Client], alice: User, bob: User, viewer: User, project: Project
) -> None:
    invitation, _ = operations.invite(project, role="member", by=Actor(alice), now=timezone.now())
    for each in (bob, viewer):
        client = client_as(each)
        page = Page(client.get(PAGE).text)
        assert [row["Role"] for row in page.table("Members").rows] == ["Owner", "Member", "Viewer"]
        assert page.region("Invitations").forms == page.table("Members").forms == []
        assert "Open invitations" not in page.headings
        assert client.post(PAGE, {"role": "owner"}).status_code == 403
        assert client.post(url(each, "role"), {"role": "owner"}).status_code == 403
        assert client.post(url(alice, "remove")).status_code == 403
        assert client.post(f"/p/default/settings/invitations/{invitation.pk}/revoke/").status_code == 403


def test_it_touches_nobody_elsewhere(
    client_as: Callable[[User], Client], alice: User, charlie: User, project: Project
) -> None:
    client = client_as(charlie)
    invitation, _ = operations.invite(project, role="member", by=Actor(alice), now=timezone.now())
    foreign = Membership.objects.get(user=alice).pk
    assert client.get(PAGE).status_code == 404
    assert client.post(f"/p/other/settings/members/{foreign}/role/", {"role": "viewer"}).status_code == 404
    assert client.post(f"/p/other/settings/members/{foreign}/remove/").status_code == 404
    assert client.post(f"/p/other/settings/invitations/{invitation.pk}/revoke/").status_code == 404
