"""What senders do not tell."""

from datetime import datetime, timedelta

import pytest

from halo.analyst.rules.instrumentation_gaps import InstrumentationGaps
from halo.choices import Severity
from tests.halo.analyst.in_memory import of_spans, ordinary, planted
from tests.halo.traffic import AGENTS, GAPS, SUPPORT, Agent
from tests.traces.sent import sent_span


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_gaps_are_found_with_their_runs(now: datetime, rate: float) -> None:
    material, gaps = planted(now, SUPPORT, "instrumentation_gap", rate)
    found = material.found(InstrumentationGaps())
    assert {f"instrumentation_gap:{name}" for name in GAPS} == found.keys()
    assert set().union(*(each.traces for each in found.values())) == gaps
    assert sum(len(each.traces) for each in found.values()) == len(gaps)
    assert found["instrumentation_gap:session"].traces == material.runs(lambda run: run.session_id is None)
    assert found["instrumentation_gap:price"].traces == material.runs(lambda run: run.unpriced_count > 0)
    assert "in-house-7b" in found["instrumentation_gap:price"].evidence
    assert {each.severity for each in found.values()} == {Severity.LOW}


def test_calls_without_tokens_and_clocks_that_are_off_are_found(now: datetime) -> None:
    spans = [
        sent_span(
            number,
            trace=number,
            start=now + timedelta(hours=number),
            openinference__span__kind="LLM",
            llm__model_name="gpt-4o",
            input__value="Hello",
            session__id="chat",
        )
        for number in range(1, 21)
    ]
    found = of_spans(spans, now - timedelta(days=7), now).found(InstrumentationGaps())
    assert found.keys() == {"instrumentation_gap:tokens", "instrumentation_gap:clock"}
    assert all(len(each.traces) == 20 for each in found.values())
    assert {each.severity for each in found.values()} == {Severity.MEDIUM}


@pytest.mark.parametrize("agent", AGENTS)
def test_what_tells_everything_has_no_gap(now: datetime, agent: Agent) -> None:
    assert not ordinary(now, agent).found(InstrumentationGaps())
