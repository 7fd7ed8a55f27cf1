"""Traffic of several versions, environments and models."""

from datetime import datetime, timedelta

import pytest

from halo.analyst.rules.mixed_traffic import MixedTraffic
from halo.choices import Category
from tests.halo.analyst.in_memory import of_spans, ordinary, planted
from tests.halo.traffic import AGENTS, RESEARCH, SUPPORT, Agent
from tests.traces.sent import sent_span


def test_an_environment_that_fails_more_often_is_found(now: datetime) -> None:
    material, staging = planted(now, RESEARCH, "mixed_traffic", 0.1)
    found = material.found(MixedTraffic())["mixed_traffic:environment:staging:reliability"]
    assert found.traces == material.runs(lambda run: run.failed and run.environment == "staging")
    assert len(found.traces) == pytest.approx(0.6 * len(staging), abs=2)
    assert found.title.startswith(f"Runs of the environment staging fail in {len(found.traces)} of 62 runs")
    assert found.p_value is not None
    assert found.p_value < 1e-6


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_a_model_that_costs_more_is_found(now: datetime, rate: float) -> None:
    material, expensive = planted(now, SUPPORT, "expensive_path", rate)
    found = material.found(MixedTraffic())
    if len(expensive) < 20:
        assert not found
        return
    assert found["mixed_traffic:model:gpt-4:cost"].traces == expensive


@pytest.mark.parametrize("agent", AGENTS)
def test_traffic_of_one_kind_is_no_finding(now: datetime, agent: Agent) -> None:
    assert not ordinary(now, agent).found(MixedTraffic())


def test_versions_that_follow_each_other_are_no_mixture(now: datetime) -> None:
    material, _ = planted(now, SUPPORT, "regression", 0.1)
    assert not material.found(MixedTraffic())


def test_a_slow_version_beside_a_fast_one_is_found(now: datetime) -> None:
    spans = [
        sent_span(
            number,
            trace=number,
            start=now - timedelta(hours=number),
            seconds=(2 if number % 3 else 6) + number % 7 / 10,
            resource={"service.name": "shop", "service.version": "1.0" if number % 3 else "1.1"},
        )
        for number in range(1, 100)
    ]
    (found,) = of_spans(spans, now - timedelta(days=7), now).found(MixedTraffic()).values()
    assert found.category == Category.LATENCY
    assert {trace_id.int % 3 for trace_id in found.traces} == {0}
    assert found.title == "Runs of version 1.1 take 6.30 s, the others of this time 2.30 s"


def test_what_most_runs_take_is_no_finding_beside_a_few_short_ones(now: datetime) -> None:
    spans = [
        sent_span(
            number,
            trace=number,
            start=now - timedelta(hours=number),
            seconds=(6 if number % 4 else 2) + number % 7 / 10,
            resource={"service.name": "shop", "service.version": "1.0" if number % 4 else "1.1"},
        )
        for number in range(1, 100)
    ]
    assert not of_spans(spans, now - timedelta(days=7), now).found(MixedTraffic())
