"""The versions of a signal: what each asks and changed, and what it gave."""

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

pytestmark = pytest.mark.real_clock

SECOND = Definition(type="string", prompt="Is it <b>good</b>?", sample_rate=50, labels=("good", "bad"))


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    """An active one that asks about traces."""
    return make_signal(make_agent(project), labels=("good", "bad"), active_since=now - timedelta(days=9))


def page_of(signal: Signal) -> str:
    return f"/p/default/signals/{signal.pk}/versions/"


def text_of(response_text: str) -> str:
    return " ".join(response_text.split())


def test_it_shows_who_changed_what_newest_first(browser: Client, signal: Signal, bob: User) -> None:
    operations.publish_version(signal, SECOND, Actor(bob))
    text = browser.get(page_of(signal)).text
    assert text.index('id="version-2"') < text.index('id="version-1"')
    assert "by bob" in text_of(text)
    assert "Sample rate: 100% → 50%" in text
    assert "Is it &lt;b&gt;good&lt;/b&gt;?" in text
    assert "Does the user ask for a refund?" in text
    assert "The first question" in text
    assert text.count(">current<") == 1


def test_it_counts_what_each_version_gave_and_cost(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    good, bad, failed = make_labels(signal, project, 3, now=now)
    for label, value in ((good, "good"), (bad, "bad")):
        given = {"status": "done", "value": value, "labelled_at": now, "cost": Decimal("0.5")}
        Label.objects.filter(pk=label.pk).update(**given)
    Label.objects.filter(pk=failed.pk).update(status="failed", error="No.")
    operations.publish_version(signal, SECOND)
    second, first = browser.get(page_of(signal)).text.split('id="version-1"')
    assert '?range=1d&amp;version=1">' in text_of(first)
    assert '<dt>Failed</dt><dd class="bad-text"> 1</dd>' in text_of(first)
    assert "$1.00" in first
    assert 'aria-label="good 1, bad 1"' in first
    assert "No labels in this range" in second
    assert "$" not in second


def test_it_counts_in_the_range_of_the_page(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    (label,) = make_labels(signal, project, 1, now=now - timedelta(days=5))
    Label.objects.filter(pk=label.pk).update(status="done", value="good", labelled_at=now)
    assert "No labels in this range" in browser.get(page_of(signal)).text
    assert 'aria-label="good 1, bad 0"' in browser.get(f"{page_of(signal)}?range=7d").text


def test_it_continues_with_older_versions(browser: Client, signal: Signal) -> None:
    for number in range(2, 24):
        operations.publish_version(signal, replace(SECOND, prompt=f"Question {number}?"))
    first = browser.get(page_of(signal)).text
    assert first.count('id="version-') == 20
    assert ">Older versions<" in first
    last = browser.get(f"{page_of(signal)}?before=4").text
    assert last.count('id="version-') == 3
    assert ">Older versions<" not in last
    for nonsense in ("x", "-1", "9" * 30, "%00"):
        assert browser.get(f"{page_of(signal)}?before={nonsense}").text.count('id="version-') == 20
    assert browser.get(f"{page_of(signal)}?before=1").status_code == 200


def test_it_stands_in_the_same_frame_as_the_results(browser: Client, signal: Signal) -> None:
    for path in (f"/p/default/signals/{signal.pk}/", page_of(signal)):
        text = browser.get(f"{path}?range=7d&version=1&status=failed").text
        assert f'href="/p/default/signals/{signal.pk}/?range=7d"' in text
        assert f'href="{page_of(signal)}?range=7d"' in text
        assert text.count('aria-current="page">Results') == (path != page_of(signal))
        assert "Disable" in text


def test_the_results_say_that_they_are_of_one_version(browser: Client, signal: Signal) -> None:
    text = text_of(browser.get(f"/p/default/signals/{signal.pk}/?version=1").text)
    assert "Only labels of version 1." in text
    assert "Only labels of version" not in browser.get(f"/p/default/signals/{signal.pk}/").text


@pytest.mark.parametrize(("person", "status"), [("charlie", 404), ("viewer", 200)])
def test_it_shows_itself_to_members_only(
    request: pytest.FixtureRequest, client_as: Callable[[User], Client], signal: Signal, person: str, status: int
) -> None:
    response = client_as(request.getfixturevalue(person)).get(page_of(signal))
    assert response.status_code == status
    assert "Disable" not in response.text


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
