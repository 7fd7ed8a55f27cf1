"""Slow runs."""

from datetime import datetime

import pytest

from halo.analyst.rules.slow_tail import SlowTail
from halo.choices import Severity
from tests.halo.analyst.in_memory import ordinary, planted
from tests.halo.traffic import AGENTS, ANALYST, RESEARCH, SUPPORT, Agent


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_a_tool_that_is_slow_now_and_then_is_found_with_its_runs(now: datetime, rate: float) -> None:
    material, slow = planted(now, SUPPORT, "slow_tail", rate)
    found = material.found(SlowTail())["slow_tail:TOOL:search_orders"]
    assert found.traces == slow
    assert found.severity in {Severity.MEDIUM, Severity.HIGH}
    assert f"search_orders makes {len(slow)} of 620 runs" in found.title
    assert found.duration_us == pytest.approx(len(slow) * 32.5e6, rel=0.1)
    assert {each.trace_id for each in found.citations} <= slow


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_pauses_are_found_with_their_runs(now: datetime, rate: float) -> None:
    material, paused = planted(now, RESEARCH, "waiting", rate)
    found = material.found(SlowTail())["slow_tail:AGENT:research"]
    assert found.traces == paused
    assert found.title.startswith(f"Pauses in research make {len(paused)} of 620 runs")


@pytest.mark.parametrize("agent", AGENTS)
def test_ordinary_noise_is_no_more_than_low(now: datetime, agent: Agent) -> None:
    found = ordinary(now, agent).found(SlowTail())
    assert {each.severity for each in found.values()} <= {Severity.LOW}


def test_more_calls_than_usual_explain_slow_runs(now: datetime) -> None:
    material, looping = planted(now, ANALYST, "context_growth", 0.1)
    found = material.found(SlowTail())["slow_tail:LLM:chat"]
    assert found.traces <= looping
    assert "8 calls take" in found.title
    assert "asks for so many calls" in found.fix
