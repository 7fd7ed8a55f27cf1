"""A test that hangs fails by name; slow tests may take longer."""

import pytest

from tests.conftest import MAX_SLOW_TEST_SECONDS


def limit(request: pytest.FixtureRequest) -> float:
    """Seconds that the running test may take."""
    marker = request.node.get_closest_marker("timeout")
    return float(marker.args[0] if marker else request.config.getini("timeout"))


def test_it_limits_the_time_of_a_quick_test(request: pytest.FixtureRequest) -> None:
    assert 0 < limit(request) <= 120


@pytest.mark.slow
def test_it_gives_a_slow_test_more(request: pytest.FixtureRequest) -> None:
    assert limit(request) == MAX_SLOW_TEST_SECONDS


@pytest.mark.timeout(0.05)
def test_it_ends_a_test_that_hangs() -> None:
    with pytest.raises(pytest.fail.Exception, match="Timeout"):
        while True:
            pass
