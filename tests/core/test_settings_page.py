"""The General page of a project's settings."""

from collections.abc import Callable

import pytest
from django.test import Client

from catalyst.core import operations
from catalyst.core.models import Project, User
from tests.page import Page

PAGE = "/p/default/settings/"
HTMX = {"HX-Request": "true"}


def test_it_renames_the_project(client_as: Callable[[User], Client], alice: User, project: Project) -> None:
    client = client_as(alice)
    assert Page(client.get(PAGE).text).field("Name").value == "Default"
    response = client.post(PAGE, {"name": "<Support>"}, follow=True)
    assert response.redirect_chain == [(PAGE, 302)]
    assert "The project is called <Support>" in Page(response.text).text
    project.refresh_from_db()
    assert project.name == "<Support>"


def test_it_refuses_a_name_that_is_taken(client_as: Callable[[User], Client], alice: User, project: Project) -> None:
    operations.create_project(name="Shop", owner=alice)
    response = client_as(alice).post(PAGE, {"name": "shop"}, headers=HTMX)
    assert response.status_code == 422
    assert Page(response.text).field("Name").errors == ["There is already a project with this name"]


def test_it_answers_htmx_with_a_page_to_go_to(client_as: Callable[[User], Client], alice: User) -> None:
    response = client_as(alice).post(PAGE, {"name": "Support"}, headers=HTMX)
    assert response.headers["HX-Redirect"] == PAGE


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "nul\0"])
def test_it_says_what_is_wrong(client_as: Callable[[User], Client], alice: User, project: Project, name: str) -> None:
    response = client_as(alice).post(PAGE, {"name": name}, headers=HTMX)
    assert response.status_code == 422
    form = Page(response.text)
    assert not form.is_whole
    assert form.headings == ["General"]
    assert form.field("Name").errors
    project.refresh_from_db()
    assert project.name == "Default"


def test_it_lets_only_owners_rename(client_as: Callable[[User], Client], bob: User, viewer: User) -> None:
    for each in (bob, viewer):
        client = client_as(each)
        page = Page(client.get(PAGE).text)
        assert "owners can rename it" in page.text
        assert not page.has_link("Audit log")
        assert client.post(PAGE, {"name": "Mine"}).status_code == 403


def test_it_is_not_there_for_outsiders(client_as: Callable[[User], Client], charlie: User) -> None:
    assert client_as(charlie).get(PAGE).status_code == 404
    assert client_as(charlie).put("/p/other/settings/").status_code == 405


RETENTION = f"{PAGE}retention/"


def test_owners_keep_traces_for_fewer_days(client_as: Callable[[User], Client], alice: User, project: Project) -> None:
    client = client_as(alice)
    assert "are kept for 30 days" in Page(client.get(PAGE).text).text
    asked = Page(client.post(RETENTION, {"days": "7"}, headers=HTMX).text)
    assert "Traces older than 7 days will be deleted within minutes." in asked.text
    assert "older than 5 days" in Page(client.post(RETENTION, {"days": "5", "sure": "7"}).text).text
    assert not Project.objects.exclude(retention_days=None).exists()
    response = client.post(RETENTION, {"days": "7", "sure": "7"}, follow=True)
    page = Page(response.text)
    assert "Traces are kept for 7 days" in page.text
    assert page.form(RETENTION).element.xpath(".//input[@name='days']/@max") == ["30"]
    assert page.form(RETENTION).fields["days"] == ["7"]
    project.refresh_from_db()
    assert (project.retention_days, project.kept_days) == (7, 7)
    assert project.audit_entries.get().detail == "retention from the instance's to 7 days"
    client.post(RETENTION, {"days": "7"})
    assert project.audit_entries.count() == 1
    client.post(RETENTION, {"days": ""})
    project.refresh_from_db()
    assert (project.retention_days, project.kept_days) == (None, 30)


@pytest.mark.parametrize("days", ["0", "-1", "31", "9" * 30, "x", "nul\0"])
def test_it_says_which_days_it_can_keep(
    client_as: Callable[[User], Client], alice: User, project: Project, days: str
) -> None:
    response = client_as(alice).post(RETENTION, {"days": days}, headers=HTMX)
    assert response.status_code == 422
    form = Page(response.text)
    assert form.headings == ["Retention"]
    assert form.errors
    project.refresh_from_db()
    assert project.retention_days is None
    assert "fewer than the 30 days" not in form.text


def test_members_see_how_long_traces_are_kept(client_as: Callable[[User], Client], bob: User) -> None:
    client = client_as(bob)
    assert "fewer than the 30 days" in Page(client.get(PAGE).text).text
    assert client.post(RETENTION, {"days": "1"}).status_code == 403
