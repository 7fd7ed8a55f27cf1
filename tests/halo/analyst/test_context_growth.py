"""Growing input."""

from datetime import datetime, timedelta

import pytest

from halo.analyst.rules.context_growth import ContextGrowth
from halo.choices import Severity
from tests.halo.analyst.in_memory import of_spans, ordinary, planted
from tests.halo.traffic import AGENTS, RESEARCH, Agent
from tests.traces.sent import sent_span


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_runs_whose_input_grows_are_found(now: datetime, rate: float) -> None:
    material, growing = planted(now, RESEARCH, "context_growth", rate)
    (found,) = material.found(ContextGrowth()).values()
    assert found.traces == growing
    assert found.severity == Severity.HIGH
    assert f"in {len(growing)} of 620 runs" in found.title
    assert "longer results of tools were carried along" in found.evidence
    assert found.tokens == pytest.approx(len(growing) * 105_000, rel=0.1)
    assert material.read_count < 1_000


@pytest.mark.parametrize("agent", AGENTS)
def test_ordinary_input_is_no_finding(now: datetime, agent: Agent) -> None:
    assert not ordinary(now, agent).found(ContextGrowth())


def test_sessions_whose_input_grows_with_their_turns_are_found(now: datetime) -> None:
    spans = [
        sent_span(
            10 * session + turn,
            trace=10 * session + turn,
            start=now - timedelta(hours=30 - session, minutes=10 - turn),
            session__id=f"session-{session}",
            openinference__span__kind="LLM",
            llm__model_name="gpt-4o",
            llm__token_count__prompt=1_000 * turn,
            llm__token_count__completion=50,
        )
        for session in range(1, 21)
        for turn in range(1, 7)
    ]
    material = of_spans(spans, now - timedelta(days=7), now)
    (found,) = material.found(ContextGrowth()).values()
    assert found.signature == "context_growth:session"
    assert found.traces == material.runs(lambda run: run.input_tokens >= 4_000)
    assert "20 sessions" in found.happens
