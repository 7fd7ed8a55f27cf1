"""Activating, disabling, archiving a signal, and judging again what failed."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client

from catalyst.core.models import Project, User
from signals import operations
from signals.models import Label, Signal
from tests.factories import make_agent, make_label, make_labels, make_signal
from tests.page import Page

pytestmark = pytest.mark.real_clock

CHANGES = ("activate", "disable", "archive", "unarchive", "retry")


@pytest.fixture
def signal(project: Project) -> Signal:
    """A draft."""
    return make_signal(make_agent(project))


def post(browser: Client, signal: Signal, change: str) -> Page:
    """Change it and return the page that follows."""
    response = browser.post(f"/p/default/signals/{signal.pk}/{change}/", {"sure": "yes"}, follow=True)
    assert response.redirect_chain == [(f"/p/default/signals/{signal.pk}/", 302)]
    signal.refresh_from_db()
    return Page(response.text)


def test_it_activates_and_disables(browser: Client, signal: Signal) -> None:
    assert "Activate" in Page(browser.get(signal.get_absolute_url()).text).buttons
    page = post(browser, signal, "activate")
    assert signal.state == "active"
    assert "Refund wanted is active. No model is connected that judges it, so its labels fail." in page.text
    assert "Activate" not in page.buttons
    assert "Disable" in page.buttons
    post(browser, signal, "disable")
    assert signal.state == "disabled"


@pytest.mark.usefixtures("judge")
def test_it_activates_what_a_model_judges(browser: Client, signal: Signal) -> None:
    assert "is active and judges new traffic" in post(browser, signal, "activate").text


def test_it_says_before_and_after_that_no_model_judges_it(browser: Client, signal: Signal, now: datetime) -> None:
    fails = "No model is connected that judges it, so its labels fail."
    editor = Page(browser.get(f"{signal.get_absolute_url()}edit/").text)
    assert "Until then labels fail." in editor.text
    filled = editor.form("edit/?").filled
    edited = f"{signal.get_absolute_url()}edit/"
    assert fails not in Page(browser.post(edited, filled | {"prompt": "Rude?"}, follow=True).text).text
    filled = Page(browser.get(edited).text).form("edit/?").filled
    page = Page(browser.post(edited, filled | {"prompt": "Angry?", "then": "activate"}, follow=True).text)
    assert f"Refund wanted is saved as v3. {fails}" in page.text
    chosen = {"signal": signal.pk, "do": "activate"}
    page = Page(browser.post("/p/default/signals/bulk/", chosen, follow=True).text)
    assert "Refund wanted: no model is connected that judges them, so their labels fail." in page.text
    make_label(signal, now=now, status="failed")
    assert "Retry" not in Page(browser.get(signal.get_absolute_url()).text).buttons


def test_it_archives_and_brings_back(browser: Client, signal: Signal, now: datetime) -> None:
    operations.activate(signal, now)
    page = post(browser, signal, "archive")
    assert (signal.state, signal.archived_at is None) == ("disabled", False)
    assert "Archived" in page.main.text
    assert "Unarchive" in page.buttons
    assert not page.has_link("Edit")
    assert "Unarchive it first" in post(browser, signal, "activate").text
    assert signal.state == "disabled"
    (unarchive,) = [form for form in page.forms if form.action.endswith("/unarchive/")]
    assert "as Disabled and judges nothing until you activate it" in unarchive.attribute("hx-confirm")
    assert "is unarchived as Disabled. Activate it to judge new traffic." in post(browser, signal, "unarchive").text
    assert signal.archived_at is None


def test_it_asks_before_it_archives_without_javascript(browser: Client, signal: Signal) -> None:
    response = browser.post(f"/p/default/signals/{signal.pk}/archive/")
    page = Page(response.text)
    assert "Archive 1 signal?" in page.headings
    assert page.link("Cancel").startswith(signal.get_absolute_url())
    signal.refresh_from_db()
    assert signal.archived_at is None
    browser.post("/p/default/signals/bulk/", page.form("bulk/?").filled | {"do": "archive"})
    signal.refresh_from_db()
    assert signal.archived_at is not None


@pytest.mark.usefixtures("judge")
def test_it_judges_again_what_failed(browser: Client, signal: Signal, project: Project, now: datetime) -> None:
    operations.activate(signal, now - timedelta(hours=1))
    failed, _ = make_labels(signal, project, 2, now=now)
    Label.objects.filter(pk=failed.pk).update(status="failed", attempts=5, error="No.")
    page = Page(browser.get(signal.get_absolute_url()).text)
    assert page.form(f"/p/default/signals/{signal.pk}/retry/").buttons == ["Retry"]
    assert "1 failed label will be judged again" in post(browser, signal, "retry").text
    failed.refresh_from_db()
    assert (failed.status, failed.attempts) == ("queued", 0)
    assert "No failed labels in the current version" in post(browser, signal, "retry").text


def test_it_retries_nothing_of_an_archived_signal(
    browser: Client, signal: Signal, project: Project, now: datetime
) -> None:
    operations.activate(signal, now - timedelta(hours=1))
    failed, _ = make_labels(signal, project, 2, now=now)
    Label.objects.filter(pk=failed.pk).update(status="failed", attempts=5, error="No.")
    of_label = f"/p/default/signals/{signal.pk}/labels/{failed.pk}/"
    assert "Retry" in Page(browser.get(of_label).text).buttons
    operations.archive(signal, now)
    for path in (signal.get_absolute_url(), of_label):
        assert "Retry" not in Page(browser.get(path).text).buttons
    refusal = "Failed labels of Refund wanted can't be retried: an archived signal judges nothing. Unarchive it first."
    assert refusal in post(browser, signal, "retry").text
    assert refusal in Page(browser.post(f"{of_label}retry/", follow=True).text).text
    failed.refresh_from_db()
    assert failed.status == "failed"
    operations.unarchive(signal)
    assert "Retry" in Page(browser.get(of_label).text).buttons


def test_it_sends_htmx_to_the_page(browser: Client, signal: Signal) -> None:
    response = browser.post(f"/p/default/signals/{signal.pk}/archive/", headers={"HX-Request": "true"})
    assert response.headers["HX-Redirect"] == f"/p/default/signals/{signal.pk}/"


@pytest.mark.parametrize("change", CHANGES)
def test_it_changes_nothing_for_others(
    client_as: Callable[[User], Client], viewer: User, charlie: User, browser: Client, signal: Signal, change: str
) -> None:
    path = f"/p/default/signals/{signal.pk}/{change}/"
    assert client_as(viewer).post(path).status_code == 403
    assert client_as(charlie).post(path).status_code == 404
    assert client_as(charlie).post(f"/p/other/signals/{signal.pk}/{change}/").status_code == 404
    assert browser.get(path).headers["Location"] == f"/p/default/signals/{signal.pk}/"
    assert browser.put(path).status_code == 405
    assert Client().post(path).headers["Location"].startswith("/login/")
    signal.refresh_from_db()
    assert (signal.state, signal.archived_at) == ("draft", None)
