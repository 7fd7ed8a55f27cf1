"""System checks refuse settings that would do harm quietly."""

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from catalyst.ops import checks


def found() -> list[str | None]:
    return [problem.id for problem in run_checks(tags=[checks.TAG])]


def test_it_has_nothing_against_the_settings_as_they_are() -> None:
    assert found() == []


def test_it_refuses_a_queue_that_would_run_long_tasks_twice(settings: Settings) -> None:
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "retry": 120, "timeout": 120}
    assert found() == ["catalyst.E001"]


def test_it_refuses_a_queue_that_nothing_works_off(settings: Settings) -> None:
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["default", "judge", "long"]}}
    assert found() == ["catalyst.E002"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8799", []),
        ("http://[::1]:8799", []),
        ("http://localhost:8799", []),
        ("https://catalyst.example.org", ["catalyst.E003"]),
        ("http://192.168.1.5", ["catalyst.E003"]),
    ],
)
def test_it_refuses_debug_pages_for_everybody(settings: Settings, url: str, expected: list[str]) -> None:
    settings.DEBUG = True
    settings.PUBLIC_URL = url
    assert found() == expected
