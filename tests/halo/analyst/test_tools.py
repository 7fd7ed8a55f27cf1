"""Tools that fail or answer nothing."""

from datetime import datetime

import pytest

from halo.analyst.rules.tools import Tools, says_nothing
from tests.halo.analyst.in_memory import ordinary, planted
from tests.halo.analyst.runs import Traffic, a_run, a_step, an_error, numbers
from tests.halo.traffic import AGENTS, SUPPORT, Agent
from traces.records import PayloadRecord

ROOT = a_step(1, None, "AGENT")


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_a_tool_that_answers_nothing_is_found_with_its_runs(now: datetime, rate: float) -> None:
    material, runs = planted(now, SUPPORT, "failing_tool", rate)
    (found,) = material.found(Tools()).values()
    # A planted run whose tool also fails by chance has no answer at all.
    with_answer = {
        each
        for each in runs
        if any(step.tool == "find_parcel" and step.status == "ok" for step in material.steps[each])
    }
    assert found.traces == with_answer
    assert found.title.startswith(f"find_parcel answers nothing in {len(with_answer)} of 620 runs")


@pytest.mark.parametrize("agent", AGENTS)
def test_ordinary_tools_are_no_finding(now: datetime, agent: Agent) -> None:
    assert not ordinary(now, agent).found(Tools())


@pytest.mark.parametrize(("message", "does"), [("TimeoutError: late", "times out"), ("Boom", "fails")])
def test_a_tool_with_many_failed_calls_is_found(message: str, does: str) -> None:
    traffic = Traffic().add(map(a_run, range(80)), ROOT, a_step(2, 1))
    traffic.add((a_run(number, error_count=1) for number in range(80, 100)), ROOT, an_error(2, message=message))
    traffic.add_prior([a_run(200, error_count=1), a_run(201, error_count=1)], ROOT, an_error(2))
    (found,) = traffic.found(Tools())
    assert found.title == f"search {does} in 20.0% of its calls, in 20 of 100 runs (20.0%)"
    assert (numbers(found), found.prior_count) == (list(range(80, 100)), 2)


def test_a_few_failures_are_left_to_recurring_failures() -> None:
    traffic = Traffic().add(map(a_run, range(95)), ROOT, a_step(2, 1))
    traffic.add((a_run(number, error_count=1) for number in range(95, 100)), ROOT, an_error(2))
    assert not traffic.found(Tools())


def test_a_tool_whose_answers_are_never_recorded_answers_nothing_that_is_known() -> None:
    assert not Traffic().add(map(a_run, range(50)), ROOT, a_step(2, 1, output_size=0)).found(Tools())


def test_of_very_many_short_answers_those_of_the_lengths_that_say_nothing_are_read() -> None:
    traffic = Traffic().add(map(a_run, range(2_000)), ROOT, a_step(2, 1, output_size=9))
    traffic.add(map(a_run, range(2_000, 2_500)), ROOT, a_step(2, 1, output_size=10))
    traffic.payloads = {number: {2: PayloadRecord(output="confirmed")} for number in range(2_000)}
    traffic.payloads |= {number: {2: PayloadRecord(output="No results")} for number in range(2_000, 2_500)}
    (found,) = traffic.found(Tools())
    assert numbers(found) == list(range(2_000, 2_500))
    assert len(traffic.read) < 600
    assert "there may be more" in found.happens


@pytest.mark.parametrize(
    "answer",
    ["", "[]", " null ", '""', "None", "No results found.", "Error: reservation not found", "0 rows",
     "no matching flights", '{"results": [], "count": 0}', "Keine Treffer", "No se encontraron datos",
     "Aucun résultat", "nothing was found", "We could not find it"],
)  # fmt: skip
def test_answers_that_say_nothing(answer: str) -> None:
    assert says_nothing(PayloadRecord(output=answer))


@pytest.mark.parametrize(
    "answer",
    ["ok", "true", "0", '{"results": [1]}', "Note taken", "No refund is due", "12 rows", "found it", "{broken"],
)
def test_answers_that_say_something(answer: str) -> None:
    assert not says_nothing(PayloadRecord(output=answer))


def test_a_missing_text_says_nothing_about_the_tool() -> None:
    assert not says_nothing(None)
    assert not says_nothing(PayloadRecord())
