"""Where the money goes."""

from datetime import datetime

import pytest

from halo.analyst.rules.expensive_paths import CostlyRuns, ExpensiveModels
from halo.choices import Severity
from tests.halo.analyst.in_memory import ordinary, planted
from tests.halo.traffic import AGENTS, ANALYST, SUPPORT, Agent


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_an_expensive_model_with_short_answers_is_found_with_its_runs(now: datetime, rate: float) -> None:
    material, expensive = planted(now, SUPPORT, "expensive_path", rate)
    (found,) = material.found(ExpensiveModels()).values()
    assert found.traces == expensive
    assert found.severity == Severity.HIGH
    assert found.title.startswith(f"chat asks gpt-4 for answers of under 20 tokens in {len(expensive)} runs, for $")
    assert found.cost is not None
    assert found.cost > 1


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_costly_runs_are_found(now: datetime, rate: float) -> None:
    material, expensive = planted(now, ANALYST, "expensive_path", rate)
    (found,) = material.found(CostlyRuns()).values()
    assert found.traces == expensive
    assert "mostly for gpt-4" in found.title


@pytest.mark.parametrize("agent", AGENTS)
def test_ordinary_costs_are_no_finding(now: datetime, agent: Agent) -> None:
    material = ordinary(now, agent)
    assert not material.found(ExpensiveModels())
    assert not material.found(CostlyRuns())
