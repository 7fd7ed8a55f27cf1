"""Lists of traces narrowed to a finding that nothing knows. tests/halo has those of findings that there are."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client

from catalyst.core.models import Project, User
from tests.factories import make_trace_row
from tests.page import Page

pytestmark = pytest.mark.real_clock

LIST = "/p/default/traces/"


@pytest.fixture
def browser(client_as: Callable[[User], Client], bob: User) -> Client:
    return client_as(bob)


def test_an_unknown_finding_matches_nothing_and_says_so(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, now=now)
    page = Page(browser.get(f"{LIST}?finding=12&range=7d").text)
    assert page.rows == []
    assert "finding: 12, which Default does not have" in page.main.text
    assert page.main.link("Remove filter finding") == "?range=7d"


def test_what_is_no_finding_is_not_applied(browser: Client, project: Project, now: datetime) -> None:
    make_trace_row(project, now=now)
    page = Page(browser.get(f"{LIST}?finding=banana&range=7d").text)
    assert "Not applied. Finding: Enter a whole number." in page.main.text
    assert len(page.table().rows) == 1


def test_sessions_have_no_such_filter(browser: Client, project: Project) -> None:
    page = Page(browser.get("/p/default/sessions/?finding=12&range=7d").text)
    assert "Finding: Only traces can be filtered by it." in page.main.text
