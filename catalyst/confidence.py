"""Confidence intervals and exact tests of counts."""

from collections.abc import Callable
from functools import lru_cache
from math import erfc, exp, lgamma, log, log1p, sqrt

Z_95 = 1.959964
# Terms of a sum that are smaller than this part of the sum add nothing.
NEGLIGIBLE = 1e-12
BISECTIONS = 40
# From so many expected cases on, the normal approximation of a count is good enough (Cochran, 1954).
FEWEST_EXPECTED = 10
# Probabilities that differ by less than this part are equal but for rounding.
EQUAL = 1e-7


def wilson(part: float, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, from 0 to 1. Returns (0, 1) for a total of 0."""
    if not total:
        return 0.0, 1.0
    share, weight = part / total, Z_95**2 / total
    middle = (share + weight / 2) / (1 + weight)
    half = Z_95 * sqrt(share * (1 - share) / total + weight / (4 * total)) / (1 + weight)
    low = max(middle - half, 0.0) if part else 0.0
    high = min(middle + half, 1.0) if part < total else 1.0
    return low, high


def difference(part: float, total: int, other_part: float, other_total: int) -> tuple[float, float]:
    """95 % interval of the first share minus the other, from -1 to 1, for independent cases.

    Newcombe's (1998, method 10), of Wilson's intervals. Returns (-1, 1) without cases on a side.
    """
    if not total or not other_total:
        return -1.0, 1.0
    share, other = part / total, other_part / other_total
    (low, high), (other_low, other_high) = wilson(part, total), wilson(other_part, other_total)
    below = sqrt((share - low) ** 2 + (other_high - other) ** 2)
    above = sqrt((high - share) ** 2 + (other - other_low) ** 2)
    return share - other - below, share - other + above


def binomial_at_least(part: int, total: int, share: float) -> float:
    """Probability of at least `part` of `total`, each with the probability `share`."""
    if part <= 0 or share >= 1:
        return 1.0
    if part > total or share <= 0:
        return 0.0
    if part <= total * share:
        # The sum of the other side has fewer terms, as it begins beside its largest.
        return 1 - binomial_at_least(total - part + 1, total, 1 - share)
    odds = share / (1 - share)
    logarithm = _log_choose(total, part) + part * log(share) + (total - part) * log1p(-share)
    return _tail(exp(logarithm), range(part, total), lambda at: odds * (total - at) / (at + 1))


def binomial_at_most(part: int, total: int, share: float) -> float:
    """Probability of at most `part` of `total`, each with the probability `share`."""
    return binomial_at_least(total - part, total, 1 - share)


def poisson_at_least(count: int, mean: float) -> float:
    """Probability of at least `count` events where `mean` are expected."""
    if count <= 0:
        return 1.0
    if mean <= 0:
        return 0.0
    if count <= mean:
        return 1 - poisson_at_most(count - 1, mean)
    # The terms at least halve from twice the mean on, so this many are enough at any mean.
    last = count + int(mean) + 100
    return _tail(_poisson(count, mean), range(count, last), lambda at: mean / (at + 1))


def poisson_at_most(count: int, mean: float) -> float:
    """Probability of at most `count` events where `mean` are expected."""
    if count < 0:
        return 0.0
    if mean <= 0:
        return 1.0
    if count > mean:
        return 1 - poisson_at_least(count + 1, mean)
    return _tail(_poisson(count, mean), range(count, 0, -1), lambda at: at / mean)


def _poisson(count: int, mean: float) -> float:
    return exp(count * log(mean) - mean - lgamma(count + 1))


def _tail(term: float, following: range, ratio: Callable[[int], float]) -> float:
    """Sum a series of falling terms. `ratio` gives the next term over the one at an index."""
    total = term
    for at in following:
        term *= ratio(at)
        total += term
        if term < total * NEGLIGIBLE:
            break
    return min(total, 1.0)


@lru_cache(maxsize=4096)
def exact_low(part: int, total: int, error: float) -> float:
    """The smallest share for which at least `part` of `total` has the probability `error` (Clopper and Pearson)."""
    if part <= 0:
        return 0.0
    low, high = 0.0, part / total
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if binomial_at_least(part, total, middle) < error:
            low = middle
        else:
            high = middle
    return low


def exact_high(part: int, total: int, error: float) -> float:
    """The greatest share for which at most `part` of `total` has the probability `error` (Clopper and Pearson)."""
    return 1 - exact_low(total - part, total, error)


def shares_p_value(part: int, total: int, other_part: int, other_total: int) -> float:
    """Probability that two shares differ at least as much by chance: two-sided, for independent cases.

    The test of two proportions with a common variance; Fisher's exact test where a cell of the table expects fewer
    than FEWEST_EXPECTED cases. Returns 1 if there is nothing to compare.
    """
    parts, everything = part + other_part, total + other_total
    if not total or not other_total or parts in {0, everything}:
        return 1.0
    if min(total, other_total) * min(parts, everything - parts) < FEWEST_EXPECTED * everything:
        return fisher_p_value(part, total, other_part, other_total)
    pooled = parts / everything
    deviation = sqrt(pooled * (1 - pooled) * (1 / total + 1 / other_total))
    return normal_two_sided((part / total - other_part / other_total) / deviation)


def fisher_p_value(part: int, total: int, other_part: int, other_total: int) -> float:
    """Fisher's exact test (1922), two-sided: the probability of all tables that are at most as likely as this one."""
    parts, everything = part + other_part, total + other_total
    constant = _log_choose(everything, parts)

    def likelihood(count: int) -> float:
        return exp(_log_choose(total, count) + _log_choose(other_total, parts - count) - constant)

    seen = likelihood(part) * (1 + EQUAL)
    each = (likelihood(count) for count in range(max(0, parts - other_total), min(parts, total) + 1))
    return min(sum(one for one in each if one <= seen), 1.0)


def normal_two_sided(deviations: float) -> float:
    """Probability of a normal value at least so many standard deviations from its mean, on either side."""
    return erfc(abs(deviations) / sqrt(2))


def _log_choose(total: int, part: int) -> float:
    return lgamma(total + 1) - lgamma(part + 1) - lgamma(total - part + 1)
