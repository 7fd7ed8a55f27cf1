"""How sure a number is. Pure."""

from math import sqrt

Z_95 = 1.959964


def wilson(part: float, whole: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, from 0 to 1; all of it when nothing was seen."""
    if not whole:
        return 0.0, 1.0
    share, weight = part / whole, Z_95**2 / whole
    middle = (share + weight / 2) / (1 + weight)
    half = Z_95 * sqrt(share * (1 - share) / whole + weight / (4 * whole)) / (1 + weight)
    return (max(middle - half, 0.0) if part else 0.0), (min(middle + half, 1.0) if part < whole else 1.0)
