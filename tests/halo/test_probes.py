"""What operators see of reports."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from catalyst.core.models import Project
from catalyst.env import env
from halo import engine_environment, probes
from halo.models import Run
from halo.runs import claims, requests
from halo.runs.requests import Definition
from tests.factories import make_agent

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(env, "halo_engine", tmp_path)


@pytest.fixture
def run(project: Project, now: datetime) -> Run:
    return requests.create(make_agent(project), Definition(window_start=now - timedelta(days=1), window_end=now), now)


def checks(now: datetime) -> dict[str, tuple[str, str]]:
    return {check.name: (check.state, check.text) for check in probes.check_reports(probes.reports(now), now)}


def metrics(now: datetime) -> dict[str, list[float]]:
    found = probes.report_metrics(probes.reports(now), now)
    return {metric.name.removeprefix("catalyst_"): [value for _, value in metric.samples] for metric in found}


def test_a_quiet_instance_without_an_engine_is_fine(project: Project, now: datetime) -> None:
    assert {state for state, _ in checks(now).values()} == {"ok"}
    assert checks(now)["engine"][1] == "halo-engine is not installed"


def test_reports_that_wait_for_long_are_a_warning(run: Run, now: datetime) -> None:
    assert checks(now + MINUTE)["reports"][0] == "ok"
    state, text = checks(now + 31 * MINUTE)["reports"]
    assert state == "warn"
    assert "1 reports wait for a worker" in text
    assert metrics(now + MINUTE) | {"reports_waiting": [1], "reports_lag_seconds": [60]} == metrics(now + MINUTE)


def test_it_counts_what_runs_and_what_failed(run: Run, now: datetime) -> None:
    assert claims.claim(now) is not None
    assert metrics(now)["reports_running"] == [1]
    requests.cancel(run, now)
    Run.objects.update(status="failed")
    assert checks(now)["all projects"][0] == "warn"
    assert metrics(now)["reports_ended"] == [0, 1]


def test_an_engine_that_can_not_be_installed_is_a_warning(project: Project, now: datetime) -> None:
    folder = engine_environment.environment()
    (folder.folder / f"{folder.python.parent.parent.name}.failed.json").write_text(
        '{"reason": "The disk is full.", "remedy": "Make room."}'
    )
    assert checks(now)["engine"] == ("warn", "halo-engine can't be installed: The disk is full.")
