"""Asking again what an earlier version asked, and copying a signal."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from catalyst.core.models import Project, User
from signals import operations
from signals.definitions.definition import Definition
from signals.models import Label, Signal
from tests.factories import make_agent, make_labels, make_signal
from tests.page import Page

SECOND = Definition(
    type="string", prompt="How did it end?", sample_rate=50, labels=("good", "bad"), sentiments={"bad": "neutral"}
)


@pytest.fixture
def signal(project: Project) -> Signal:
    return make_signal(make_agent(project), labels=("good", "fair", "bad"), judge_model="judge-2", template="sentiment")


def restore(signal: Signal, number: int) -> str:
    return f"/p/default/signals/{signal.pk}/versions/{number}/restore/"


def restores(page: Page) -> list[str]:
    """The addresses of the forms that restore a version."""
    return [form.action for form in page.forms if form.action.endswith("/restore/")]


def entries(project: Project) -> list[tuple[str, str, str]]:
    """What the audit log says of signals, oldest first."""
    found = project.audit_entries.filter(kind="signal").order_by("pk")
    return [(entry.actor_name, entry.action, entry.detail) for entry in found]


def test_it_makes_a_version_that_asks_what_an_earlier_one_did(
    browser: Client, signal: Signal, project: Project, bob: User
) -> None:
    operations.publish_version(signal, SECOND)
    response = browser.post(restore(signal, 1), {"based_on": "2"}, follow=True)
    assert response.redirect_chain[-1][0] == f"/p/default/signals/{signal.pk}/versions/"
    assert "v1 is restored as v3" in Page(response.text).text
    current = Signal.objects.select_related("current_version").get().current_version
    assert current is not None
    assert (current.number, current.created_by) == (3, bob)
    assert current.definition == signal.versions.get(number=1).definition
    assert entries(project)[-1] == ("bob", "restored", "version 1 as version 3")


def test_it_offers_that_for_all_but_the_current_version(browser: Client, signal: Signal, now: datetime) -> None:
    operations.publish_version(signal, SECOND)
    page = f"/p/default/signals/{signal.pk}/versions/"
    for path in (page, f"{page}compare/"):
        assert restores(Page(browser.get(path).text)) == [restore(signal, 1)]
    operations.archive(signal, now)
    assert restores(Page(browser.get(page).text)) == []


def test_it_restores_nothing_over_a_version_that_was_not_seen(browser: Client, signal: Signal) -> None:
    operations.publish_version(signal, SECOND)
    operations.publish_version(signal, replace(SECOND, prompt="Third?"))
    page = Page(browser.post(restore(signal, 1), {"based_on": "2"}, follow=True).text)
    assert "Version 3 went live" in page.text
    assert signal.versions.count() == 3


def test_it_makes_no_version_of_what_is_asked_anyway(browser: Client, signal: Signal, project: Project) -> None:
    browser.post(restore(signal, 1))
    assert signal.versions.count() == 1
    assert [action for _, action, _ in entries(project)] == ["created"]


def test_it_leads_an_htmx_request_to_the_versions(browser: Client, signal: Signal) -> None:
    operations.publish_version(signal, SECOND)
    response = browser.post(restore(signal, 1), headers={"HX-Request": "true"})
    assert response.headers["HX-Redirect"] == f"/p/default/signals/{signal.pk}/versions/"


def test_it_asks_the_restored_question_of_what_waits(signal: Signal, project: Project, now: datetime) -> None:
    operations.activate(signal, now - timedelta(days=1))
    operations.publish_version(signal, replace(SECOND, sample_rate=100))
    make_labels(signal, project, 2, now=now)
    version = operations.restore_version(signal, 1)
    assert list(Label.objects.values_list("version", "status")) == [(version.pk, "queued")] * 2


def test_it_knows_the_versions_of_the_signal_only(browser: Client, signal: Signal, other_project: Project) -> None:
    foreign = make_signal(make_agent(other_project))
    assert browser.post(restore(foreign, 1)).status_code == 404
    assert browser.post(restore(signal, 2)).status_code == 404
    assert browser.post(restore(signal, 10**30)).status_code == 404
    assert browser.get(restore(signal, 1)).headers["Location"] == f"/p/default/signals/{signal.pk}/versions/"


def test_it_copies_a_signal_to_another_agent_as_a_draft(
    browser: Client, signal: Signal, project: Project, bob: User
) -> None:
    operations.publish_version(signal, SECOND)
    other = make_agent(project, "other-bot")
    path = f"/p/default/signals/{signal.pk}/duplicate/"
    form = Page(browser.get(path).text).main.forms[0]
    assert form.fields["agent"] == [str(other.pk)]
    response = browser.post(path, {"agent": other.pk, "name": " Mood  there "})
    copy = Signal.objects.select_related("current_version").get(agent=other)
    assert response.headers["Location"] == copy.get_absolute_url()
    assert copy.current_version is not None
    assert signal.current_version is not None
    assert (copy.name, copy.state, copy.scope, copy.template) == ("Mood there", "draft", "trace", "sentiment")
    assert (copy.created_by, copy.current_version.number) == (bob, 1)
    assert copy.current_version.definition == signal.current_version.definition
    assert entries(project)[-2:] == [("bob", "created", ""), ("bob", "duplicated", "as Mood there for other-bot")]


@pytest.mark.parametrize("wrong", [{"name": " "}, {"name": "a" * 101}, {"agent": "x"}, {"agent": "0"}])
def test_it_copies_nothing_that_can_not_be(browser: Client, signal: Signal, wrong: dict[str, str]) -> None:
    posted = {"agent": str(signal.agent_id), "name": "Copy"} | wrong
    assert browser.post(f"/p/default/signals/{signal.pk}/duplicate/", posted).status_code == 422
    assert Signal.objects.count() == 1


def test_it_copies_to_no_agent_of_another_project(browser: Client, signal: Signal, other_project: Project) -> None:
    foreign = make_agent(other_project)
    path = f"/p/default/signals/{signal.pk}/duplicate/"
    assert browser.post(path, {"agent": foreign.pk, "name": "Copy"}).status_code == 422
    with pytest.raises(ValidationError, match="another project"):
        operations.duplicate(signal, foreign, "Copy")
    assert Signal.objects.count() == 1


def test_it_is_reached_from_the_page_of_the_signal(browser: Client, signal: Signal) -> None:
    page = Page(browser.get(f"/p/default/signals/{signal.pk}/").text)
    assert page.link("Duplicate") == f"/p/default/signals/{signal.pk}/duplicate/?"
    assert page.link("Edit") == f"/p/default/signals/{signal.pk}/edit/?"
    assert Page(browser.get(page.link("Edit")).text).field("Name").value == "Refund wanted"
