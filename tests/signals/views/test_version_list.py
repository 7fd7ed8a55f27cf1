"""The versions of a signal: what each asks and changed, and what it gave."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst.core.actor import Actor
from catalyst.core.models import Project, User
from signals import operations
from signals.definitions.definition import Definition
from signals.models import Label, Signal
from tests.factories import make_agent, make_labels, make_signal
from tests.page import Page

pytestmark = pytest.mark.real_clock

SECOND = Definition(type="string", prompt="Is it <b>good</b>?", sample_rate=50, labels=("good", "bad"))


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    """An active one that asks about traces."""
    return make_signal(make_agent(project), labels=("good", "bad"), active_since=now - timedelta(days=9))


def page_of(signal: Signal) -> str:
    return f"/p/default/signals/{signal.pk}/versions/"


def numbers(page: Page) -> list[int]:
    """The numbers of the versions on a page, in order."""
    return [int(heading.removeprefix("v")) for heading in page.headings if re.fullmatch(r"v\d+", heading)]


def test_it_shows_who_changed_what_newest_first(browser: Client, signal: Signal, bob: User) -> None:
    operations.publish_version(signal, SECOND, Actor(bob))
    response = browser.get(page_of(signal))
    assert "Is it &lt;b&gt;good&lt;/b&gt;?" in response.text
    page = Page(response.text)
    assert numbers(page) == [2, 1]
    second, first = page.region("v2"), page.region("v1")
    assert "by bob" in second.text
    assert "Sample rate: 100% → 50%" in second.items
    assert second.region("Prompt of version 2").text == "Is it <b>good</b>?"
    assert first.region("Prompt of version 1").text == "Does the user ask for a refund?"
    assert "First version" in first.text
    assert ["current" in version.text for version in (second, first)] == [True, False]


def test_it_counts_what_each_version_gave_and_cost(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    good, bad, failed = make_labels(signal, project, 3, now=now)
    for label, value in ((good, "good"), (bad, "bad")):
        given = {"status": "done", "value": value, "labelled_at": now, "cost": Decimal("0.5")}
        Label.objects.filter(pk=label.pk).update(**given)
    Label.objects.filter(pk=failed.pk).update(status="failed", error="No.")
    operations.publish_version(signal, SECOND)
    page = Page(browser.get(page_of(signal)).text)
    second, first = page.region("v2"), page.region("v1")
    assert first.facts == {"Labels": "2", "Failed": "1", "Judge cost": "$1.00"}
    assert first.link("2") == f"/p/default/signals/{signal.pk}/?range=1d&version=1"
    assert first.region("good 1, bad 1")
    assert second.facts == {"Labels": "0", "Failed": "0", "Judge cost": "\N{EN DASH}"}
    assert "No labels in this range" in second.text


def test_it_counts_in_the_range_of_the_page(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    (label,) = make_labels(signal, project, 1, now=now - timedelta(days=5))
    Label.objects.filter(pk=label.pk).update(status="done", value="good", labelled_at=now)
    assert "No labels in this range" in Page(browser.get(page_of(signal)).text).region("v1").text
    assert Page(browser.get(f"{page_of(signal)}?range=7d").text).region("v1").region("good 1, bad 0")


def test_it_continues_with_older_versions(browser: Client, signal: Signal) -> None:
    for number in range(2, 24):
        operations.publish_version(signal, replace(SECOND, prompt=f"Question {number}?"))
    first = Page(browser.get(page_of(signal)).text)
    last = Page(browser.get(page_of(signal) + first.link("Older versions")).text)
    assert numbers(first) == list(range(23, 3, -1))
    assert numbers(last) == [3, 2, 1]
    assert not last.has_link("Older versions")
    for nonsense in ("x", "-1", "9" * 30, "%00"):
        assert numbers(Page(browser.get(f"{page_of(signal)}?before={nonsense}").text)) == numbers(first)
    assert browser.get(f"{page_of(signal)}?before=1").status_code == 200


def test_it_stands_in_the_same_frame_as_the_results(browser: Client, signal: Signal) -> None:
    for path in (f"/p/default/signals/{signal.pk}/", page_of(signal)):
        page = Page(browser.get(f"{path}?range=7d&version=1&status=failed").text).main
        assert page.link("Results") == f"/p/default/signals/{signal.pk}/?range=7d"
        assert page.link("Versions") == f"{page_of(signal)}?range=7d"
        assert ("Results" in page.current) == (path != page_of(signal))
        assert "Disable" in page.buttons


def test_the_results_say_that_they_are_of_one_version(browser: Client, signal: Signal) -> None:
    results = f"/p/default/signals/{signal.pk}/"
    assert "Labels of v1 only." in Page(browser.get(f"{results}?version=1").text).text
    assert "Only labels of version" not in Page(browser.get(results).text).text


@pytest.mark.parametrize(("person", "status"), [("charlie", 404), ("viewer", 200)])
def test_it_shows_itself_to_members_only(
    request: pytest.FixtureRequest, client_as: Callable[[User], Client], signal: Signal, person: str, status: int
) -> None:
    response = client_as(request.getfixturevalue(person)).get(page_of(signal))
    assert response.status_code == status
    assert "Disable" not in Page(response.text).buttons


def test_it_shows_no_signal_of_another_project(browser: Client, other_project: Project) -> None:
    foreign = make_signal(make_agent(other_project))
    assert browser.get(page_of(foreign)).status_code == 404
    assert browser.post(page_of(foreign)).status_code == 405


def test_it_asks_as_often_for_many_versions_as_for_few(browser: Client, signal: Signal) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(page_of(signal)).status_code == 200
        return len(captured)

    few = queries()
    for number in range(5):
        operations.publish_version(signal, replace(SECOND, prompt=f"Question {number}?"))
    assert queries() == few
