"""Tests of samples, against published values and the definitions."""

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halo.analyst.statistics import (
    Change,
    benjamini_hochberg,
    change_point,
    doubled_ranks,
    episode,
    kolmogorov,
    kuiper,
    mann_whitney,
)

# Hollander and Wolfe, Nonparametric Statistical Methods (1973), page 69: permeability constants.
TERM = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
EARLY = [1.15, 0.88, 0.90, 0.74, 1.21]
# Benjamini and Hochberg (1995): thrombolysis after a heart attack.
THROMBOLYSIS = [
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459),
    *(0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
]
# The volume of the Nile at Aswan, 1871 to 1970, which fell after 1898 (Cobb, 1978).
NILE = [
    *(1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180, 799, 958, 1140),
    *(1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833, 701, 916, 692, 1020, 1050, 969),
    *(831, 726, 456, 824, 702, 1120, 1100, 832, 764, 821, 768, 845, 864, 862, 698, 845, 744, 796, 1040, 759),
    *(781, 865, 845, 944, 984, 897, 822, 1010, 771, 676, 649, 846, 812, 742, 801, 1040, 860, 874, 848, 890),
    *(744, 749, 838, 1050, 918, 986, 797, 923, 975, 815, 1020, 906, 901, 1170, 912, 746, 919, 718, 714, 740),
]


def test_mann_whitney_gives_the_published_value() -> None:
    assert mann_whitney(TERM, EARLY) == pytest.approx(0.2544, abs=5e-5)
    assert mann_whitney(EARLY, TERM) == mann_whitney(TERM, EARLY)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5), st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_mann_whitney_counts_all_ways_to_divide_a_few_values(sample: list[int], other: list[int]) -> None:
    ranks = doubled_ranks([*sample, *other])
    mean = len(sample) * sum(ranks) / len(ranks)
    seen = abs(sum(ranks[: len(sample)]) - mean)
    ways = list(combinations(ranks, len(sample)))
    expected = sum(abs(sum(way) - mean) >= seen for way in ways) / len(ways)
    assert mann_whitney(sample, other) == pytest.approx(expected)


def test_mann_whitney_of_many_values_is_near_the_exact_one() -> None:
    chance = random.Random(1)
    sample = [chance.randrange(40) for _ in range(16)]
    other = [chance.randrange(40) + 8 for _ in range(16)]
    ranks = doubled_ranks(sample + other)
    mean = sum(ranks) / 2
    seen = abs(sum(ranks[:16]) - mean)
    tries = [abs(sum(chance.sample(ranks, 16)) - mean) >= seen for _ in range(20_000)]
    assert mann_whitney(sample, other) == pytest.approx(sum(tries) / len(tries), abs=0.01)


def test_mann_whitney_of_nothing_or_of_equal_values_tells_no_difference() -> None:
    assert mann_whitney([], [1.0]) == mann_whitney([2.0] * 100, [2.0] * 50) == mann_whitney([1], [1]) == 1


def test_equal_values_share_their_mean_rank() -> None:
    assert doubled_ranks([30, 10, 30, 20]) == [7, 2, 7, 4]


def test_of_many_tests_the_published_ones_are_discoveries() -> None:
    adjusted = benjamini_hochberg(THROMBOLYSIS)
    assert sum(p_value <= 0.05 for p_value in adjusted) == 4
    assert adjusted[:2] == pytest.approx([0.0015, 0.003])
    assert benjamini_hochberg([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_p_values_follow_the_definition(p_values: list[float]) -> None:
    placed = sorted(p_values)
    expected = [
        min(placed[at] * len(placed) / (at + 1) for at in range(placed.index(p_value), len(placed)))
        for p_value in p_values
    ]
    assert benjamini_hochberg(p_values) == pytest.approx([min(1.0, each) for each in expected])


def test_the_nile_fell_after_1898() -> None:
    change = change_point(NILE)
    assert change is not None
    assert 1871 + change.at == 1899
    # Pettitt's own approximation, without ties, gives 3.6e-7.
    assert change.p_value == pytest.approx(3.6e-7, rel=0.2)


@given(st.lists(st.integers(0, 3), max_size=12))
def test_the_change_is_the_split_with_the_most_unequal_ranks(values: list[int]) -> None:
    change = change_point(values)
    if len(set(values)) < 2:
        assert change is None
        return
    ranks, mean = doubled_ranks(values), len(values) + 1
    splits = [abs(sum(ranks[:at]) - at * mean) for at in range(1, len(values))]
    assert change is not None
    assert change.at == 1 + splits.index(max(splits))


def test_a_series_without_a_change_seldom_seems_to_have_one() -> None:
    chance = random.Random(5)
    found = [change_point([float(chance.random() < 0.1) for _ in range(200)]) for _ in range(400)]
    significant = [change for change in found if change and change.p_value < 0.05]
    assert len(significant) < 0.07 * len(found)


def test_a_share_that_grows_is_a_change() -> None:
    chance = random.Random(6)
    change = change_point([float(chance.random() < (0.02 if at < 300 else 0.2)) for at in range(500)])
    assert isinstance(change, Change)
    assert change.at == pytest.approx(300, abs=30)
    assert change.p_value < 1e-6


@pytest.mark.parametrize(("distance", "p_value"), [(1.2239, 0.10), (1.3581, 0.05), (1.6276, 0.01), (0.1, 1), (0, 1)])
def test_kolmogorovs_distribution(distance: float, p_value: float) -> None:
    assert kolmogorov(distance) == pytest.approx(p_value, abs=5e-5)


@given(st.lists(st.integers(0, 3), max_size=12))
def test_an_episode_is_the_part_with_the_highest_ranks(values: list[int]) -> None:
    found = episode(values)
    ranks, mean = doubled_ranks(values), len(values) + 1
    sums = {
        (start, end): sum(ranks[start:end]) - (end - start) * mean
        for start in range(len(values))
        for end in range(start + 1, len(values) + 1)
    }
    if found:
        assert 0 < found.start < found.end < len(values)
        assert sums[found.start, found.end] == max(sums.values())


def test_a_series_without_an_episode_seldom_seems_to_have_one() -> None:
    chance = random.Random(5)
    found = [episode([float(chance.random() < 0.1) for _ in range(200)]) for _ in range(400)]
    assert len([each for each in found if each and each.p_value < 0.05]) < 0.07 * len(found)


def test_a_share_that_is_higher_for_a_while_is_an_episode() -> None:
    chance = random.Random(6)
    found = episode([float(chance.random() < (0.4 if 300 <= at < 360 else 0.02)) for at in range(500)])
    assert found is not None
    assert found.start == pytest.approx(300, abs=10)
    assert found.end == pytest.approx(360, abs=10)
    assert found.p_value < 1e-3


def test_a_step_is_no_episode() -> None:
    found = episode([float(at >= 300) for at in range(500)])
    assert found is None


@pytest.mark.parametrize(("distance", "p_value"), [(1.620, 0.10), (1.747, 0.05), (2.001, 0.01), (0.2, 1), (0, 1)])
def test_kuipers_distribution(distance: float, p_value: float) -> None:
    assert kuiper(distance) == pytest.approx(p_value, abs=5e-4)
