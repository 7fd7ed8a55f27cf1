"""A small seeded sample of `make torture`."""

import pytest

from tests.conftest import database_copy
from tests.torture import bodies, fairness, kills, partitions, startup, strangers
from tests.torture.report import Report

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("torture")]


def passed(report: Report) -> bool:
    print(report)  # noqa: T201 # shown for a failure
    return not report.failures


def test_it_loses_nothing_when_processes_are_killed() -> None:
    assert passed(kills.run(3, seed=20, pauses=(0.2, 1.5)))


def test_it_takes_any_body() -> None:
    with database_copy("bodies") as url:  # rather than migrate one
        assert passed(bodies.run(200, seed=20, DATABASE_URL=url))


def test_it_loses_nothing_when_days_are_made_and_dropped() -> None:
    with database_copy("partitions") as url:
        assert passed(partitions.run(2, seed=20, DATABASE_URL=url))


def test_strangers_do_not_stop_a_neighbor() -> None:
    with database_copy("strangers") as url:
        assert passed(strangers.run(0.1, DATABASE_URL=url))


def test_a_busy_project_does_not_stop_a_neighbor() -> None:
    with database_copy("fairness") as url:
        assert passed(fairness.run(seed=20, scale=0.01, DATABASE_URL=url))


def test_it_starts_with_a_backlog() -> None:
    assert passed(startup.run(labels=400, starts=2, seed=20))
