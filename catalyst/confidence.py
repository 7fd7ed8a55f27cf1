"""Confidence intervals."""

from math import sqrt

Z_95 = 1.959964


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
