"""Token buckets (docs/adr/0007).

Use the database to share a bucket among processes, memory if a query for each token is too expensive.
"""

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from django.db import connection

from catalyst.core.models import Bucket

RETENTION = timedelta(days=1)

_TAKE = """
INSERT INTO core_bucket AS bucket (key, tokens, filled_at) VALUES (%(key)s, %(capacity)s - 1, %(now)s)
ON CONFLICT (key) DO UPDATE SET filled_at = %(now)s, tokens = -1 + least(
    %(capacity)s, bucket.tokens + greatest(extract(epoch FROM %(now)s - bucket.filled_at), 0) * %(rate)s)
WHERE bucket.tokens + greatest(extract(epoch FROM %(now)s - bucket.filled_at), 0) * %(rate)s >= 1
RETURNING tokens
"""


@dataclass(frozen=True, slots=True)
class Limit:
    # Capacity is in tokens.
    name: str
    capacity: int
    tokens_per_second: float


class DatabaseBuckets:
    """Buckets shared by all processes, without debt."""

    def take(self, limit: Limit, whose: str, now: datetime) -> bool:
        """Return False if the bucket is empty."""
        values: dict[str, str | float | datetime] = {
            "key": self._key(limit, whose),
            "capacity": float(limit.capacity),
            "rate": limit.tokens_per_second,
            "now": now,
        }
        # One statement, so that two at once never take the same token.
        with connection.cursor() as cursor:
            cursor.execute(_TAKE, values)
            return cursor.fetchone() is not None

    def refill(self, limit: Limit, whose: str) -> None:
        Bucket.objects.filter(key=self._key(limit, whose)).delete()

    def delete_expired(self, now: datetime) -> None:
        # A missing bucket counts as full.
        Bucket.objects.filter(filled_at__lt=now - RETENTION).delete()

    @staticmethod
    def _key(limit: Limit, whose: str) -> str:
        # Hashed: what people type as their name is sometimes their password.
        return f"{limit.name}:{hashlib.sha256(whose.casefold().encode()).hexdigest()[:32]}"


@dataclass(slots=True)
class _Level:
    tokens: float
    filled_at: float


class MemoryBuckets:
    """Buckets of this process, with debt.

    The size of a request is known only after it was read. So any positive level admits it, and its debt delays later
    ones.
    """

    def __init__(self) -> None:
        self._levels: dict[tuple[str, Hashable], _Level] = {}
        self._lock = Lock()

    def seconds_to_wait(self, limit: Limit, whose: Hashable, now: datetime) -> float | None:
        """Return None if the bucket has tokens."""
        with self._lock:
            level = self._filled(limit, whose, now.timestamp())
            return None if level.tokens > 0 else -level.tokens / limit.tokens_per_second

    def take(self, limit: Limit, whose: Hashable, now: datetime, tokens: float = 1) -> None:
        with self._lock:
            self._filled(limit, whose, now.timestamp()).tokens -= tokens

    def _filled(self, limit: Limit, whose: Hashable, now: float) -> _Level:
        level = self._levels.setdefault((limit.name, whose), _Level(limit.capacity, now))
        seconds = max(0.0, now - level.filled_at)
        level.tokens = min(limit.capacity, level.tokens + seconds * limit.tokens_per_second)
        level.filled_at = now
        return level


database_buckets = DatabaseBuckets()
