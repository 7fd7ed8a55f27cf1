"""Runs that go in circles."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import pytest

from halo.analyst.material import Step
from halo.analyst.rules.loops import Loops
from tests.halo.analyst.in_memory import ordinary, planted
from tests.halo.analyst.runs import Traffic, a_run, a_step, an_error, failed, numbers
from tests.halo.traffic import AGENTS, SUPPORT, Agent

ROOT = a_step(1, None, "AGENT")


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_loops_are_found_with_their_runs(now: datetime, rate: float) -> None:
    material, runs = planted(now, SUPPORT, "loop", rate)
    found = [each for each in material.found(Loops()).values() if "in a row" in each.title]
    # Where the planted tool fails by chance, it fails each time: another loop, of a single run.
    without_error = {each for each in runs if all(step.status == "ok" for step in material.steps[each])}
    assert without_error <= set().union(*(each.traces for each in found)) <= runs


@pytest.mark.parametrize("agent", AGENTS)
def test_ordinary_runs_are_no_finding(now: datetime, agent: Agent) -> None:
    assert not ordinary(now, agent).found(Loops())


def calls(*names: str) -> Sequence[Step]:
    """Tool calls by name, each followed by a model call."""
    steps = [ROOT]
    for at, name in enumerate(names):
        steps.append(a_step(2 + 2 * at, 1, tool=name, name=name))
        steps.append(a_step(3 + 2 * at, 1, "LLM", cost=Decimal("0.01"), input_tokens=100, output_tokens=10))
    return steps


@pytest.mark.parametrize(
    ("names", "title"),
    [
        (["search"] * 5, "search runs 5 times in a row"),
        (["look", *["ask", "read"] * 6], "ask and read run 6 times in a row"),
        (["a", "b", "c", "d"] * 5, "a and b and c and d run 5 times in a row"),
    ],
)
def test_patterns_of_up_to_four_tools_are_seen(names: list[str], title: str) -> None:
    traffic = (
        Traffic().add(map(a_run, range(90)), *calls("search", "read")).add(map(a_run, range(90, 100)), *calls(*names))
    )
    (found,) = traffic.found(Loops())
    assert found.title == f"{title} in 10 of 100 runs (10.0%)"
    assert numbers(found) == list(range(90, 100))


@pytest.mark.parametrize("names", [["search"] * 4, ["a", "b", "c", "d", "e"] * 5, ["a", "b", "a", "c"] * 2])
def test_fewer_rounds_and_longer_patterns_are_none(names: list[str]) -> None:
    traffic = Traffic().add(map(a_run, range(90)), *calls("search")).add(map(a_run, range(90, 100)), *calls(*names))
    assert not traffic.found(Loops())


def test_what_an_agent_always_does_is_no_loop() -> None:
    traffic = Traffic().add(map(a_run, range(100)), *calls(*["read"] * 6))
    traffic.add(map(a_run, range(100, 110)), *calls(*["read"] * 30))
    (found,) = traffic.found(Loops())
    assert numbers(found) == list(range(100, 110))


def test_a_loop_costs_what_comes_after_its_first_round() -> None:
    traffic = (
        Traffic().add(map(a_run, range(90)), *calls("search")).add(map(a_run, range(90, 100)), *calls(*["search"] * 6))
    )
    (found,) = traffic.found(Loops())
    # Until the last call: four model calls between five tool calls, in each of ten runs.
    assert (found.cost, found.tokens, found.duration_us) == (Decimal("0.4"), 4_400, 90_000_000)


def test_a_tool_that_is_tried_on_although_it_fails_is_a_loop() -> None:
    steps = [ROOT, an_error(2), a_step(3, 1, "LLM"), an_error(4), an_error(5)]
    traffic = Traffic().add(map(a_run, range(90)), *calls("search"))
    traffic.add((failed(number, error_count=3) for number in range(90, 100)), *steps)
    traffic.add_prior((failed(number, error_count=3) for number in range(200, 204)), *steps)
    (found,) = traffic.found(Loops())
    assert found.title == "search fails 3 times in a row in 10 of 100 runs (10.0%)"
    assert found.happens.startswith("10 of 10 runs (100%) fail.")
    assert found.prior_count == 4


def test_runs_with_far_more_model_calls_than_others_are_found() -> None:
    traffic = Traffic().add((a_run(number, llm_count=2) for number in range(997)), ROOT)
    traffic.add((a_run(number, llm_count=20, cost=Decimal(1)) for number in range(997, 1_000)), ROOT)
    (found,) = traffic.found(Loops())
    assert found.title == "3 of 1,000 runs (0.3%) make more than 6 model calls"
    assert (numbers(found), found.cost) == ([997, 998, 999], Decimal("2.7"))
