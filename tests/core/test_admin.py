"""What operators do with projects in the administration keeps the rules and is noted."""

from collections.abc import Callable

import pytest
from django.test import Client

from catalyst.core import operations
from catalyst.core.actor import Actor
from catalyst.core.models import AuditEntry, Membership, Project, User
from tests.page import Page


@pytest.fixture
def operator(client_as: Callable[[User], Client], db: None) -> Client:
    """The browser of somebody who runs the server."""
    return client_as(User.objects.create_superuser("operator"))


def form(project: Project, **about: object) -> dict[str, object]:
    """What the page of a project posts."""
    total = {"memberships-TOTAL_FORMS": 1 if "memberships-0-user" in about else 0, "memberships-INITIAL_FORMS": 0}
    return {"name": project.name, "memberships-0-project": project.pk, **total, **about}


def noted() -> list[tuple[str, str, str]]:
    return [(entry.actor_name, entry.action, entry.target_name) for entry in AuditEntry.objects.order_by("pk")]


def test_it_lets_people_in(operator: Client, project: Project) -> None:
    stranger = User.objects.create_user("stranger")
    url = f"/admin/core/project/{project.pk}/change/"
    data = form(project, **{"memberships-0-user": stranger.pk, "memberships-0-role": "owner"})
    assert operator.post(url, data).status_code == 302
    assert Membership.objects.get(user=stranger).is_owner
    assert noted() == [("operator", "added", "stranger in Default (owner)")]


def test_it_renames(operator: Client, project: Project) -> None:
    assert operator.post(f"/admin/core/project/{project.pk}/change/", form(project, name="Shop")).status_code == 302
    project.refresh_from_db()
    assert project.name == "Shop"
    assert noted() == [("operator", "renamed", "Shop")]


@pytest.mark.parametrize("at_once", [False, True])
def test_it_deletes_a_project_but_not_its_log(operator: Client, project: Project, *, at_once: bool) -> None:
    if at_once:
        data = {"action": "delete_selected", "_selected_action": [project.pk], "post": "yes"}
        operator.post("/admin/core/project/", data)
    else:
        operator.post(f"/admin/core/project/{project.pk}/delete/", {"post": "yes"})
    assert not Project.objects.exists()
    assert noted() == [("operator", "deleted", "Default")]


def test_it_revokes_keys(operator: Client, project: Project, alice: User) -> None:
    key, _ = operations.create_key(project, name="ci", scopes=["read"], by=Actor(alice))
    operator.post("/admin/core/apikey/", {"action": "revoke", "_selected_action": [key.pk]})
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert noted()[-1][:2] == ("operator", "revoked")


def test_it_makes_no_projects_there(operator: Client) -> None:
    assert operator.get("/admin/core/project/add/").status_code == 403


def account(user: User, **about: object) -> dict[str, object]:
    """What the page of an account posts."""
    joined = {"date_joined_0": "2026-11-01", "date_joined_1": "12:00:00"}
    return {"username": user.username, "email": user.email, **joined, **about}


def test_it_keeps_the_last_owner_signed_up(operator: Client, project: Project, alice: User, bob: User) -> None:
    url = f"/admin/core/user/{alice.pk}/change/"
    assert "Default, whose last owner is alice" in Page(operator.post(url, account(alice)).text).text
    alice.refresh_from_db()
    assert alice.is_active
    Membership.objects.filter(user=bob).update(role="owner")
    assert operator.post(url, account(alice)).status_code == 302
    alice.refresh_from_db()
    assert not alice.is_active


@pytest.mark.parametrize("at_once", [False, True])
def test_it_deletes_everybody_but_the_last_owner(
    operator: Client, project: Project, alice: User, bob: User, *, at_once: bool
) -> None:
    def delete(user: User) -> str:
        if at_once:
            data = {"action": "delete_selected", "_selected_action": [user.pk], "post": "yes"}
            return operator.post("/admin/core/user/", data).text
        return operator.post(f"/admin/core/user/{user.pk}/delete/", {"post": "yes"}).text

    assert "Default, whose last owner is alice" in delete(alice)
    delete(bob)
    assert set(User.objects.values_list("username", flat=True)) == {"alice", "operator"}
