"""Model calls that ask the same again."""

from datetime import datetime

import pytest

from halo.analyst.rules.repeated_model_calls import RepeatedModelCalls
from tests.halo.analyst.in_memory import ordinary, planted
from tests.halo.traffic import AGENTS, ANALYST, Agent


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_calls_with_the_same_input_again_are_found(now: datetime, rate: float) -> None:
    material, repeated = planted(now, ANALYST, "repeated_model_call", rate)
    (found,) = material.found(RepeatedModelCalls()).values()
    assert found.traces == repeated
    assert found.title.startswith(f"chat asks gpt-4o the same again in {len(repeated)} of 620 runs")
    after_errors = len(range(0, len(repeated), 3))
    assert found.happens.startswith(f"{2 * len(repeated)} calls have the same input")
    assert f"{after_errors} of them come after an error" in found.happens


@pytest.mark.parametrize("agent", AGENTS)
def test_calls_with_tools_between_are_no_finding(now: datetime, agent: Agent) -> None:
    assert not ordinary(now, agent).found(RepeatedModelCalls())
