"""The environment of halo-engine, made once."""

from pathlib import Path

import pytest

from halo.engine_environment import EngineEnvironment, EngineUnavailable
from tests.processes import ENGINE_FOLDER


@pytest.fixture(scope="session")
def engine_python() -> Path:
    """The Python of the engine's environment; without it the test is skipped."""
    try:
        return EngineEnvironment(ENGINE_FOLDER).prepare()
    except EngineUnavailable as error:
        pytest.skip(f"needs halo-engine: {error}")
