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


def test_it_gives_no_owner_two_projects_of_a_name(operator: Client, project: Project, alice: User) -> None:
    operations.create_project(name="Shop", owner=alice)
    response = operator.post(f"/admin/core/project/{project.pk}/change/", form(project, name="shop"))
    assert response.status_code == 200
    assert "There is already a project with this name" in response.text
    project.refresh_from_db()
    assert project.name == "Default"


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
    joined = {"date_joined_0": f"{user.date_joined:%Y-%m-%d}", "date_joined_1": f"{user.date_joined:%H:%M:%S}"}
    joined |= {f"initial-{name}": value for name, value in joined.items()}
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


def of_accounts() -> list[tuple[str, str, str, str]]:
    entries = AuditEntry.objects.filter(kind="user", project=None).order_by("pk")
    return [(entry.actor_name, entry.action, entry.target_name, entry.detail) for entry in entries]


def test_it_records_what_operators_do_with_accounts(operator: Client, bob: User) -> None:
    new = {
        "username": "dora",
        "usable_password": "true",
        "password1": "a long password",
        "password2": "a long password",
    }
    assert operator.post("/admin/core/user/add/", new).status_code == 302
    url = f"/admin/core/user/{bob.pk}/change/"
    operator.post(url, account(bob, is_active="on"))
    operator.post(url, account(bob, is_active="on", is_staff="on", email="new@example.org"))
    operator.post(url, account(bob, username="robert", is_active="on", is_staff="on", email="new@example.org"))
    bob.refresh_from_db()
    operator.post(url, account(bob, is_staff="on"))
    operator.post(url, account(bob, is_staff="on", is_active="on"))
    assert of_accounts() == [
        ("operator", "created", "dora", ""),
        ("operator", "changed", "bob", "email, is_staff on"),
        ("operator", "renamed", "robert", "username from bob"),
        ("operator", "deactivated", "robert", "is_active off"),
        ("operator", "activated", "robert", "is_active on"),
    ]


def test_it_records_passwords_that_operators_set(operator: Client, bob: User) -> None:
    url = f"/admin/core/user/{bob.pk}/password/"
    new = {"password1": "a long password", "password2": "a long password", "usable_password": "true"}
    assert operator.post(url, new).status_code == 302
    operator.post(url, {"usable_password": "false", "unset-password": "1"})
    assert operator.post(url, {**new, "password2": "else"}).status_code == 200
    assert of_accounts() == [
        ("operator", "set the password of", "bob", ""),
        ("operator", "removed the password of", "bob", ""),
    ]


def test_operators_change_their_own_password_in_their_profile(operator: Client) -> None:
    assert operator.get("/admin/password_change/").headers["Location"] == "/profile/"
    assert operator.post("/admin/password_change/").headers["Location"] == "/profile/"


@pytest.mark.parametrize("at_once", [False, True])
def test_it_records_deleted_accounts(operator: Client, project: Project, bob: User, *, at_once: bool) -> None:
    if at_once:
        data = {"action": "delete_selected", "_selected_action": [bob.pk], "post": "yes"}
        operator.post("/admin/core/user/", data)
    else:
        operator.post(f"/admin/core/user/{bob.pk}/delete/", {"post": "yes"})
    assert not User.objects.filter(username="bob").exists()
    assert of_accounts() == [("operator", "deleted", "bob", "")]
    entry = project.audit_entries.get()
    assert (entry.action, entry.target_name) == ("removed", "bob in Default (member)")
