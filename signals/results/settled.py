"""Counts of targets that settled in time windows, for alerts. Edges of windows are whole minutes."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.db.models import Min, Sum

from signals.models import SettledMinute

_COUNTS = """
    SELECT w.place, m.outcome, m.value, sum(m.count)
    FROM unnest(%s::int[], %s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS w (place, version_id, start, until)
    JOIN signals_settledminute m ON m.version_id = w.version_id AND m.minute >= w.start AND m.minute < w.until
    WHERE m.is_live = ANY (%s)
    GROUP BY 1, 2, 3 HAVING sum(m.count) > 0
"""

_MINUTES = """
    SELECT
        (extract(epoch FROM minute - %s) / 60)::int,
        coalesce(sum(count) FILTER (WHERE outcome = 'done'), 0)::int,
        coalesce(sum(count) FILTER (WHERE outcome = 'done' AND value = %s), 0)::int,
        coalesce(sum(count) FILTER (WHERE outcome = 'waiting'), 0)::int
    FROM signals_settledminute
    WHERE version_id = %s AND minute >= %s AND minute < %s AND is_live
    GROUP BY minute
"""


class SettledWindow(NamedTuple):
    """Targets of one version that settled in [start, end)."""

    version_id: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class SettledCounts:
    """Judged requests by value, others by outcome. Superseded and dequeued requests are excluded."""

    values: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def labelled(self) -> int:
        return sum(self.values.values())


def settled_counts(
    windows: Collection[SettledWindow], *, is_live: bool | None = None
) -> dict[SettledWindow, SettledCounts]:
    """Counts of each window, in one query.

    `is_live` selects live traffic, runs, or (None) both. Once no request waits, counts change only if a person retries
    failures.
    """
    places = list(dict.fromkeys(windows))
    found: list[dict[tuple[str, str], int]] = [{} for _ in places]
    for place, outcome, value, count in _read(places, [True, False] if is_live is None else [is_live]):
        found[place][outcome, value] = int(count)
    return {window: _counts(found[place]) for place, window in enumerate(places)}


def _counts(found: Mapping[tuple[str, str], int]) -> SettledCounts:
    done = SettledMinute.Outcome.DONE
    values = {value: count for (outcome, value), count in found.items() if outcome == done}
    return SettledCounts(values, *(found.get((outcome, ""), 0) for outcome in ("waiting", "failed", "skipped")))


def _read(windows: list[SettledWindow], origins: list[bool]) -> list[tuple[int, str, str, int]]:
    if not windows:
        return []
    columns = [list(range(len(windows))), *map(list, zip(*windows, strict=True))]
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, [*columns, origins])
        rows: list[tuple[int, str, str, int]] = cursor.fetchall()
    return rows


class SettledMinuteRow(NamedTuple):
    """Live targets that settled in a minute. `minute`: after the start of the window. `hits`: with the wanted value."""

    minute: int
    labelled: int
    hits: int
    waiting: int


def settled_minutes(window: SettledWindow, value: str) -> list[SettledMinuteRow]:
    """Counts of each minute of a window in which something settled, for many windows in a row."""
    version_id, start, end = window
    with connection.cursor() as cursor:
        cursor.execute(_MINUTES, [start, value, version_id, start, end])
        return [SettledMinuteRow(*row) for row in cursor.fetchall()]


def waiting_minutes(version_ids: Collection[int], start: datetime) -> dict[int, list[datetime]]:
    """The minutes since `start` in which live targets settled that still wait for the judge, by version, in order."""
    rows = SettledMinute.objects.filter(
        version_id__in=version_ids, outcome=SettledMinute.Outcome.WAITING, is_live=True, minute__gte=start
    )
    waiting: dict[int, list[datetime]] = defaultdict(list)
    for version_id, minute in (
        rows.values_list("version_id", "minute").alias(n=Sum("count")).filter(n__gt=0).order_by("version_id", "minute")
    ):
        waiting[version_id].append(minute)
    return waiting


def first_minute(version_ids: Collection[int], start: datetime) -> datetime | None:
    """The first minute since `start` in which live targets settled; None if there is none."""
    rows = SettledMinute.objects.filter(version_id__in=version_ids, is_live=True, minute__gte=start)
    minute: datetime | None = rows.aggregate(first=Min("minute"))["first"]
    return minute
