"""Confidence intervals and exact tests of counts."""

from collections.abc import Callable
from functools import lru_cache
from math import exp, lgamma, log, log1p, sqrt

Z_95 = 1.959964
# Terms of a sum that are smaller than this part of the sum add nothing.
NEGLIGIBLE = 1e-12
BISECTIONS = 40


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
    logarithm = lgamma(total + 1) - lgamma(part + 1) - lgamma(total - part + 1)
    logarithm += part * log(share) + (total - part) * log1p(-share)
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
