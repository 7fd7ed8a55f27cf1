"""Runs that never end, and users without an answer."""

from datetime import datetime, timedelta

import pytest

from halo.analyst.rules.unanswered import Unanswered
from halo.choices import Severity
from tests.halo.analyst.in_memory import of_spans, ordinary, planted
from tests.halo.traffic import AGENTS, SUPPORT, Agent
from tests.traces.sent import sent_span


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_unfinished_and_unanswered_runs_are_found(now: datetime, rate: float) -> None:
    material, unanswered = planted(now, SUPPORT, "unanswered", rate)
    found = material.found(Unanswered())
    assert found["unanswered_user"].traces == unanswered
    assert found["unfinished_run"].traces == material.runs(lambda run: not run.root_ended)
    assert len(found["unfinished_run"].traces) == len(unanswered) // 2
    left = found["left_after_error"]
    assert left.traces >= material.runs(lambda run: run.failed and run.trace_id in unanswered)
    assert left.p_value is not None
    assert left.p_value < 0.05


@pytest.mark.parametrize("agent", AGENTS)
def test_ordinary_ends_are_no_finding(now: datetime, agent: Agent) -> None:
    found = ordinary(now, agent).found(Unanswered())
    assert {each.severity for each in found.values()} <= {Severity.LOW}


def test_a_run_that_may_still_go_on_is_not_unfinished(now: datetime) -> None:
    spans = [
        sent_span(number, trace=number, start=now - timedelta(minutes=number), seconds=None, input__value="Hello?")
        for number in range(1, 31)
    ]
    found = of_spans(spans, now - timedelta(days=7), now).found(Unanswered())
    assert {trace_id.int for trace_id in found["unfinished_run"].traces} == set(range(16, 31))
    assert {trace_id.int for trace_id in found["unanswered_user"].traces} == set(range(16, 31))


def test_runs_without_texts_are_not_unanswered(now: datetime) -> None:
    spans = [sent_span(number, trace=number, start=now - timedelta(hours=number)) for number in range(1, 31)]
    assert not of_spans(spans, now - timedelta(days=7), now).found(Unanswered())


def test_a_goodbye_after_which_nothing_was_done_needs_no_answer(now: datetime) -> None:
    spans = [
        sent_span(
            number, trace=number, start=now - timedelta(hours=number), input__value="STOP", session__id=str(number)
        )
        for number in range(1, 31)
    ]
    assert not of_spans(spans, now - timedelta(days=7), now).found(Unanswered())
