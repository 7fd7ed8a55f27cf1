"""Apps add entries to the registry. What can't work is refused when Catalyst starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from catalyst import registry
from catalyst.registry import Entry, PeriodicTask, Section, Tab

SECOND = timedelta(seconds=1)


@contextmanager
def registered(*entries: Entry) -> Iterator[None]:
    registry.register(*entries)
    try:
        yield
    finally:
        registry.unregister(*entries)


def section(name: str, order: int, key: str, folder: str) -> Section:
    return Section(name=name, order=order, url_name="core:settings", icon="settings", key=key, folders=(folder,))


def tab(name: str, page: Any) -> Tab:
    return Tab(name=name, order=0, page=page, label=name, url_name="core:settings")


def test_it_sorts_entries_by_order_then_by_name() -> None:
    first, second, third = section("Zoo", -2, "q", "q"), section("Bird", -1, "w", "w"), section("Cat", -1, "z", "z")
    with registered(third, first, second):
        assert registry.entries(Section)[:3] == (first, second, third)
    assert first not in registry.entries(Section)


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (section("Birds", 0, "q", "q"), section("Birds", 9, "w", "w"), "name Birds"),
        (section("Birds", 0, "q", "q"), section("Cats", 9, "q", "w"), "key q"),
        (section("Birds", 0, "q", "q"), section("Cats", 9, "w", "q"), "folder q"),
        (tab("bird", "agent"), tab("bird", "agent"), "name bird on page agent"),
    ],
)
def test_it_refuses_two_entries_with_the_same_identity(one: Entry, other: Entry, reason: str) -> None:
    with registered(one), pytest.raises(ImproperlyConfigured, match=reason):
        registry.register(other)


def test_it_takes_tabs_of_one_name_on_two_pages() -> None:
    with registered(tab("bird", "agent"), tab("bird", "signal")):
        assert [each.page for each in registry.entries(Tab) if each.name == "bird"] == ["agent", "signal"]


def test_it_refuses_unknown_kinds_pages_and_queues() -> None:
    with pytest.raises(ImproperlyConfigured, match="Can't register a Entry, only PeriodicTask"):
        registry.register(Entry(name="bird", order=0))
    with pytest.raises(ImproperlyConfigured, match="no page zoo with tabs, only agent, signal, settings"):
        tab("bird", "zoo")
    with pytest.raises(ImproperlyConfigured, match="no queue zoo in TASKS, only default, judge"):
        PeriodicTask(
            name="bird",
            order=0,
            interval=SECOND,
            task="birds.tasks.fly",
            queue="zoo",
            label="",
            description="",
            lack="",
        )
