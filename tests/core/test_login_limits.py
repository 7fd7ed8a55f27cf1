"""Token buckets: so many at once, then one more every so often."""

from datetime import datetime, timedelta

import pytest

from catalyst.core import login_limits
from catalyst.core.login_limits import Limit
from catalyst.core.models import Bucket

pytestmark = pytest.mark.django_db
LIMIT = Limit("test", 3, timedelta(seconds=10))
SECOND = timedelta(seconds=1)


def takes(whose: str, now: datetime, times: int = 5) -> int:
    """How many of several tries succeed."""
    return sum(login_limits.take(LIMIT, whose, now) for _ in range(times))


def test_it_gives_what_the_bucket_holds_and_then_one_at_a_time(now: datetime) -> None:
    assert takes("ada", now) == 3
    assert takes("ada", now + 9 * SECOND) == 0
    assert takes("ada", now + 10 * SECOND) == 1
    assert takes("ada", now + 30 * SECOND) == 2
    assert takes("ada", now + timedelta(hours=1)) == 3


def test_it_keeps_people_and_limits_apart(now: datetime) -> None:
    assert takes("ada", now) == 3
    assert takes("ADA", now) == 0
    assert takes("bob", now) == 3
    assert login_limits.take(Limit("other", 1, SECOND), "ada", now)


def test_it_starts_again(now: datetime) -> None:
    takes("ada", now)
    login_limits.refill(LIMIT, "ada")
    assert takes("ada", now) == 3


def test_it_takes_a_clock_that_goes_back(now: datetime) -> None:
    assert login_limits.take(LIMIT, "ada", now + timedelta(hours=5))
    assert takes("ada", now) == 2


def test_it_keeps_no_names_and_no_old_buckets(now: datetime) -> None:
    login_limits.take(LIMIT, "hunter2", now)
    assert "hunter2" not in Bucket.objects.get().key
    login_limits.delete_expired(now + timedelta(hours=23))
    assert Bucket.objects.exists()
    login_limits.delete_expired(now + timedelta(hours=25))
    assert not Bucket.objects.exists()
