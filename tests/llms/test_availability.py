"""How long a model, or a label, is left alone after failures."""

from datetime import timedelta

import pytest

from catalyst.llms.availability import backoff

LONGEST = timedelta(minutes=1)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1000, 60)])
def test_it_waits_twice_as_long_each_time_give_or_take_half(failures: int, seconds: int) -> None:
    waits = [backoff(f"label {number}", failures, LONGEST).total_seconds() for number in range(200)]
    assert seconds / 2 <= min(waits) < 0.6 * seconds
    assert 1.4 * seconds < max(waits) <= 1.5 * seconds


def test_the_same_label_waits_as_long_whoever_computes_it() -> None:
    assert backoff("label 1", 3, LONGEST) == backoff("label 1", 3, LONGEST)
