"""What got worse, and when."""

import random
from datetime import datetime
from decimal import Decimal

import pytest

from catalyst.ops.demo import support, timeline
from halo.analyst.rules.regressions import Regressions
from halo.choices import Category, Severity
from tests.halo.analyst.in_memory import of_spans, ordinary, planted
from tests.halo.analyst.runs import Traffic, a_run, failed, numbers
from tests.halo.traffic import AGENTS, SUPPORT, Agent


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_a_version_that_fails_more_is_found_with_its_failed_runs(now: datetime, rate: float) -> None:
    material, runs = planted(now, SUPPORT, "regression", rate)
    found = material.found(Regressions())["regression|failures"]
    of_version = material.runs(lambda run: run.failed and run.service_version == "1.5.0")
    assert runs <= found.traces == of_version
    assert found.title.endswith("UTC, when version 1.5.0 started")
    assert found.severity == Severity.CRITICAL


@pytest.mark.parametrize("agent", AGENTS)
def test_ordinary_traffic_has_not_got_worse(now: datetime, agent: Agent) -> None:
    assert not [each for each in ordinary(now, agent).found(Regressions()).values() if (each.p_value or 0) < 0.05]


def test_failures_that_rose_against_the_window_before() -> None:
    chance = random.Random(1)
    failing = set(chance.sample(range(400), 40))
    traffic = Traffic().add(failed(number) if number in failing else a_run(number) for number in range(400))
    traffic.add_prior(failed(number) if number < 1_010 else a_run(number) for number in range(1_000, 1_400))
    (found,) = traffic.found(Regressions())
    assert found.title == "Failures rose from 2.5% to 10.0% of runs since the window before"
    assert (set(numbers(found)), found.prior_count) == (failing, 10)
    assert (found.p_value or 1) < 0.01


def test_latency_is_named_with_the_moment_and_the_model() -> None:
    chance = random.Random(2)
    traffic = Traffic()
    for number in range(400):
        took, model = (1, "gpt-4o") if number < 250 else (3, "gpt-5")
        duration = int(1e6 * took * chance.uniform(0.8, 1.2))
        traffic.add([a_run(number, duration_us=duration, model_names=(model,))])
    (found,) = traffic.found(Regressions())
    assert found.title.startswith("Median latency rose from 1.0")
    assert found.title.endswith("on 20 Nov 16:10 UTC, when model gpt-5 started")
    assert numbers(found) == list(range(250, 400)), "all are slower than 95% of the runs before"
    assert (found.category, found.severity) == (Category.LATENCY, Severity.HIGH)


def test_what_rose_without_a_change_nearby_has_only_its_moment() -> None:
    traffic = Traffic().add(a_run(number, cost=Decimal(number % 7 + 1)) for number in range(200))
    traffic.add(a_run(number, cost=Decimal(number % 7 + 9)) for number in range(200, 400))
    (found,) = traffic.found(Regressions())
    assert found.title == "Median cost of a run rose from $4.00 to $12.00 on 20 Nov 15:20 UTC"


@pytest.mark.parametrize(("before", "after"), [(1.0, 1.1), (3.0, 1.0)], ids=["a little more", "less"])
def test_a_small_rise_or_a_fall_is_no_finding(before: float, after: float) -> None:
    traffic = Traffic()
    for number in range(400):
        usual = before if number < 200 else after
        traffic.add([a_run(number, duration_us=int(1e6 * usual) + number)])
    assert not traffic.found(Regressions())


def test_runs_of_one_session_count_as_one_case() -> None:
    # A few long sessions at the end grow, as sessions do.
    traffic = Traffic().add(a_run(number, input_tokens=100 + number % 9) for number in range(100))
    traffic.add(a_run(number, session_id=1_000 + number // 34, input_tokens=900) for number in range(102, 200))
    assert not [each for each in traffic.found(Regressions()) if (each.p_value or 0) < 0.05]


def bad_hours(versions: tuple[str, str] = ("2", "2.1")) -> Traffic:
    """600 runs, of which 60 in the middle fail often, with a version of their own."""
    chance = random.Random(3)
    traffic = Traffic()
    for number in range(600):
        is_bad = 300 <= number < 360
        make = failed if chance.random() < (0.5 if is_bad else 0.02) else a_run
        traffic.add([make(number, service_version=versions[is_bad])])
    return traffic


def test_a_bad_version_that_went_away_is_named_with_its_start_and_end() -> None:
    (found,) = bad_hours().found(Regressions())
    assert found.title == ("Failures rose from 2.0% to 46.7% of runs from 20 Nov 17:00 to 18:00 UTC, with version 2.1")
    assert set(numbers(found)) <= set(range(300, 360))
    assert len(numbers(found)) > 20
    assert "and afterward" in found.happens
    assert found.fix.startswith("It ended with version 2.1. Find out what went wrong before it runs again.")


def test_a_bad_time_without_a_version_of_its_own_has_only_its_start_and_end() -> None:
    (found,) = bad_hours(("2", "2")).found(Regressions())
    assert " of runs from 20 Nov 16:5" in found.title or " of runs from 20 Nov 17:0" in found.title
    assert "with" not in found.title
    assert found.fix.startswith("It ended by itself.")


def test_latency_that_rose_for_a_while_has_only_the_slow_runs_of_then() -> None:
    chance = random.Random(2)
    traffic = Traffic()
    for number in range(400):
        took = 3 if 150 <= number < 250 else 1
        traffic.add([a_run(number, duration_us=int(1e6 * took * chance.uniform(0.8, 1.2)))])
    (found,) = traffic.found(Regressions())
    assert found.title == "p95 latency rose from 1.18 s to 3.55 s from 20 Nov 14:30 to 16:10 UTC"
    assert numbers(found) == list(range(150, 250))


def test_what_stays_worse_is_no_episode() -> None:
    chance = random.Random(8)
    traffic = Traffic()
    for number in range(600):
        share = 0.02 if number < 300 else 0.5 if number < 400 else 0.4
        traffic.add([failed(number) if chance.random() < share else a_run(number)])
    (found,) = traffic.found(Regressions())
    assert " on 20 Nov 1" in found.title


@pytest.mark.slow
def test_the_bad_deploy_of_the_demo_is_named_with_its_version_and_its_runs(now: datetime) -> None:
    spans = [
        span
        for turns in timeline.conversations(timeline.begins(now), now, now)
        for turn in turns
        if turn[0].attributes.get("agent.id") == support.ID
        for span in turn
    ]
    material = of_spans(spans, now - timeline.PERIOD, now)
    found = material.found(Regressions())["regression|failures"]
    told = "of runs from 17 Nov 13:01 to 19:01 UTC, with version 2.4.0"
    assert found.title == f"Failures rose from 1.8% to 56.6% {told}"
    bad = material.runs(lambda run: run.failed and run.service_version == support.BAD)
    assert bad <= found.traces
    assert len(found.traces) <= len(bad) + 3
    assert found.severity == Severity.CRITICAL


@pytest.mark.parametrize("seed", range(10))
def test_ten_clean_seeds_have_no_episode(seed: int) -> None:
    chance = random.Random(f"clean {seed}")
    traffic = Traffic()
    for number in range(800):
        run = failed(number) if chance.random() < 0.03 else a_run(number)
        traffic.add([run._replace(duration_us=int(1e6 * chance.lognormvariate(0, 0.5)))])
    assert not [each for each in traffic.found(Regressions()) if (each.p_value or 0) < 0.05]
