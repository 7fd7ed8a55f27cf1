"""Answers that end too early."""

from datetime import datetime

import pytest

from halo.analyst.rules.cut_off_answers import CutOffAnswers
from halo.choices import Category
from tests.halo.analyst.in_memory import ordinary, planted
from tests.halo.traffic import AGENTS, Agent


@pytest.mark.parametrize("rate", [0.03, 0.1])
@pytest.mark.parametrize("agent", AGENTS)
def test_answers_that_were_cut_off_or_refused_are_found(now: datetime, agent: Agent, rate: float) -> None:
    material, ended = planted(now, agent, "cut_off_answer", rate)
    found = material.found(CutOffAnswers())
    cut_off, refused = found[f"cut_off_answer:chat:{agent.model}"], found[f"refused_answer:chat:{agent.model}"]
    assert cut_off.traces | refused.traces == ended
    assert len(refused.traces) == (len(ended) + 1) // 3
    assert not cut_off.traces & refused.traces
    assert refused.category == Category.SAFETY
    assert f"Answers of chat are cut off at their token limit in {len(cut_off.traces)} of 620 runs" in cut_off.title
    assert "have 1,024 tokens" in cut_off.evidence
    assert "“content_filter”" in refused.happens


@pytest.mark.parametrize("agent", AGENTS)
def test_answers_that_end_well_are_no_finding(now: datetime, agent: Agent) -> None:
    assert not ordinary(now, agent).found(CutOffAnswers())


@pytest.mark.parametrize("agent", AGENTS)
def test_answers_that_should_be_json_and_do_not_parse_are_found(now: datetime, agent: Agent) -> None:
    material, unreadable = planted(now, agent, "unreadable_json", 0.03)
    (found,) = material.found(CutOffAnswers()).values()
    assert found.kind == "unreadable_json"
    assert found.traces == unreadable
    assert (
        found.title == f"Answers of chat are no JSON although it was asked for in {len(unreadable)} of 620 runs (3.1%)"
    )
