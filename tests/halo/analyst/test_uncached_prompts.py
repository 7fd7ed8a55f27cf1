"""Prompts that could be cached."""

import re
from datetime import datetime

import pytest

from halo.analyst.rules.uncached_prompts import UncachedPrompts
from halo.choices import Severity
from tests.halo.analyst.in_memory import ordinary, planted
from tests.halo.traffic import AGENTS, ANALYST, Agent


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_prompts_with_one_beginning_and_no_cached_tokens_are_found(now: datetime, rate: float) -> None:
    material, uncached = planted(now, ANALYST, "uncached_prompt", rate)
    (found,) = material.found(UncachedPrompts()).values()
    assert found.traces == uncached
    assert re.fullmatch(
        rf"chat sends gpt-4o the same (9\.\d|10\.0)k tokens in {len(uncached)} runs, and 0% of its input is cached",
        found.title,
    )
    assert found.severity in {Severity.MEDIUM, Severity.HIGH}
    assert found.cost is not None
    assert found.tokens is not None
    # 9,800 tokens for a dollar less per million, in the calls that follow another one soon.
    assert float(found.cost) == pytest.approx(found.tokens * 1.25e-6, rel=0.01)
    assert material.read_count <= 40


def test_prompts_that_are_cached_are_fine(now: datetime) -> None:
    material, _ = planted(now, ANALYST, "cached_prompt", 0.1)
    assert not material.found(UncachedPrompts())


def test_long_prompts_that_begin_differently_are_fine(now: datetime) -> None:
    material, _ = planted(now, ANALYST, "long_prompt", 0.1)
    assert not material.found(UncachedPrompts())


@pytest.mark.parametrize("agent", AGENTS)
def test_short_prompts_are_no_finding(now: datetime, agent: Agent) -> None:
    assert not ordinary(now, agent).found(UncachedPrompts())
