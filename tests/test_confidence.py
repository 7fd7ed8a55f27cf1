"""How sure a number is."""

import pytest

from catalyst.confidence import wilson


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(1337, 9412, 13.51, 14.93), (0, 10, 0, 27.75), (10, 10, 72.25, 100), (1, 2, 9.45, 90.55), (0, 0, 0, 100)],
)
def test_it_says_how_sure_a_share_is(part: int, whole: int, low: float, high: float) -> None:
    found = wilson(part, whole)
    assert [round(100 * edge, 2) for edge in found] == [low, high]
