"""The General page of a project's settings."""

from collections.abc import Callable

import pytest
from django.test import Client

from catalyst.core.models import Project, User

PAGE = "/p/default/settings/"
HTMX = {"HX-Request": "true"}


def test_it_renames_the_project(client_as: Callable[[User], Client], alice: User, project: Project) -> None:
    client = client_as(alice)
    assert 'value="Default"' in client.get(PAGE).text
    response = client.post(PAGE, {"name": "<Support>"}, follow=True)
    assert response.redirect_chain == [(PAGE, 302)]
    assert "The project is called &lt;Support&gt;" in response.text
    project.refresh_from_db()
    assert project.name == "<Support>"


def test_it_answers_htmx_with_a_page_to_go_to(client_as: Callable[[User], Client], alice: User) -> None:
    response = client_as(alice).post(PAGE, {"name": "Support"}, headers=HTMX)
    assert response.headers["HX-Redirect"] == PAGE


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "nul\0"])
def test_it_says_what_is_wrong(client_as: Callable[[User], Client], alice: User, project: Project, name: str) -> None:
    response = client_as(alice).post(PAGE, {"name": name}, headers=HTMX)
    assert response.status_code == 422
    assert 'id="rename"' in response.text
    assert "help wrong" in response.text
    assert "<html" not in response.text
    project.refresh_from_db()
    assert project.name == "Default"


def test_it_lets_only_owners_rename(client_as: Callable[[User], Client], bob: User, viewer: User) -> None:
    for each in (bob, viewer):
        client = client_as(each)
        text = client.get(PAGE).text
        assert "owners can rename it" in text
        assert "Audit log" not in text
        assert client.post(PAGE, {"name": "Mine"}).status_code == 403


def test_it_is_not_there_for_outsiders(client_as: Callable[[User], Client], charlie: User) -> None:
    assert client_as(charlie).get(PAGE).status_code == 404
    assert client_as(charlie).put("/p/other/settings/").status_code == 405
