"""The environment of halo-engine, made once."""

from pathlib import Path

import pytest

from halo.engine_environment import EngineEnvironment, EngineUnavailable
from tests.halo.engine_runs import EngineRuns
from tests.processes import ENGINE_FOLDER


@pytest.fixture(scope="session")
def engine_python() -> Path:
    """The Python of the engine's environment; without it the test is skipped."""
    try:
        return EngineEnvironment(ENGINE_FOLDER).prepare()
    except EngineUnavailable as error:
        pytest.skip(f"needs halo-engine: {error}")


@pytest.fixture
def engine(engine_python: Path, tmp_path: Path) -> EngineRuns:
    """The real engine, in a folder of its own."""
    return EngineRuns(engine_python, tmp_path)
