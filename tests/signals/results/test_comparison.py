"""Two versions side by side: what differs, what they answered, and on which targets they disagree."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalyst.core.models import Project
from signals import operations
from signals.definitions.definition import Definition
from signals.models import Label, Signal
from signals.results import comparison
from tests.factories import make_agent, make_labels, make_signal
from tests.page import Page

pytestmark = pytest.mark.real_clock

SECOND = Definition(type="string", prompt="How did it end?", sample_rate=100, labels=("good", "fair", "ugly"))
PARTIAL = {"HX-Request": "true"}


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    """An active one that asks about traces."""
    return make_signal(make_agent(project), labels=("good", "fair", "bad"), active_since=now - timedelta(days=9))


def page_of(signal: Signal) -> str:
    return f"/p/default/signals/{signal.pk}/versions/compare/"


def traces_in(page: Page) -> list[str]:
    """The keys of the traces that a page links to, in order."""
    addresses = [address for _, address in page.links if re.search(r"/traces/[0-9a-f]{32}/$", address)]
    return [address.rstrip("/").rpartition("/")[2] for address in addresses]


def judged(signal: Signal, answers: Sequence[tuple[str, str]], now: datetime) -> list[str]:
    """Traces that version 1 and version 2 gave these labels, empty for none; returns their keys."""
    labels = make_labels(signal, signal.project, len(answers), now=now)
    second = operations.publish_version(signal, SECOND)
    for label, given in zip(labels, answers, strict=True):
        for version, value in zip((label.version, second), given, strict=True):
            row = Label.objects.filter(version=version, target_key=label.target_key)
            if not value:
                row.delete()
                continue
            done = {"status": "done", "value": value, "labelled_at": now, "reason": f"v{version.number}: {value}."}
            if not row.update(**done):
                label.pk, label.version = None, version
                label.save()
                Label.objects.filter(pk=label.pk).update(**done)
    return [label.target_key for label in labels]


def test_it_compares_the_current_version_with_the_one_before(browser: Client, signal: Signal, now: datetime) -> None:
    judged(signal, [("good", "good")], now)
    changed = Page(browser.get(page_of(signal)).text).region("What changed from v1 to v2")
    added, removed = ([mark.text for mark in changed.all(f".//li/{tag}")] for tag in ("ins", "del"))
    assert (added, removed) == (["+ ugly"], ["\u2212 bad"])
    assert "How did it end?" in changed.region("Changes of the prompt").text
    assert Page(browser.get(f"{page_of(signal)}?a=2&b=1").text).region("What changed from v2 to v1")


def test_it_shows_how_often_each_gives_each_label(browser: Client, signal: Signal, now: datetime) -> None:
    judged(signal, [("good", "good"), ("good", "fair"), ("bad", ""), ("", "ugly")], now)
    page = Page(browser.get(page_of(signal)).text)
    of_all, of_shared = page.table("Labels of either version"), page.table("Labels of the same targets")
    assert of_all.row("good").cells[1:] == ["66.7% 20.8 to 93.9%, 2 of 3", "33.3% 6.1 to 79.2%, 1 of 3"]
    assert of_all.row("ugly").cells[1:] == ["no such label", "33.3% 6.1 to 79.2%, 1 of 3"]
    assert of_all.row("fair")["v1"] == "0% 0.0 to 56.1%, 0 of 3"
    assert of_shared.row("good").cells[1:] == ["100% 34.2 to 100.0%, 2 of 2", "50.0% 9.5 to 90.5%, 1 of 2"]


def test_it_counts_how_labels_moved(browser: Client, signal: Signal, now: datetime) -> None:
    judged(signal, [("good", "good"), ("good", "fair"), ("good", "fair"), ("bad", "ugly"), ("bad", "")], now)
    moved = Page(browser.get(page_of(signal)).text).region("Label changes")
    assert "25.0% unchanged (95% CI 4.6 to 69.9%)" in moved.text
    moves = moved.table()
    assert moves.row("good")["fair"] == "2"
    assert moves.row("bad")["ugly"] == "1"
    assert moves.row("good")["good"] == "1"
    assert sorted(moves.links) == [("1", "?was=bad&became=ugly#flips"), ("2", "?was=good&became=fair#flips")]


def test_it_lists_the_targets_that_flipped(browser: Client, signal: Signal, now: datetime) -> None:
    keys = judged(signal, [("good", "good"), ("good", "fair"), ("bad", "ugly"), ("bad", "")], now)

    def shown(query: str) -> list[str]:
        return traces_in(Page(browser.get(f"{page_of(signal)}{query}").text))

    assert sorted(shown("")) == keys[1:3]
    assert shown("?was=good&became=fair") == keys[1:2]
    assert sorted(shown("?a=2&b=1")) == keys[1:3]
    assert shown("?a=2&b=1&was=ugly&became=bad") == keys[2:3]
    assert shown("?was=good&became=%00x") == []
    flips = Page(browser.get(f"{page_of(signal)}?was=good&became=fair").text).region("Changed traces")
    assert flips.table().row(1).cells[2:] == ["v1 good", "v1: good.", "v2 fair", "v2: fair."]


@pytest.mark.parametrize("fewer", [1, 2])
def test_it_looks_up_the_labels_of_the_version_with_fewer(
    browser: Client, signal: Signal, now: datetime, fewer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "MAX_SHARED_TARGETS", 1)
    alone = ("", "good") if fewer == 1 else ("good", "")
    judged(signal, [("good", "fair"), alone, alone], now)
    page = Page(browser.get(page_of(signal)).text)
    assert page.region("Label changes").table().row("good")["fair"] == "1"
    assert "of the newest" not in page.text


def test_it_says_when_it_compares_the_newest_only(
    browser: Client, signal: Signal, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "MAX_SHARED_TARGETS", 1)
    judged(signal, [("good", "fair"), ("good", "fair")], now)
    shared = Page(browser.get(page_of(signal)).text).region("Traces judged by both")
    assert "1 trace among the newest 1" in shared.text


def test_it_counts_in_the_range_of_the_page(browser: Client, signal: Signal, now: datetime) -> None:
    judged(signal, [("good", "fair")], now - timedelta(days=5))
    assert "No trace in the last 24 hours has labels of both" in Page(browser.get(page_of(signal)).text).text
    moved = Page(browser.get(f"{page_of(signal)}?range=7d").text).region("Label changes")
    assert moved.table().row("good")["fair"] == "1"


def test_it_continues_where_a_page_ended(
    browser: Client, signal: Signal, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "PAGE", 2)
    keys = judged(signal, [("good", "fair")] * 5, now)
    seen, query = [], ""
    while True:
        part = Page(browser.get(f"{page_of(signal)}{query}", headers=PARTIAL).text)
        assert not part.is_whole
        seen += traces_in(part)
        if not part.has_link("Load more"):
            break
        query = part.link("Load more")
    assert sorted(seen) == sorted(keys)


def test_it_needs_two_different_versions(browser: Client, signal: Signal) -> None:
    assert "has one version so far" in Page(browser.get(page_of(signal)).text).text
    operations.publish_version(signal, SECOND)
    for query in ("?a=2&b=2", "?a=7&b=9", "?a=99999999&b=1"):
        assert "Choose two different ones." in Page(browser.get(page_of(signal) + query).text).text
    for query in ("?a=x&b=%00", "?a=-1", f"?b={'9' * 30}&after=x"):
        assert "What changed from v1 to v2" in Page(browser.get(page_of(signal) + query).text).headings


def test_it_compares_no_versions_of_another_project(browser: Client, other_project: Project) -> None:
    foreign = make_signal(make_agent(other_project))
    assert browser.get(page_of(foreign)).status_code == 404


def test_it_asks_as_often_for_many_flips_as_for_few(browser: Client, signal: Signal, now: datetime) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(f"{page_of(signal)}?a=1&b=2").status_code == 200
        return len(captured)

    judged(signal, [("good", "fair"), *[("good", "good")] * 11], now)
    few = queries()
    Label.objects.filter(version__number=2).update(value="fair")
    assert queries() == few


def test_counts_of_all_labels_lead_to_their_rows(browser: Client, signal: Signal, now: datetime) -> None:
    judged(signal, [("good", "fair"), ("good", "good")], now)
    page = Page(browser.get(page_of(signal)).text)
    assert page.headings.index("Traces judged by both") < page.headings.index("All labels")
    every = page.region("All labels")
    assert "No fair comparison" in every.text
    assert every.links
    for count, href in every.links:
        assert len(Page(browser.get(href).text).rows) == int(count)
