"""The page behind an invitation's link, and the page that makes a project."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from catalyst.core import operations
from catalyst.core.actor import Actor
from catalyst.core.models import Membership, Project, User
from tests.page import Page

SIGN_UP = {"username": "ada", "password1": "correct horse battery", "password2": "correct horse battery"}


@pytest.fixture
def link(project: Project, alice: User) -> str:
    """An invitation as a viewer."""
    _, token = operations.invite(project, role="viewer", by=Actor(alice), now=timezone.now())
    return f"/invitations/{token}/"


@pytest.fixture
def stranger(db: None) -> User:
    """Somebody without a project."""
    return User.objects.create_user("stranger")


def test_it_signs_somebody_new_up(client: Client, link: str) -> None:
    page = Page(client.get(link).text)
    assert page.headings == ["Join Default"]
    assert "alice invites you to this project as viewer" in page.text
    response = client.post(link, SIGN_UP, follow=True)
    assert response.redirect_chain == [("/p/default/traces/", 302)]
    assert Membership.objects.get(user__username="ada").role == "viewer"
    assert Client().get(link).status_code == 410
    assert Client().post(link, {**SIGN_UP, "username": "eve"}).status_code == 410


@pytest.mark.parametrize(
    "wrong",
    [{"username": ""}, {"username": "Alice"}, {"password2": "else"}, {"password1": "short", "password2": "short"}],
)
def test_it_says_what_is_wrong(client: Client, link: str, wrong: dict[str, str]) -> None:
    response = client.post(link, {**SIGN_UP, **wrong})
    assert response.status_code == 422
    assert Page(response.text).errors
    assert client.get(link).status_code == 200


def test_it_joins_with_the_account_one_has(
    client_as: Callable[[User], Client], client: Client, stranger: User, link: str
) -> None:
    assert Page(client.get(link).text).link("Sign in") == f"/login/?next={link}"
    browser = client_as(stranger)
    assert "You are signed in as stranger" in Page(browser.get(link).text).text
    assert browser.post(link).headers["Location"] == "/p/default/traces/"
    assert browser.get("/p/default/traces/").status_code == 200


def test_it_leads_members_to_their_project(client_as: Callable[[User], Client], bob: User, link: str) -> None:
    browser = client_as(bob)
    assert browser.get(link).headers["Location"] == "/p/default/traces/"
    assert browser.post(link).headers["Location"] == "/p/default/traces/"
    assert Membership.objects.get(user=bob).role == "member"


def test_it_knows_only_its_own_links(client: Client, db: None) -> None:
    response = client.get("/invitations/nonsense/")
    assert response.status_code == 410
    assert "no longer works" in Page(response.text).text
    assert client.put("/invitations/nonsense/").status_code == 405


def test_it_makes_a_project(client_as: Callable[[User], Client], stranger: User) -> None:
    browser = client_as(stranger)
    assert browser.get("/projects/new/").status_code == 200
    assert browser.post("/projects/new/", {"name": "My agents"}).headers["Location"] == "/p/my-agents/traces/"
    assert Page(browser.get("/p/my-agents/traces/").text).has_link("New project")
    assert Membership.objects.get(user=stranger).is_owner


def test_it_makes_no_second_project_of_a_name(client_as: Callable[[User], Client], alice: User, stranger: User) -> None:
    response = client_as(alice).post("/projects/new/", {"name": "default"})
    assert response.status_code == 422
    assert Page(response.text).field("Name").errors == ["There is already a project with this name"]
    assert client_as(stranger).post("/projects/new/", {"name": "Default"}).status_code == 302


@pytest.mark.parametrize("name", ["", "x" * 101])
def test_it_makes_no_project_without_a_name(client_as: Callable[[User], Client], stranger: User, name: str) -> None:
    response = client_as(stranger).post("/projects/new/", {"name": name})
    assert response.status_code == 422
    assert Page(response.text).field("Name").errors
    assert not Project.objects.exists()


def test_it_lets_guests_make_no_projects(client_as: Callable[[User], Client], bob: User, alice: User) -> None:
    guest = client_as(bob)
    assert guest.get("/projects/new/").status_code == 403
    assert guest.post("/projects/new/", {"name": "Mine"}).status_code == 403
    assert not Page(guest.get("/p/default/traces/").text).has_link("New project")
    assert client_as(alice).get("/projects/new/").status_code == 200
