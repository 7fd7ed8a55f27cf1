"""Each kind of finding in ordinary traffic, seen by all rules together."""

from datetime import datetime
from uuid import UUID

import pytest

from halo.analyst.material import CountsPrior
from halo.analyst.ranking import ranked
from halo.analyst.rules import RULES
from halo.analyst.rules.bad_labels import BadLabels
from halo.choices import Severity
from halo.drafts import FindingDraft
from tests.halo.analyst.in_memory import Material, planted
from tests.halo.traffic import ANALYST

# What a planted kind is found as: together these findings have exactly its runs.
FOUND_AS = {
    "slow_tail": {"slow_tail"},
    "waiting": {"slow_tail"},
    "serial_tools": {"serial_tools"},
    "expensive_path": {"expensive_model"},
    "context_growth": {"context_growth"},
    "uncached_prompt": {"uncached_prompt"},
    "cut_off_answer": {"cut_off_answer", "refused_answer"},
    "unreadable_json": {"unreadable_json"},
    "repeated_model_call": {"repeated_model_call"},
    "unanswered": {"unanswered_user"},
    "instrumentation_gap": {"instrumentation_gap"},
}


def report(material: Material) -> list[FindingDraft]:
    """The findings of all rules but the one that reads labels."""
    rules = [make() for make in RULES if make is not BadLabels]
    for run in material.by_session():
        for rule in rules:
            rule.add(run, material.steps[run.trace_id])
    for run in material.window.prior:
        for rule in rules:
            if isinstance(rule, CountsPrior):
                rule.add_prior(run, material.steps[run.trace_id])
    candidates = [found for rule in rules for found in rule.candidates(material.window, material)]
    return ranked(candidates, material.window)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FOUND_AS)
def test_what_is_planted_is_found_with_exactly_its_runs(now: datetime, kind: str) -> None:
    material, runs = planted(now, ANALYST, kind, 0.03)
    findings = report(material)
    found: set[UUID] = set()
    for finding in findings:
        if finding.kind in FOUND_AS[kind]:
            found |= set(finding.trace_ids)
            assert finding.prior_count is None or finding.evidence
    assert found == runs
    # What was not planted is at most noise.
    others = [finding for finding in findings if not runs.intersection(finding.trace_ids)]
    assert {finding.severity for finding in others} <= {Severity.LOW}


@pytest.mark.slow
def test_a_mixture_is_found_with_its_failed_runs(now: datetime) -> None:
    material, staging = planted(now, ANALYST, "mixed_traffic", 0.1)
    failed = material.runs(lambda run: run.failed and run.environment == "staging")
    assert len(failed) < len(staging)
    (found,) = [finding for finding in report(material) if failed <= set(finding.trace_ids)]
    assert "the environment staging" in found.title + found.evidence
