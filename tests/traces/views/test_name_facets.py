"""The environments, services, models and users beside a list. That counts equal rows is in test_numbers_agree."""

from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst.core.models import Project
from tests.factories import turn
from tests.page import Page, Part
from tests.traces.views.facets import facets_of
from traces.analytics import name_facets
from traces.ingest import pipeline
from traces.views import facets

pytestmark = pytest.mark.real_clock

TRACES, SESSIONS = "/p/default/traces/", "/p/default/sessions/"
LISTS = pytest.mark.parametrize("path", [TRACES, SESSIONS])


def store(project: Project, now: datetime, *users: str) -> None:
    numbered = enumerate(users, start=1)
    turns = (turn(number, start=now, user=user, session=f"chat {number}") for number, user in numbered)
    pipeline.store(project.pk, [span for spans in turns for span in spans], now)


def boxes(page: Part, name: str) -> dict[str, bool]:
    """The check boxes of a facet, and whether they are checked."""
    found = page.region(name).all(".//a[@role='checkbox']")
    return {" ".join(box.text.split()): box.attribute("aria-checked") == "true" for box in found}


@LISTS
def test_several_values_can_be_chosen(browser: Client, project: Project, now: datetime, path: str) -> None:
    store(project, now, "ann", "ann", "bob", "cid", "")
    page = facets_of(browser, path)
    assert boxes(page, "User") == {"ann 2": False, "bob 1": False, "cid 1": False}
    one = page.region("User").link("bob 1")
    assert one == "?user=bob"
    page = facets_of(browser, path + one)
    assert boxes(page, "User") == {"ann": False, "bob": True, "cid": False}
    # Values of one name are alternatives: a number beside them is of the value alone, and leads there.
    assert page.region("User").link("Only ann 2") == "?user=ann"
    two = page.region("User").link("ann")
    assert two == "?user=bob&user=ann"
    assert len(Page(browser.get(path + two).text).rows) == 3
    whole = Page(browser.get(path + two).text)
    assert whole.searches[0].link("Remove filter user is ann") == "?user=bob"
    assert facets_of(browser, path + one).region("User").link("bob") == path


@LISTS
def test_only_what_offers_a_choice_is_shown(browser: Client, project: Project, now: datetime, path: str) -> None:
    store(project, now, "ann", "ann")
    names = {link.attribute("aria-labelledby") for link in facets_of(browser, path).all("//section")}
    assert names == ({"by-status", "by-agent"} if path == TRACES else {"by-status"})
    # What is chosen is shown, so that a click removes it.
    page = facets_of(browser, path, {"user": "nobody", "model": "gpt-4o-mini"})
    assert boxes(page, "User") == {"nobody": True, "ann": False}
    assert page.region("User").link("nobody") == "?model=gpt-4o-mini"


@LISTS
def test_they_are_in_a_fold_that_counts_the_filters(
    browser: Client, project: Project, now: datetime, path: str
) -> None:
    def fold(**query: Any) -> Part:
        (found,) = Page(browser.get(path, query).text).all("//details[@class='filters']")
        return found

    store(project, now, "ann", "bob")
    assert (fold().headings, fold().element.get("open")) == (["Filters"], None)
    agent = project.agents.get()
    chosen: dict[str, Any] = {"agent": agent.pk, "user": ["ann", "bob"], "min_tokens": 1}
    assert fold(**chosen).headings == ["Filters 4"]
    (search,) = Page(browser.get(path, chosen).text).searches
    assert len([label for label in search.labels if label.startswith("Remove filter")]) == 4
    assert f"agent: {agent}" in search.text
    # Without JavaScript a link asks for the facets, and they are in sight then.
    assert fold(facets=1).element.get("open") is not None


@LISTS
def test_it_shows_the_most_frequent_and_the_chosen_ones(
    browser: Client, project: Project, now: datetime, path: str
) -> None:
    store(project, now, *(f"user {number:02}" for number in range(14)), "user 13")
    user = facets_of(browser, path).region("User")
    assert list(boxes(facets_of(browser, path), "User")) == ["user 13 2", *(f"user {n:02} 1" for n in range(9))]
    assert "4 more. Type user = …" in user.text
    chosen = boxes(facets_of(browser, path, {"user": "user 12"}), "User")
    assert len(chosen) == 11
    assert chosen["user 12"]


@LISTS
def test_long_and_hostile_names_are_escaped(browser: Client, project: Project, now: datetime, path: str) -> None:
    hostile = "'\"><x-y>" + "n" * 240
    store(project, now, hostile, "b")
    response = browser.get(path, headers={"HX-Request": "true", "HX-Target": "facets"})
    assert "<x-y" not in response.text
    assert boxes(Page(response.text), "User") == {f"{hostile} 1": False, "b 1": False}


@LISTS
def test_too_many_rows_are_not_counted(
    browser: Client, project: Project, now: datetime, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(project, now, "ann", "bob", "bob")
    monkeypatch.setattr(name_facets, "MAX_COUNTED_ROWS", 2)
    user = facets_of(browser, path).region("User")
    assert boxes(facets_of(browser, path), "User") == {"bob": False, "ann": False}
    assert f"Values of the newest 2 {'traces' if path == TRACES else 'sessions'}, not counted." in user.text
    assert not user.all(".//output")


@LISTS
def test_counts_that_take_too_long_are_left_out(
    browser: Client, project: Project, now: datetime, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(project, now, "ann", "bob")
    monkeypatch.setattr(facets, "MAX_NAMES_MILLISECONDS", 1)
    slow = name_facets._COUNT.replace("FROM {table}", "FROM {table}, pg_sleep(1)", 1)
    monkeypatch.setattr(name_facets, "_COUNT", slow)
    page = facets_of(browser, path, {"user": "ann"})
    assert "took too long to count" in page.text
    assert boxes(page, "User") == {"ann": True}
    assert not page.region("User").all(".//output")


@LISTS
def test_a_list_without_rows_has_the_chosen_values(browser: Client, project: Project, now: datetime, path: str) -> None:
    store(project, now, "ann", "bob")
    page = facets_of(browser, path, {"user": ["ann", "x"], "label": "999:yes"})
    assert boxes(page, "User") == {"ann": True, "x": True}
    assert {link.text for link in page.region("User").all(".//output")} == {"0"}


@LISTS
def test_they_take_as_many_queries_for_many_values_as_for_one(
    browser: Client, project: Project, now: datetime, path: str
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            facets_of(browser, path, {"user": "u1", "model": "gpt-4o-mini"})
        return len(captured)

    store(project, now, "u1")
    few = queries()
    store(project, now, *(f"u{number}" for number in range(1, 12)))
    assert queries() == few


def test_nothing_of_other_projects_is_counted(
    browser: Client, project: Project, other_project: Project, now: datetime
) -> None:
    store(project, now, "ann", "bob")
    store(other_project, now, "ann", "eve")
    for path in (TRACES, SESSIONS):
        assert boxes(facets_of(browser, path), "User") == {"ann 1": False, "bob 1": False}


@LISTS
def test_the_filter_box_suggests_names_and_these_values(
    browser: Client, project: Project, now: datetime, path: str
) -> None:
    store(project, now, "<ann>", "bob")
    page = Page(browser.get(path).text)
    (box,) = page.all("//form[@role='search']/input[@type='search']")
    assert "model = gpt-4o" in box.attribute("placeholder")
    assert "user = " in suggested(page)
    page = Page(browser.get(path, headers={"HX-Request": "true", "HX-Target": "facets"}).text)
    assert {"user = ", "user = <ann>", "user = bob"} <= set(suggested(page))


def suggested(page: Page) -> list[str]:
    (known,) = page.all("//datalist[@id='filter-suggestions']")
    return [option.attribute("value") for option in known.all("./option")]
