"""Token buckets in the database and in memory: so many at once, then one more every so often."""

from datetime import datetime, timedelta

import pytest

from catalyst.core.models import Bucket
from catalyst.core.token_buckets import Limit, MemoryBuckets, database_buckets

pytestmark = pytest.mark.django_db
LIMIT = Limit("test", 3, 1 / 10)
SECOND = timedelta(seconds=1)


def takes(whose: str, now: datetime, times: int = 5) -> int:
    """How many of several tries succeed."""
    return sum(database_buckets.take(LIMIT, whose, now) for _ in range(times))


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
    assert database_buckets.take(Limit("other", 1, 1), "ada", now)


def test_it_starts_again(now: datetime) -> None:
    takes("ada", now)
    database_buckets.refill(LIMIT, "ada")
    assert takes("ada", now) == 3


def test_it_takes_a_clock_that_goes_back(now: datetime) -> None:
    assert database_buckets.take(LIMIT, "ada", now + timedelta(hours=5))
    assert takes("ada", now) == 2


def test_it_keeps_no_names_and_no_old_buckets(now: datetime) -> None:
    database_buckets.take(LIMIT, "hunter2", now)
    assert "hunter2" not in Bucket.objects.get().key
    database_buckets.delete_expired(now + timedelta(hours=23))
    assert Bucket.objects.exists()
    database_buckets.delete_expired(now + timedelta(hours=25))
    assert not Bucket.objects.exists()


def test_it_lets_a_bucket_in_memory_owe_tokens(now: datetime) -> None:
    buckets = MemoryBuckets()
    assert buckets.seconds_to_wait(LIMIT, "ada", now) is None
    buckets.take(LIMIT, "ada", now, 5)
    assert buckets.seconds_to_wait(LIMIT, "ada", now) == 20
    assert buckets.seconds_to_wait(LIMIT, "bob", now) is None
    assert buckets.seconds_to_wait(LIMIT, "ada", now + 15 * SECOND) == 5
    assert buckets.seconds_to_wait(LIMIT, "ada", now + 20 * SECOND) == 0
    assert buckets.seconds_to_wait(LIMIT, "ada", now + 21 * SECOND) is None


def test_it_fills_a_bucket_in_memory_to_the_brim_only(now: datetime) -> None:
    buckets = MemoryBuckets()
    buckets.take(LIMIT, "ada", now)
    later = now + timedelta(hours=1)
    buckets.take(LIMIT, "ada", later, 3)
    assert buckets.seconds_to_wait(LIMIT, "ada", later) == 0
