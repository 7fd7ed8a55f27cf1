"""What API keys were used for: counted in memory, written every few seconds as sums by key and hour.

What a process counted since its last flush is lost when it is killed; no request ever waits for these numbers.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from threading import Lock

from django.db import connection

from catalyst.core.models import KeyHour

KEPT = timedelta(days=14)
EVER = datetime(1970, 1, 1, tzinfo=UTC)
"""The hour under which hours are summed up that are not kept any more, so that totals never fall."""
_ADD = """
INSERT INTO core_keyhour AS hour (key_id, hour, what, count)
SELECT u.key_id, u.hour, u.what, u.count
FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[], %s::bigint[]) AS u (key_id, hour, what, count)
WHERE u.key_id IS NULL OR EXISTS (SELECT FROM core_apikey WHERE id = u.key_id)
ORDER BY u.key_id, u.hour, u.what
ON CONFLICT (key_id, hour, what) DO UPDATE SET count = hour.count + EXCLUDED.count
"""
_FORGET = """
WITH gone AS (
    DELETE FROM core_keyhour WHERE hour < %s AND hour > %s RETURNING key_id, what, count
)
INSERT INTO core_keyhour AS hour (key_id, hour, what, count)
SELECT key_id, %s, what, sum(count) FROM gone GROUP BY key_id, what
ON CONFLICT (key_id, hour, what) DO UPDATE SET count = hour.count + EXCLUDED.count
"""

type Place = tuple[int | None, datetime, str]


class KeyUse:
    """What this process counted and has not written yet."""

    def __init__(self) -> None:
        self._counts: Counter[Place] = Counter()
        self._lock = Lock()

    def count(self, key_id: int | None, counts: Mapping[str, int], now: datetime) -> None:
        """Add to the counts of a key, or of requests without a known one."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        with self._lock:
            for what, count in counts.items():
                if count:
                    self._counts[key_id, hour, what] += count

    def flush(self) -> int:
        """Write what was counted, in one statement; returns how many sums it had. When it fails nothing is lost."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return 0
        try:
            keys, hours, whats = zip(*counts, strict=True)
            with connection.cursor() as cursor:
                cursor.execute(_ADD, [list(keys), list(hours), list(whats), list(counts.values())])
        except BaseException:
            with self._lock:
                self._counts.update(counts)
            raise
        return len(counts)


def delete_expired(now: datetime) -> None:
    """Sum up the hours that are older than KEPT."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [now - KEPT, EVER, EVER])


def totals(since: datetime) -> dict[int | None, Counter[str]]:
    """The counts of each key from an hour on."""
    found: dict[int | None, Counter[str]] = {}
    for key_id, what, count in KeyHour.objects.totals(since):
        found.setdefault(key_id, Counter())[what] = count
    return found


use = KeyUse()
