"""Tools called again with the same arguments."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from halo.analyst.rules.redundant_calls import RedundantCalls, arguments_of
from tests.halo.analyst.in_memory import ordinary, planted
from tests.halo.analyst.runs import Traffic, a_run, a_step, an_error, numbers
from tests.halo.traffic import AGENTS, SUPPORT, Agent
from traces.records import PayloadRecord

ROOT = a_step(1, None, "AGENT")
MODEL = a_step(9, 1, "LLM", cost=Decimal("0.002"), input_tokens=90, output_tokens=10)
READ = {"tool": "get_order", "name": "get_order"}
WRITE = {"tool": "send_mail", "name": "send_mail"}


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_repeated_calls_are_found_with_their_runs(now: datetime, rate: float) -> None:
    material, runs = planted(now, SUPPORT, "redundant_call", rate)
    found = material.found(RedundantCalls()).values()
    # Where the planted tool fails by chance, its calls are retries.
    without_error = {each for each in runs if all(step.status == "ok" for step in material.steps[each])}
    assert without_error <= set().union(*(each.traces for each in found)) <= runs


@pytest.mark.parametrize("agent", AGENTS)
def test_ordinary_calls_are_no_finding(now: datetime, agent: Agent) -> None:
    assert not ordinary(now, agent).found(RedundantCalls())


def told(first: str, second: str, count: int = 40) -> dict[int, dict[int, PayloadRecord]]:
    """The arguments of steps 2 and 4 of all runs."""
    return {number: {2: PayloadRecord(input=first), 4: PayloadRecord(input=second)} for number in range(count)}


def test_a_repeat_costs_what_it_took_with_the_model_call_after_it() -> None:
    traffic = Traffic().add(map(a_run, range(40)), ROOT, a_step(2, 1, **READ), a_step(4, 1, **READ), MODEL)
    traffic.payloads = told('{"a": 1, "b": 2}', '{"b":2,"a":1}')
    (found,) = traffic.found(RedundantCalls())
    assert found.title == "get_order reads the same again in 40 of 40 runs (100%)"
    assert (found.cost, found.tokens) == (Decimal("0.002"), 100), "the model call of each run has the same id here"
    assert found.cause == "get_order"
    assert {each.span_id for each in found.citations} == {4}


@pytest.mark.parametrize(
    ("first", "second"), [('{"id": "AAA"}', '{"id": "BBB"}'), ("", "")], ids=["other arguments", "not stored"]
)
def test_other_arguments_of_the_same_length_are_no_repeat(first: str, second: str) -> None:
    traffic = Traffic().add(map(a_run, range(40)), ROOT, a_step(2, 1, **READ), a_step(4, 1, **READ))
    traffic.payloads = told(first, second)
    assert not traffic.found(RedundantCalls())


@pytest.mark.parametrize(
    "between",
    [a_step(3, 1, **WRITE), a_step(3, 1, "LLM"), an_error(3, 1, **WRITE)],
    ids=["an effect", "a model call", "an effect that failed"],
)
def test_an_effect_between_may_change_the_answer(between: object) -> None:
    assert isinstance(between, type(ROOT))
    traffic = Traffic().add(map(a_run, range(40)), ROOT, a_step(2, 1, **READ), between, a_step(4, 1, **READ))
    traffic.payloads = told("x", "x")
    assert bool(traffic.found(RedundantCalls())) == (between.kind == "LLM" or between.status == "error")


def test_a_retry_after_a_failure_is_no_repeat() -> None:
    traffic = Traffic().add(map(a_run, range(40)), ROOT, an_error(2, 1, **READ), a_step(4, 1, **READ))
    traffic.payloads = told("x", "x")
    assert not traffic.found(RedundantCalls())


@pytest.mark.parametrize(("gap", "count"), [(timedelta(minutes=50), 40), (timedelta(minutes=70), 0)])
def test_it_compares_within_a_session_and_an_hour(gap: timedelta, count: int) -> None:
    traffic = Traffic()
    for number in range(0, 80, 2):
        for part, step in ((0, a_step(2, 1, **READ)), (1, a_step(4, 1, **READ))):
            run = a_run(number + part, session_id=number + 1)
            traffic.add([run], ROOT, step._replace(start_time=run.start_time + part * gap))
    traffic.payloads = told("x", "x", 80)
    found = traffic.found(RedundantCalls())
    assert [number for each in found for number in numbers(each)] == [2 * n + 1 for n in range(count)]


def test_texts_are_read_only_where_tool_and_length_repeat() -> None:
    traffic = Traffic().add(map(a_run, range(40)), ROOT, a_step(2, 1, **READ), a_step(4, 1, input_size=21, **READ))
    assert not traffic.found(RedundantCalls())
    assert not traffic.read


@pytest.mark.parametrize(
    ("one", "other"), [('{"a": 1, "b": [2]}', '{"b":[2],"a":1}'), ("Find  THIS", "find this"), ("7", " 7")]
)
def test_arguments_have_one_form(one: str, other: str) -> None:
    assert arguments_of(PayloadRecord(input=one)) == arguments_of(PayloadRecord(input=other)) != ""
    assert arguments_of(None) == ""
