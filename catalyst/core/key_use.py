"""Usage of API keys, counted in memory and flushed every few seconds as sums by key and hour.

A killed process loses what it counted since its last flush.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from threading import Lock

from django.db import connection

from catalyst.core.models import KeyHour

RETENTION = timedelta(days=14)
# The hour that holds the sum of deleted hours, so that totals never fall.
TOTALS_HOUR = datetime(1970, 1, 1, tzinfo=UTC)
_ADD = """
INSERT INTO core_keyhour AS hour (key_id, hour, what, count)
SELECT u.key_id, u.hour, u.what, u.count
FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[], %s::bigint[]) AS u (key_id, hour, what, count)
WHERE u.key_id IS NULL OR EXISTS (SELECT FROM core_apikey WHERE id = u.key_id)
ORDER BY u.key_id, u.hour, u.what
ON CONFLICT (key_id, hour, what) DO UPDATE SET count = hour.count + EXCLUDED.count
"""
_MERGE_EXPIRED = """
WITH expired AS (
    DELETE FROM core_keyhour WHERE hour < %s AND hour > %s RETURNING key_id, what, count
)
INSERT INTO core_keyhour AS hour (key_id, hour, what, count)
SELECT key_id, %s, what, sum(count) FROM expired GROUP BY key_id, what
ON CONFLICT (key_id, hour, what) DO UPDATE SET count = hour.count + EXCLUDED.count
"""

type CountKey = tuple[int | None, datetime, str]


class UsageCounter:
    def __init__(self) -> None:
        self._counts: Counter[CountKey] = Counter()
        self._lock = Lock()

    def count(self, key_id: int | None, counts: Mapping[str, int], now: datetime) -> None:
        """`key_id` is None for requests without a known key."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        with self._lock:
            for event, count in counts.items():
                if count:
                    self._counts[key_id, hour, event] += count

    def flush(self) -> int:
        """Write the counts in one statement and return how many sums it had. Counts survive a failure."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return 0
        try:
            keys, hours, events = zip(*counts, strict=True)
            with connection.cursor() as cursor:
                cursor.execute(_ADD, [list(keys), list(hours), list(events), list(counts.values())])
        except BaseException:
            with self._lock:
                self._counts.update(counts)
            raise
        return len(counts)


def delete_expired(now: datetime) -> None:
    """Merge hours older than RETENTION into TOTALS_HOUR."""
    with connection.cursor() as cursor:
        cursor.execute(_MERGE_EXPIRED, [now - RETENTION, TOTALS_HOUR, TOTALS_HOUR])


def totals(since: datetime) -> dict[int | None, Counter[str]]:
    counts: dict[int | None, Counter[str]] = {}
    for key_id, event, count in KeyHour.objects.totals(since):
        counts.setdefault(key_id, Counter())[event] = count
    return counts


usage_counter = UsageCounter()
