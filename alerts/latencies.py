"""The 95th percentile of latency, from a histogram, and exact tests of it. Pure.

A percentile is at least so many seconds if more than 5 % of the runs take that long. So a test of it is one of a share.
Seconds of a bucket are those that pages show for it, within 5 %.
"""

from collections.abc import Mapping

from catalyst import confidence
from traces.summary import bucket_duration_us
from traces.usage import percentile

# Runs by latency bucket (`traces.summary.latency_bucket`).
type Latencies = Mapping[int, int]

SHARE = 0.95
SECOND_US = 1_000_000


def p95(latencies: Latencies) -> float | None:
    """Seconds. None without runs."""
    found = percentile(latencies, SHARE)
    return None if found is None else found / SECOND_US


def is_at_least(latencies: Latencies, seconds: float, error: float) -> bool:
    """True if chance alone does not explain how many runs take that long."""
    slow = sum(count for bucket, count in latencies.items() if _seconds(bucket) >= seconds)
    return confidence.binomial_at_least(slow, sum(latencies.values()), 1 - SHARE) <= error


def is_at_most(latencies: Latencies, seconds: float, error: float) -> bool:
    """True if chance alone does not explain how few runs take longer."""
    slower = sum(count for bucket, count in latencies.items() if _seconds(bucket) > seconds)
    return confidence.binomial_at_most(slower, sum(latencies.values()), 1 - SHARE) <= error


def low(latencies: Latencies, error: float) -> float | None:
    """The greatest number of seconds that the percentile reaches beyond chance. None if there is none."""
    each = sorted(map(_seconds, latencies), reverse=True)
    return next((seconds for seconds in each if is_at_least(latencies, seconds, error)), None)


def high(latencies: Latencies, error: float) -> float | None:
    """The smallest number of seconds that the percentile stays within beyond chance. None if there is none."""
    each = sorted(map(_seconds, latencies))
    return next((seconds for seconds in each if is_at_most(latencies, seconds, error)), None)


def _seconds(bucket: int) -> float:
    return bucket_duration_us(bucket) / SECOND_US
