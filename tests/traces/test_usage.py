"""Sums, percentiles and chance."""

from collections import Counter
from math import ceil
from random import Random

import pytest

from traces.summary import latency_bucket
from traces.usage import percentile, percentile_trend, share_trend


def histogram(durations: list[int]) -> Counter[int]:
    return Counter(latency_bucket(duration) for duration in durations)


@pytest.mark.parametrize("count", [1, 2, 20, 999])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_it_finds_percentiles_within_five_percent(count: int, share: float) -> None:
    random = Random(count)
    durations = [int(random.lognormvariate(14, 1)) for _ in range(count)]
    exact = sorted(durations)[ceil(share * count) - 1]
    found = percentile(histogram(durations), share)
    assert found == pytest.approx(exact, rel=0.05)


def test_it_knows_no_percentile_of_nothing() -> None:
    assert percentile({}, 0.5) is None
    assert percentile({100: 0}, 0.5) is None


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((10, 100), (12, 100), 0),
        ((10, 1000), (40, 1000), 1),
        ((40, 1000), (10, 1000), -1),
        ((0, 3), (3, 3), 0),
        ((0, 0), (5, 5), 0),
        ((0, 5000), (0, 5000), 0),
    ],
)
def test_it_calls_a_share_changed_only_beyond_chance(
    before: tuple[int, int], after: tuple[int, int], expected: int
) -> None:
    assert share_trend(before, after) == expected


def test_it_calls_a_latency_changed_only_beyond_chance() -> None:
    fast, slow = [1_000_000] * 200, [1_500_000] * 200
    assert percentile_trend(histogram(fast), histogram(slow), 0.5) == 1
    assert percentile_trend(histogram(slow), histogram(fast), 0.5) == -1
    assert percentile_trend(histogram(fast), histogram([1_090_000] * 200), 0.5) == 0
    assert percentile_trend(histogram(fast), histogram(fast[:3] + slow[:2]), 0.95) == 0
    assert percentile_trend({}, histogram(slow), 0.5) == 0
