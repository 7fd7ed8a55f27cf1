"""Groups of pytest-xdist: what is started for a group is started once, and long groups begin first."""

import os
from pathlib import Path

import pytest

from tests.conftest import position

pytestmark = [pytest.mark.xdist_group("groups")]


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the workers of one run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


# Ungrouped tests alternate between the workers.
@pytest.mark.parametrize("number", range(6))
def test_it_runs_the_tests_of_a_group_on_one_worker(run_folder: Path, number: int) -> None:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    seen = run_folder / "worker-of-group"
    seen.touch()
    assert seen.read_text() in {"", worker}
    seen.write_text(worker)


def test_it_begins_with_what_takes_long(request: pytest.FixtureRequest) -> None:
    positions = [position(item) for item in request.session.items]
    assert positions == sorted(positions)
