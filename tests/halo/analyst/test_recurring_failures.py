"""Failures with one signature."""

from datetime import datetime

import pytest

from halo.analyst.rules.recurring_failures import RecurringFailures
from halo.choices import Severity
from tests.halo.analyst.in_memory import ordinary, planted
from tests.halo.analyst.runs import Traffic, a_run, a_step, an_error, failed, numbers
from tests.halo.traffic import AGENTS, SUPPORT, Agent
from traces.records import PayloadRecord

ROOT = a_step(1, None, "AGENT")
FAILED_ROOT = an_error(1, None, kind="AGENT")


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_a_failure_that_recurs_is_found_with_its_runs(now: datetime, rate: float) -> None:
    material, runs = planted(now, SUPPORT, "recurring_failure", rate)
    found = [each for each in material.found(RecurringFailures()).values() if "PaymentDeclined" in each.title]
    assert set().union(*(each.traces for each in found)) == runs
    assert sum(len(each.traces) for each in found) == len(runs)
    assert {each.title.split(" in ")[0] for each in found} == {
        f"{tool} fails with PaymentDeclined: “Card … of order … was declined”" for tool in SUPPORT.tools
    }


@pytest.mark.parametrize("agent", AGENTS)
def test_ordinary_noise_is_no_more_than_low(now: datetime, agent: Agent) -> None:
    found = ordinary(now, agent).found(RecurringFailures())
    assert {each.severity for each in found.values()} <= {Severity.LOW}


def test_a_failure_counts_once_where_it_begins_and_says_what_became_of_its_runs() -> None:
    traffic = Traffic().add(map(a_run, range(80)), ROOT)
    traffic.add(map(failed, range(80, 96)), FAILED_ROOT, an_error(2), an_error(3))
    traffic.add((a_run(number, error_count=1) for number in range(96, 100)), ROOT, an_error(2))
    traffic.add_prior(map(failed, range(200, 203)), FAILED_ROOT, an_error(2))
    (found,) = traffic.found(RecurringFailures())
    assert found.title == "search fails with TimeoutError: “no answer” in 20 of 100 runs (20.0%)"
    assert found.happens == "16 runs fail with it, and 4 go on. It is called by agent."
    assert "It happened 36 times in 20 runs." in found.evidence
    assert numbers(found) == list(range(80, 100))
    assert found.severity == Severity.CRITICAL
    assert found.harm == pytest.approx(0.16 + 0.3 * 0.04)
    assert (found.prior_count, found.cause) == (3, "search")
    assert found.cost == sum(run.cost for run, _ in traffic.runs if run.failed)


def test_messages_of_few_runs_are_grouped_by_their_beginning() -> None:
    traffic = Traffic().add(map(a_run, range(90)), ROOT)
    for number, word in enumerate(["apple", "pear", "plum"], 90):
        traffic.add([failed(number)], ROOT, an_error(2, message=f"No such fruit {word}"))
    for number, word in enumerate(("red", "blue"), 93):
        traffic.add([failed(number)], ROOT, an_error(2, message=f"{word} is out"))
    found = traffic.found(RecurringFailures())
    assert [(each.title, numbers(each)) for each in found] == [
        ("search fails with “No such …” in 3 of 95 runs (3.2%)", [90, 91, 92])
    ]


def test_exceptions_are_read_where_the_status_does_not_say_them() -> None:
    traffic = Traffic().add(map(a_run, range(90)), ROOT)
    traffic.add(map(failed, range(90, 100)), ROOT, an_error(2, message=""))
    kinds = ["OutOfStock"] * 6 + ["NoRoute"] * 4
    traffic.payloads = {
        90 + at: {2: PayloadRecord(events=[_exception(kind, f"{at} left")])} for at, kind in enumerate(kinds)
    }
    titles = sorted(each.title for each in traffic.found(RecurringFailures()))
    assert titles == [
        "search fails with NoRoute: “… left” in 4 of 100 runs (4.0%)",
        "search fails with OutOfStock: “… left” in 6 of 100 runs (6.0%)",
    ]


def _exception(name: str, message: str) -> dict[str, object]:
    return {"name": "exception", "attributes": {"exception.type": name, "exception.message": message}}


def test_runs_that_report_a_failure_without_a_failed_step_are_a_finding() -> None:
    traffic = Traffic().add(map(a_run, range(90)), ROOT)
    traffic.add((a_run(number, outcome="failure") for number in range(90, 100)), ROOT)
    (found,) = traffic.found(RecurringFailures())
    assert found.title == "10 of 100 runs (10.0%) report a failure, but no step of them failed"
    assert numbers(found) == list(range(90, 100))


def test_of_few_runs_each_failure_is_listed() -> None:
    (found,) = Traffic().add([a_run(1)], ROOT).add([failed(2)], ROOT, an_error(2)).found(RecurringFailures())
    assert numbers(found) == [2]


def test_citations_are_of_different_sessions_and_quote_the_message() -> None:
    traffic = Traffic().add(map(a_run, range(80)), ROOT)
    traffic.add((failed(number, session_id=number % 4 + 1) for number in range(80, 100)), ROOT, an_error(2))
    (found,) = traffic.found(RecurringFailures())
    sessions = {run.trace_id: run.session_id for run, _ in traffic.runs}
    assert len({sessions[each.trace_id] for each in found.citations}) == len(found.citations) == 4
    assert {(each.span_id, each.quote) for each in found.citations} == {(2, "TimeoutError: no answer")}
    assert {each.note for each in found.citations} == {"typical", "the worst", "the newest", "one more"}
