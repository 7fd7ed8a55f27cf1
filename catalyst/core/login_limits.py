"""How often somebody may try: token buckets in the database, shared by all processes (docs/adr/0007)."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from catalyst.core.models import Bucket

_TAKE = """
INSERT INTO core_bucket AS bucket (key, tokens, filled_at) VALUES (%(key)s, %(capacity)s - 1, %(now)s)
ON CONFLICT (key) DO UPDATE SET filled_at = %(now)s, tokens = -1 + least(
    %(capacity)s, bucket.tokens + greatest(extract(epoch FROM %(now)s - bucket.filled_at), 0) / %(seconds)s)
WHERE bucket.tokens + greatest(extract(epoch FROM %(now)s - bucket.filled_at), 0) / %(seconds)s >= 1
RETURNING tokens
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """So many at once, then one more every so often."""

    name: str
    capacity: int
    every: timedelta


SIGN_IN_BY_ADDRESS = Limit("address", 30, timedelta(seconds=10))
SIGN_IN_BY_NAME = Limit("username", 10, timedelta(seconds=60))
KEPT = timedelta(days=1)


def take(limit: Limit, whose: str, now: datetime) -> bool:
    """Take a token; False when none is left. One statement, so that two at once never take the same one."""
    values: dict[str, str | float | datetime] = {
        "key": _key(limit, whose),
        "capacity": float(limit.capacity),
        "seconds": limit.every.total_seconds(),
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, values)
        return cursor.fetchone() is not None


def refill(limit: Limit, whose: str) -> None:
    """Start again with a full bucket."""
    Bucket.objects.filter(key=_key(limit, whose)).delete()


def delete_expired(now: datetime) -> None:
    """Delete buckets that have long been full again."""
    Bucket.objects.filter(filled_at__lt=now - KEPT).delete()


def _key(limit: Limit, whose: str) -> str:
    """Hashed: what people type as their name is sometimes their password."""
    return f"{limit.name}:{hashlib.sha256(whose.casefold().encode()).hexdigest()[:32]}"
