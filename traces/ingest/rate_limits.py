"""How fast one API key may send: token buckets in this process' memory, requests and spans apart.

A request is let in while its key's buckets hold anything and pays afterwards, for it is only known then how many spans
it had. So a request of any size gets in, and a debt keeps the next ones out: over time the rate holds.
"""

import math
from dataclasses import dataclass
from threading import Lock

BURST_SECONDS = 10
"""How long a key that was quiet may send at any speed, in seconds' worth of its rate."""


class RateLimited(Exception):
    """A key has used up what it may send. `retry_after`: seconds until it may again; `what`: requests or spans."""

    def __init__(self, what: str, rate: int, retry_after: int) -> None:
        super().__init__(f"This API key may send {what} at {rate:,} per second on average.")
        self.retry_after = retry_after


@dataclass(slots=True)
class Bucket:
    """What is left of one key's one allowance; below zero it is owed."""

    rate: int
    level: float
    at: float

    def fill(self, rate: int, now: float) -> None:
        """Bring the level up to now. A new rate counts from now on."""
        self.rate = rate
        self.level = min(self.level + max(0.0, now - self.at) * rate, float(rate * BURST_SECONDS))
        self.at = now


class RateLimiter:
    """The buckets of all keys that sent something to this process. Rates are per second; 0 is no limit."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[int, str], Bucket] = {}
        self._lock = Lock()

    def admit(self, key_id: int, requests: int, spans: int, now: float) -> None:
        """Let a request in and take its token. Raises TooFast."""
        with self._lock:
            for what, rate in (("requests", requests), ("spans", spans)):
                bucket = self._filled(key_id, what, rate, now)
                if bucket and bucket.level <= 0:
                    raise RateLimited(what, rate, max(1, math.ceil(-bucket.level / rate)))
            self._take(key_id, "requests", 1)

    def charge(self, key_id: int, spans: int) -> None:
        """Take the tokens of the spans that a request turned out to have."""
        with self._lock:
            self._take(key_id, "spans", spans)

    def _filled(self, key_id: int, what: str, rate: int, now: float) -> Bucket | None:
        if not rate:
            self._buckets.pop((key_id, what), None)
            return None
        bucket = self._buckets.setdefault((key_id, what), Bucket(rate, float(rate * BURST_SECONDS), now))
        bucket.fill(rate, now)
        return bucket

    def _take(self, key_id: int, what: str, tokens: int) -> None:
        bucket = self._buckets.get((key_id, what))
        if bucket:
            bucket.level -= tokens
