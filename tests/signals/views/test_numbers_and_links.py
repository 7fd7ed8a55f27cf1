"""Each number on a signal's page is the number of rows that its link lists, for random labels."""

import random
from datetime import datetime, timedelta

import pytest
from django.test import Client

from catalyst.core.models import Project
from signals import operations
from signals.definitions.definition import Definition
from signals.models import Label, Signal
from tests.factories import make_agent, make_label, make_signal
from tests.page import Page

pytestmark = pytest.mark.real_clock

SEEDS = range(4)
STATUSES = ("done", "done", "done", "failed", "skipped", "queued")
LABEL_SETS = (("good", "fair", "bad"), ("fair", "awful"), ())


def fill(signal: Signal, chance: random.Random, now: datetime) -> None:
    """Give targets labels of up to three versions, whose label sets differ."""
    for number, labels in enumerate(LABEL_SETS[: chance.randint(1, 3)]):
        if number:
            kind = "string" if labels else "binary"
            operations.publish_version(signal, Definition(kind, f"Prompt {number}", 100, labels))
        version = signal.current_version
        assert version is not None
        # Pending live work moves to the new version.
        Label.objects.filter(version=version).delete()
        for target in chance.sample(range(1, 61), chance.randint(0, 40)):
            status = chance.choice(STATUSES)
            has_value = status == "done" or (status == "queued" and chance.random() < 0.5)
            value = chance.choice(version.labels) if has_value else ""
            start = now - timedelta(minutes=7 * target)
            label = make_label(signal, target, now=now, value=value, target_time=start)
            Label.objects.filter(pk=label.pk).update(status=status)


def rows_at(browser: Client, page: str, query: str) -> int:
    """How many rows a link lists, on all its pages."""
    listed = Page(browser.get(page + query).text)
    count = len(listed.rows)
    while listed.has_link("Load more"):
        listed = Page(browser.get(page + listed.link("Load more")).text)
        count += len(listed.rows)
    return count


@pytest.mark.parametrize("seed", SEEDS)
def test_each_number_is_the_number_of_rows_that_its_link_lists(
    browser: Client, project: Project, now: datetime, seed: int
) -> None:
    chance = random.Random(seed)
    signal = make_signal(make_agent(project), labels=LABEL_SETS[0], active_since=now - timedelta(days=9))
    fill(signal, chance, now)
    page = f"/p/default/signals/{signal.pk}/"
    scopes = ["", "&version=1", "&version=all"]
    for query in (f"?range=1d{scope}" for scope in scopes):
        shown = Page(browser.get(page + query).text)
        if not any(label.startswith("Rates and coverage") for label in shown.labels):
            assert rows_at(browser, page, query) == 0
            continue
        (name,) = [label for label in shown.labels if label.startswith("Rates and coverage")]
        evidence = shown.region(name)
        numbers = [(words, href) for words, href in evidence.links if words.isdigit()]
        assert len(numbers) >= 2
        for words, href in numbers:
            assert rows_at(browser, page, href) == int(words), (query, words, href)
        for words, href in shown.part("label-choice").links:
            assert rows_at(browser, page, href) == int(words.split()[-1]), (query, words, href)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("query", ["range=1d", "range=6h", "range=7d&bars=day", "range=1d&version=all"])
def test_each_bar_is_the_number_of_rows_that_a_click_lists(
    browser: Client, project: Project, now: datetime, seed: int, query: str
) -> None:
    chance = random.Random(seed)
    signal = make_signal(make_agent(project), labels=LABEL_SETS[0], active_since=now - timedelta(days=9))
    fill(signal, chance, now)
    page = f"/p/default/signals/{signal.pk}/"
    data = Page(browser.get(f"{page}?{query}").text).figures["labels-over-time"]["data"]
    version = "&version=all" if "version=all" in query else ""
    heights: dict[str, float] = {}
    for trace in data:
        for bucket, height in zip(trace["customdata"], trace["y"], strict=True):
            heights[bucket] = heights.get(bucket, 0) + (height or 0)
    assert len(heights) == len(data[0]["x"])
    counted = {bucket: height for bucket, height in heights.items() if height}
    empty = [bucket for bucket, height in heights.items() if not height][:2]
    for bucket in [*counted, *empty]:
        assert rows_at(browser, page, f"?{bucket}{version}") == heights[bucket], bucket
    whole = rows_at(browser, page, f"?{query}&status=labelled")
    assert sum(heights.values()) == whole


def test_a_label_that_no_judging_version_offers_has_no_share(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(days=1))
    make_label(signal, now=now, value="no")
    operations.publish_version(signal, Definition("string", "Which topic?", 100, ("refund", "other")))
    page = Page(browser.get(f"/p/default/signals/{signal.pk}/").text)
    (name,) = [label for label in page.labels if label.startswith("Rates and coverage")]
    refund, other, yes = (part.text for part in page.region(name).all(".//*[@class='stat']"))
    assert refund.startswith("refund \N{EN DASH}")
    assert other.startswith("other \N{EN DASH}")
    assert yes.startswith("no 100%")
    row = Page(browser.get("/p/default/signals/").text).rows[0]
    assert "no 100%" in row.text


def test_a_version_with_the_same_labels_keeps_their_shares(browser: Client, project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(days=1))
    make_label(signal, now=now, value="no")
    operations.publish_version(signal, Definition("binary", "Really?", 100))
    row = Page(browser.get("/p/default/signals/").text).rows[0]
    assert "yes 0%" in row.text


def test_a_target_of_two_versions_counts_once_unless_they_are_pooled(
    browser: Client, project: Project, now: datetime
) -> None:
    signal = make_signal(make_agent(project), active_since=now - timedelta(days=1))
    make_label(signal, now=now, value="yes")
    operations.publish_version(signal, Definition("binary", "Really?", 100))
    make_label(signal, now=now, value="no")
    page = f"/p/default/signals/{signal.pk}/"
    once, pooled = (Page(browser.get(page + query).text) for query in ("", "?version=all"))
    assert (len(once.rows), len(pooled.rows)) == (1, 2)
    assert once.choice("Version").options["All versions, pooled"] == "all"
    assert "counts for each" in pooled.text
    assert pooled.choice("Version").chosen == ["All versions, pooled"]
