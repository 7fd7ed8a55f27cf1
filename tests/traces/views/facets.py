"""The facets beside a list, as htmx asks for them."""

from typing import Any

from django.test import Client

from tests.page import Page, Part

ASKED = {"HX-Request": "true", "HX-Target": "facets"}


def facets_of(browser: Client, path: str, query: dict[str, Any] | None = None) -> Page:
    response = browser.get(path, query, headers=ASKED)
    assert response.status_code == 200
    page = Page(response.text)
    assert not page.is_whole
    return page


def chosen(facet: Part) -> list[str]:
    """The words of the chosen values."""
    return [value.text for value in facet.all(".//a[@aria-checked='true']")]
