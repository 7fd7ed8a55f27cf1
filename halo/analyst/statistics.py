"""Tests of whether two samples differ, or a series changes, for many tests at once."""

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, groupby
from math import exp, sqrt
from typing import NamedTuple

from catalyst.confidence import normal_two_sided

# Up to so many values in both samples together, Mann-Whitney's test counts all ways to divide them.
MAX_EXACT_VALUES = 30
# Terms of Kolmogorov's series, of which the third is below 1e-7 where the first counts.
KOLMOGOROV_TERMS = 20


class Change(NamedTuple):
    """A series is best split before the value at `at`. `p_value`: that it never changes."""

    at: int
    p_value: float


class Episode(NamedTuple):
    """A series is higher from the value at `start` to before the one at `end`. `p_value`: that it is not."""

    start: int
    end: int
    p_value: float


def mann_whitney(sample: Sequence[float], other: Sequence[float]) -> float:
    """Probability that values of two samples differ at least as much by chance: two-sided, in no unit.

    Mann and Whitney (1947), with the mean rank for ties: exact for up to MAX_EXACT_VALUES values, else by the normal
    approximation, corrected for ties and continuity (Lehmann, Nonparametrics, 1975). Returns 1 for an empty sample.
    """
    if not sample or not other:
        return 1.0
    doubled = doubled_ranks([*sample, *other])
    seen, count, total = sum(doubled[: len(sample)]), len(sample), len(doubled)
    if total <= MAX_EXACT_VALUES:
        return _share_as_far(doubled, count, seen)
    variance = count * (total - count) * _variance(doubled) / (total - 1)
    # A continuity correction of half a rank, doubled.
    distance = max(abs(seen - count * (total + 1)) - 1, 0)
    return normal_two_sided(distance / sqrt(variance)) if variance else 1.0


def doubled_ranks(values: Sequence[float]) -> list[int]:
    """Twice the rank of each value, from 2 on; equal values share their mean rank, so twice of it is whole."""
    ranks, below = [0] * len(values), 0
    for _, tied in groupby(sorted(range(len(values)), key=values.__getitem__), key=values.__getitem__):
        places = list(tied)
        for place in places:
            ranks[place] = 2 * below + len(places) + 1
        below += len(places)
    return ranks


def _variance(doubled: Sequence[int]) -> float:
    """Of all doubled ranks, around their mean."""
    total = len(doubled)
    return sum((rank - total - 1) ** 2 for rank in doubled) / total


def _share_as_far(doubled: Sequence[int], count: int, seen: int) -> float:
    """Of all choices of `count` ranks, the share with a sum at least as far from its mean as the seen one."""
    # How many choices there are by their length and sum.
    choices: list[Counter[int]] = [Counter({0: 1}), *(Counter[int]() for _ in range(count))]
    for rank in doubled:
        for length in range(count, 0, -1):
            for total, ways in choices[length - 1].items():
                choices[length][total + rank] += ways
    mean = count * (len(doubled) + 1)
    far = sum(ways for total, ways in choices[count].items() if abs(total - mean) >= abs(seen - mean))
    return far / choices[count].total()


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the same order: below 5 % are discoveries of which at most 5 % are expected to be false.

    Benjamini and Hochberg (1995), for independent or positively dependent tests.
    """
    adjusted, smallest, count = [1.0] * len(p_values), 1.0, len(p_values)
    largest_first = sorted(range(count), key=p_values.__getitem__, reverse=True)
    for place, index in zip(range(count, 0, -1), largest_first, strict=True):
        smallest = min(smallest, p_values[index] * count / place)
        adjusted[index] = smallest
    return adjusted


def change_point(values: Sequence[float]) -> Change | None:
    """Where a series in order of time is best split in two levels; None for fewer than two different values.

    Pettitt (1979): the largest sum of the ranks so far around their mean. Over its standard deviation, with ties, it
    goes by Kolmogorov's distribution, which errs toward no change in short series. Works for shares as well, as a
    series of zeros and ones. A change near either end is hard to see.
    """
    doubled = doubled_ranks(values)
    spread = sqrt(_variance(doubled) * len(values)) if values else 0.0
    if not spread:
        return None
    sums = [abs(total) for total in accumulate(rank - len(values) - 1 for rank in doubled)]
    largest = max(sums)
    return Change(sums.index(largest) + 1, kolmogorov(largest / spread))


def episode(values: Sequence[float]) -> Episode | None:
    """Where a series in order of time is higher for a while; None if it only rises, only falls, or does neither.

    The part with the largest sum of ranks above their mean. Over its standard deviation, this sum is at most Kuiper's
    distance between the highest and the lowest point of a Brownian bridge. The rise also has to pass Pettitt's test up
    to the end of the part, and the fall from its start on.
    """
    doubled = doubled_ranks(values)
    spread = sqrt(_variance(doubled) * len(values)) if values else 0.0
    if not spread:
        return None
    largest, best, lowest, lowest_at, total = 0, (0, 0), 0, 0, 0
    for at, rank in enumerate(doubled, 1):
        total += rank - len(values) - 1
        if total - lowest > largest:
            largest, best = total - lowest, (lowest_at, at)
        if total < lowest:
            lowest, lowest_at = total, at
    start, end = best
    rise, fall = change_point(values[:end]), change_point(values[start:])
    if not start or end == len(values) or rise is None or fall is None:
        return None
    return Episode(start, end, max(kuiper(largest / spread), rise.p_value, fall.p_value))


def kuiper(distance: float) -> float:
    """Probability that the highest point of a Brownian bridge is at least so far above its lowest (Kuiper, 1960)."""
    squares = ((at * distance) ** 2 for at in range(1, KOLMOGOROV_TERMS + 1))
    terms = ((4 * square - 1) * exp(-2 * square) for square in squares)
    # The series converges slowly where the probability is 1 but for rounding.
    return min(max(2 * sum(terms), 0.0), 1.0) if distance > 0.4 else 1.0


def kolmogorov(distance: float) -> float:
    """Probability that a Brownian bridge goes at least so far from zero (Kolmogorov, 1933)."""
    terms = ((-1) ** (at - 1) * exp(-2 * (at * distance) ** 2) for at in range(1, KOLMOGOROV_TERMS + 1))
    # The series converges slowly where the probability is 1 but for rounding.
    return min(max(2 * sum(terms), 0.0), 1.0) if distance > 0.2 else 1.0
