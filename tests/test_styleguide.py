"""The page of all components: there while developing, nowhere else."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import path

from catalyst import urls
from catalyst.core.models import User
from catalyst.styleguide import styleguide

urlpatterns = [*urls.urlpatterns, path("styleguide/", styleguide)]


@pytest.mark.urls(__name__)
def test_it_shows_every_component(client_as: Callable[[User], Client], bob: User) -> None:
    text = client_as(bob).get("/styleguide/").text
    for words in ("Danger", "Fields with errors", "Enter a value", "Not loaded", "Where is my parcel?"):
        assert words in text
    assert "<script>alert(1)" not in text


@pytest.mark.urls(__name__)
def test_it_needs_no_project(client_as: Callable[[User], Client], db: None) -> None:
    assert client_as(User.objects.create_user("stranger")).get("/styleguide/").status_code == 200


def test_it_is_not_there_in_production(client_as: Callable[[User], Client], bob: User) -> None:
    assert client_as(bob).get("/styleguide/").status_code == 404
