"""Slow runs."""

from datetime import datetime

import pytest

from halo.analyst.rules.slow_tail import SlowTail
from halo.choices import Severity
from tests.halo import traffic
from tests.halo.analyst.in_memory import of_traffic


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_a_tool_that_is_slow_now_and_then_is_found_with_its_runs(now: datetime, rate: float) -> None:
    made = traffic.make(now, seed=1, plants={"slow_tail": rate})
    found = of_traffic(made, "support").found(SlowTail())
    slow = found["slow_tail:TOOL:search_orders"]
    assert slow.traces == made.planted_in("slow_tail", "support")
    assert slow.severity in {Severity.MEDIUM, Severity.HIGH}
    assert f"search_orders makes {len(slow.traces)} of 620 runs" in slow.title
    assert slow.duration_us == pytest.approx(len(slow.traces) * 32.5e6, rel=0.1)
    assert {each.trace_id for each in slow.citations} <= slow.traces


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_pauses_are_found_with_their_runs(now: datetime, rate: float) -> None:
    made = traffic.make(now, seed=2, plants={"waiting": rate})
    found = of_traffic(made, "research").found(SlowTail())
    paused = found["slow_tail:AGENT:research"]
    assert paused.traces == made.planted_in("waiting", "research")
    assert paused.title.startswith(f"Pauses in research make {len(paused.traces)} of 620 runs")


def test_ordinary_noise_is_no_more_than_low(now: datetime) -> None:
    for agent in traffic.AGENTS:
        found = of_traffic(traffic.make(now, seed=3), agent.name).found(SlowTail())
        assert {each.severity for each in found.values()} <= {Severity.LOW}
