"""How sure a number is."""

from fractions import Fraction
from math import comb, exp, lgamma, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalyst import confidence
from catalyst.confidence import wilson


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(1337, 9412, 13.51, 14.93), (0, 10, 0, 27.75), (10, 10, 72.25, 100), (1, 2, 9.45, 90.55), (0, 0, 0, 100)],
)
def test_it_says_how_sure_a_share_is(part: int, whole: int, low: float, high: float) -> None:
    found = wilson(part, whole)
    assert [round(100 * edge, 2) for edge in found] == [low, high]


def at_least(part: int, total: int, share: Fraction) -> float:
    """The definition, without rounding."""
    return float(sum(comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(max(part, 0), total + 1)))


@given(st.integers(1, 60), st.integers(-1, 61), st.integers(1, 19))
def test_the_exact_test_of_a_share(total: int, part: int, twentieths: int) -> None:
    share = Fraction(twentieths, 20)
    expected = at_least(part, total, share)
    assert confidence.binomial_at_least(part, total, float(share)) == pytest.approx(expected, abs=1e-9)
    at_most = 1 - at_least(part + 1, total, share)
    assert confidence.binomial_at_most(part, total, float(share)) == pytest.approx(at_most, abs=1e-9)


@given(st.integers(0, 80), st.integers(1, 60))
def test_the_exact_test_of_a_count(count: int, mean: int) -> None:
    below = sum(exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(count))
    assert confidence.poisson_at_least(count, mean) == pytest.approx(1 - below, abs=1e-9)
    assert confidence.poisson_at_most(count - 1, mean) == pytest.approx(below, abs=1e-9)


def test_small_probabilities_keep_their_digits() -> None:
    assert confidence.binomial_at_least(20, 20, 0.01) == pytest.approx(1e-40)
    assert confidence.poisson_at_least(60, 5.0) == pytest.approx(7.7e-37, rel=0.02)


def test_large_counts_are_quick_and_right() -> None:
    # A normal distribution is close at this size: four standard deviations.
    assert confidence.binomial_at_least(502_000, 1_000_000, 0.5) == pytest.approx(3.17e-5, rel=0.02)
    assert confidence.poisson_at_least(1_004_000, 1_000_000) == pytest.approx(3.2e-5, rel=0.05)


def test_certainties() -> None:
    assert confidence.binomial_at_least(0, 10, 0.5) == 1
    assert confidence.binomial_at_least(1, 10, 0) == 0
    assert confidence.binomial_at_least(1, 10, 1) == 1
    assert confidence.poisson_at_least(1, 0) == 0
    assert confidence.poisson_at_most(0, 0) == 1


@given(st.integers(1, 200), st.integers(0, 200))
def test_the_exact_interval_is_where_the_tests_turn(total: int, part: int) -> None:
    part = min(part, total)
    low, high = confidence.exact_low(part, total, 0.01), confidence.exact_high(part, total, 0.01)
    assert low <= part / total <= high
    if part:
        assert confidence.binomial_at_least(part, total, low) == pytest.approx(0.01, rel=1e-3)
    if part < total:
        assert confidence.binomial_at_most(part, total, high) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize(
    ("cells", "p_value"),
    [
        # Fisher, The Design of Experiments (1935): the lady who tastes tea.
        ((3, 4, 1, 4), 34 / 70),
        # Fisher (1962): convicted twins of criminals, like in sex: 10 of 13 alike, 2 of 17 not.
        ((10, 13, 2, 17), 0.0005367),
        ((0, 5, 0, 9), 1),
        ((5, 5, 9, 9), 1),
    ],
)
def test_fishers_test_gives_the_published_values(cells: tuple[int, int, int, int], p_value: float) -> None:
    assert confidence.fisher_p_value(*cells) == pytest.approx(p_value, rel=1e-4)
    assert confidence.shares_p_value(*cells) == pytest.approx(p_value, rel=1e-4)


@given(st.integers(1, 25), st.integers(1, 25), st.data())
def test_fishers_test_counts_the_tables_that_are_as_unlikely(total: int, other: int, data: st.DataObject) -> None:
    part, other_part = data.draw(st.integers(0, total)), data.draw(st.integers(0, other))
    parts = part + other_part
    ways = [comb(total, count) * comb(other, parts - count) for count in range(min(total, parts) + 1)]
    expected = sum(way for way in ways if way <= ways[part]) / comb(total + other, parts)
    assert confidence.fisher_p_value(part, total, other_part, other) == pytest.approx(expected)


def test_large_shares_are_compared_by_their_common_variance() -> None:
    # They are 1.11 standard deviations apart, of which a normal table says 0.267.
    assert confidence.shares_p_value(46, 200, 37, 200) == pytest.approx(0.267, abs=5e-4)
    assert confidence.shares_p_value(0, 0, 37, 200) == 1


def test_a_test_of_shares_in_millions_takes_no_time() -> None:
    assert confidence.shares_p_value(3, 1_000_000, 4, 900_000) > 0.5
    assert confidence.shares_p_value(60_000, 1_000_000, 40_000, 900_000) < 1e-12


@pytest.mark.parametrize(
    ("cells", "low", "high"),
    [
        # Newcombe (1998), table II, method 10.
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 0, 3, 10), -1, 1),
    ],
)
def test_a_difference_has_the_published_interval(cells: tuple[int, int, int, int], low: float, high: float) -> None:
    assert confidence.difference(*cells) == pytest.approx((low, high), abs=1e-4)
