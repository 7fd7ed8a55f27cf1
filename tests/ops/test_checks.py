"""System checks refuse settings that would do harm quietly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from catalyst.env import env
from catalyst.ops import checks
from tests.processes import ROOT


def found(*, deploy: bool = False) -> list[str | None]:
    return [problem.id for problem in run_checks(tags=[checks.TAG], include_deployment_checks=deploy)]


def test_it_has_nothing_against_the_settings_as_they_are() -> None:
    assert found() == []


def test_it_refuses_a_queue_that_would_run_long_tasks_twice(settings: Settings) -> None:
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "retry": 120, "timeout": 120}
    assert found() == ["catalyst.E001"]


def test_it_refuses_a_queue_that_nothing_works_off(settings: Settings) -> None:
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["default", "judge", "long", "another"]}}
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


@pytest.mark.parametrize("url", ["catalyst.example.org", "https://", "ftp://catalyst.example.org", "http://[::1"])
def test_it_refuses_addresses_that_lead_nowhere(settings: Settings, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(env, "judge_url", url)
    assert found() == ["catalyst.E004"]
    monkeypatch.setattr(env, "judge_url", "http://127.0.0.1:11434/v1")
    assert found() == []


def test_it_refuses_an_address_for_people_without_scheme(settings: Settings) -> None:
    settings.PUBLIC_URL = "catalyst.example.org"
    assert found() == ["catalyst.E004"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://catalyst.example.org", []),
        ("http://127.0.0.1:8799", []),
        ("http://catalyst.example.org", ["catalyst.W001"]),
    ],
)
def test_it_warns_of_passwords_in_the_clear(settings: Settings, url: str, expected: list[str]) -> None:
    settings.PUBLIC_URL = url
    assert found() == []
    assert found(deploy=True) == expected


@pytest.mark.slow
def test_it_has_nothing_against_a_server_behind_a_proxy(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    address = {"CATALYST_URL": "https://catalyst.example.org", "CATALYST_DATA": str(tmp_path)}
    own_key = {name: value for name, value in os.environ.items() if name != "CATALYST_SECRET_KEY"}
    done = subprocess.run(command, cwd=ROOT, env=own_key | address, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["an-old-key", "an-older-key"], []),
        (["one-key another-key"], ["catalyst.E005"]),
        (["fine", '"quoted"', "two\nlines"], ["catalyst.E005", "catalyst.E005"]),
        (["the-current-key"], ["catalyst.W002"]),
    ],
)
def test_it_finds_old_secret_keys_that_decrypt_nothing(
    settings: Settings, keys: list[str], expected: list[str]
) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the-current-key", keys
    problems = run_checks(tags=[checks.TAG])
    assert [problem.id for problem in problems] == expected
    assert not any(key in problem.msg for problem in problems for key in keys)
