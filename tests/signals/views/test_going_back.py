"""After a change the reader is where it was made: on the same page, with its range and filters."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from catalyst.core.models import Project, User
from signals import operations
from signals.definitions import definition
from signals.models import Label, Signal, SignalRun
from tests.factories import make_agent, make_labels, make_signal
from tests.page import Page

pytestmark = pytest.mark.real_clock

HOST = "http://testserver"
QUERY = "?range=7d&label=yes"
ASKED: dict[str, Any] = {"type": "binary", "prompt": "Again?", "sample_rate": 100}


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    signal = make_signal(make_agent(project), active_since=now)
    make_labels(signal, project, 1, now=now)
    operations.publish_version(signal, definition.Definition(**ASKED))
    return signal


def url(name: str, *args: int) -> str:
    return reverse(f"signals:{name}", args=["default", *args])


def post(browser: Client, path: str, page: str, **sent: Any) -> str:
    """Where the browser goes after a form that it was sent from this page."""
    answer = browser.post(path, sent, headers={"Referer": HOST + page})
    assert answer.status_code == 302
    return answer.headers["Location"]


@pytest.mark.parametrize("name", ["activate", "disable", "archive", "unarchive", "cap"])
@pytest.mark.parametrize("tab", ["signal-detail", "version-list", "run-list", "coverage-show"])
def test_what_is_done_with_a_signal_leads_back_to_the_tab(browser: Client, signal: Signal, name: str, tab: str) -> None:
    page = f"{url(tab, signal.pk)}{QUERY}"
    assert post(browser, url(f"signal-{name}", signal.pk), page, sure="yes") == page


def test_so_do_retries_restores_runs_and_caps(browser: Client, signal: Signal, now: datetime) -> None:
    label = Label.objects.get()
    window = {"start": f"{now:%Y-%m-%dT00:00}", "end": f"{now:%Y-%m-%dT%H:%M}", "sample_rate": 100}
    for path, tab, sent in (
        (url("label-retry", signal.pk), "signal-detail", {}),
        (url("label-again", signal.pk, label.pk), "signal-detail", {}),
        (url("signal-catch-up", signal.pk), "signal-detail", {}),
        (url("version-restore", signal.pk, 1), "version-compare", {"based_on": 2}),
    ):
        page = f"{url(tab, signal.pk)}{QUERY}"
        assert post(browser, path, page, **sent) == page
    answer = browser.post(url("run-create", signal.pk), window)
    run = SignalRun.objects.get()
    assert answer.headers["Location"].startswith(f"{url('run-list', signal.pk)}?from={now:%Y-%m-%d}T00%3A00&")
    for tab in ("run-list", "run-preview"):
        page = f"{url(tab, signal.pk)}{QUERY}"
        assert post(browser, url("run-cancel", signal.pk, run.pk), page) == page


def test_so_do_changes_of_the_list(client_as: Callable[[User], Client], alice: User, signal: Signal) -> None:
    browser, page = client_as(alice), f"{url('signal-list')}?state=active&range=30d"
    for path in (url("project-cap"), url("project-catch-up"), url("signal-bulk")):
        assert post(browser, path, page, do="disable", signal=signal.pk) == page


def test_htmx_is_led_back_too(browser: Client, signal: Signal) -> None:
    page = f"{url('version-list', signal.pk)}{QUERY}"
    headers = {"HX-Request": "true", "Referer": HOST + page}
    answer = browser.post(url("version-restore", signal.pk, 1), {"based_on": 2}, headers=headers)
    assert answer.headers["HX-Redirect"] == page


def test_a_page_that_only_asks_leads_on_with_its_query(browser: Client, signal: Signal) -> None:
    detail, listed = url("signal-detail", signal.pk) + QUERY, url("signal-list") + QUERY
    for name, target in (("signal-catch-up", detail), ("signal-edit", detail)):
        path = url(name, signal.pk) + QUERY
        assert target in [address for _, address in Page(browser.get(path).text).main.links]
        asked = {**ASKED, "name": signal.name, "based_on": 2, "pass_duration": "", "target_tokens": ""}
        assert post(browser, path, path, **asked) == target
    path = url("signal-bulk") + QUERY
    assert post(browser, path, path, do="archive", sure="yes", signal=signal.pk) == listed
    path = url("run-create", signal.pk) + QUERY
    assert browser.get(path).status_code == 200


def test_links_to_such_pages_carry_the_query(browser: Client, signal: Signal) -> None:
    page = Page(browser.get(url("signal-detail", signal.pk) + QUERY).text)
    for words, name in (("Edit", "signal-edit"), ("Duplicate", "signal-duplicate")):
        assert page.link(words) == url(name, signal.pk) + QUERY


@pytest.mark.parametrize(
    "page",
    ["", "https://elsewhere.example/p/", "//elsewhere.example/", "javascript:alert(1)", "http://testserver.example/"],
)
def test_it_leads_nowhere_else(browser: Client, signal: Signal, page: str) -> None:
    assert post(browser, url("signal-disable", signal.pk), page) == url("signal-detail", signal.pk)
