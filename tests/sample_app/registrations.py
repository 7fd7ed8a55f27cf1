"""One entry of each kind. What ran is noted in `calls`."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from catalyst.health import Check, Metric, gauge_of
from catalyst.registry import (
    AgentRows,
    DemoData,
    Maintenance,
    ModelUse,
    PeriodicTask,
    Preparation,
    Probe,
    Retention,
    Section,
    Tab,
)

calls: list[str] = []


def maintain(_now: datetime) -> None:
    calls.append("maintenance")


def prepare() -> None:
    calls.append("preparation")


def delete_expired(_now: datetime) -> int:
    calls.append("retention")
    return 3


def load_demo(_project: int, _now: datetime) -> None:
    calls.append("load")


def erase_demo(_project: int) -> None:
    calls.append("erase")


def move_birds(_source: object, _into: object) -> None:
    calls.append("move")


def birds_of(_connections: Collection[int]) -> dict[int, list[tuple[str, str]]]:
    calls.append("users")
    return {}


def count_birds(_now: datetime) -> int:
    return 7


def check_birds(count: int, _now: datetime) -> Iterator[Check]:
    yield Check("Birds", "cage", "warn", f"{count} birds", "Open the cage.")


def bird_metrics(count: int, _now: datetime) -> Iterator[Metric]:
    yield gauge_of("birds", "Birds in the cage.", count)


REGISTRATIONS = (
    PeriodicTask(
        name="birds",
        order=1_000,
        interval=timedelta(seconds=1),
        task="tests.ops.sample_tasks.note_periodically",
        label="birds",
        description="counts birds",
        lack="Nobody knows how many there are.",
    ),
    Maintenance(name="birds", order=1_000, run=maintain, at_start=True),
    Preparation(name="birds", order=1_000, run=prepare),
    Retention(name="birds", order=1_000, delete=delete_expired),
    Probe(name="birds", order=1_000, collect=count_birds, judge=check_birds, metrics=bird_metrics),
    Section(name="Birds", order=50, url_name="core:member-list", icon="agent", key="b", folders=("birds",)),
    Tab(page="agent", order=1_000, name="birds", label="Birds", url_name="traces:agent-traces"),
    Tab(page="signal", order=1_000, name="birds", label="Birds", url_name="signals:run-list"),
    Tab(page="settings", order=1_000, name="birds", label="Birds", url_name="core:key-list", owners_only=True),
    DemoData(name="birds", order=1_000, load=load_demo, erase=erase_demo),
    AgentRows(name="birds", order=1_000, move=move_birds),
    ModelUse(name="birds", order=1_000, users=birds_of),
)
