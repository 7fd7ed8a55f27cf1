"""Day partitions of spans and payloads, created ahead of time and dropped when they expire.

A change waits for locks up to LOCK_TIMEOUT: readers and writers would queue behind it. The next run tries again.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import lru_cache

from django.conf import settings
from django.db import Error, OperationalError, connection, transaction
from psycopg import sql
from psycopg.errors import LockNotAvailable

from catalyst import timerange
from traces.models.span import PARTITIONED
from traces.span_store import StoreHealth

logger = logging.getLogger(__name__)

DAYS_AHEAD = 3
LOCK_TIMEOUT = "200ms"
_LOCK = 0x7472616365  # an advisory lock of our own, so that no two processes change partitions at once


def ensure(now: datetime) -> list[str]:
    """Create missing days of the retention window and the next ones; returns the names of the tables.

    Moves their rows from the default partition. Safe to run twice at once.
    """
    first = timerange.kept_since(now, settings.RETENTION_DAYS).date()
    return _create_missing(first + timedelta(days=n) for n in range(settings.RETENTION_DAYS + DAYS_AHEAD + 1))


def import_days(first: date, last: date, now: datetime) -> list[str]:
    """Create days for an import through `last`, with a retention that starts today; returns the names of the tables."""
    kept_until = timerange.kept_since(now, -settings.RETENTION_DAYS).date()
    return _create_missing((first + timedelta(days=n) for n in range((last - first).days + 1)), kept_until)


def ensure_current(now: datetime) -> None:
    """Create today and tomorrow if missing. Checks once an hour and never raises."""
    _create_around(timerange.floor(now, timerange.HOUR))


@lru_cache(maxsize=1)
def _create_around(hour: datetime) -> None:
    today = timerange.kept_since(hour, 0).date()
    try:
        if made := _create_missing([today, today + timedelta(days=1)]):
            logger.warning("Nothing had made %s; does the clock run?", ", ".join(made))
    except Error:
        logger.exception("The partitions of today can't be made; spans go to the default partition")


def made(days: Collection[date]) -> set[date]:
    return set(map(_day, _existing())).intersection(days)


def drop_expired(now: datetime, record: Callable[[date], None]) -> list[str]:
    """Drop days before the retention window; returns the names of the tables.

    Calls `record` with each day in the transaction that drops it.
    """
    first, today = (timerange.kept_since(now, days).date() for days in (settings.RETENTION_DAYS, 0))
    dropped = []
    expired = (name for name, kept_until in sorted(_existing().items()) if _day(name) < first and kept_until < today)
    for name in expired:
        with _change(f"drop {name}"):
            _execute("DROP TABLE IF EXISTS {table}", table=sql.Identifier(name))
            # After the drop: by now it has waited for every transaction that wrote to the day.
            record(_day(name))
            dropped.append(name)
        # The day is in use. More attempts would only delay ingest.
        if name not in dropped:
            break
    return dropped


def _create_missing(days: Iterable[date], kept_until: date | None = None) -> list[str]:
    parents = [model._meta.db_table for model in PARTITIONED]
    tables = {f"{parent}_{day:%Y%m%d}": parent for day in days for parent in parents}
    missing, made = sorted(tables.keys() - _existing().keys()), []
    for name in missing:
        with _change(f"make {name}"):
            if name not in _existing():
                _create(name, tables[name], kept_until)
                made.append(name)
    return made


def health(now: datetime, limit: int) -> StoreHealth:
    """Days with partitions for both spans and payloads; spans without a partition, up to `limit`."""
    existing, today = _existing(), now.date()
    tables = [{_day(name) for name in existing if name.startswith(model._meta.db_table)} for model in PARTITIONED]
    days = set.intersection(*tables)
    behind = today
    while behind in days:
        behind += timedelta(days=1)
    last = behind - timedelta(days=1) if today in days else None
    return StoreHealth(len(days), today in days, last, _count_misplaced(limit))


def _count_misplaced(limit: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (SELECT FROM traces_span_default LIMIT %s) AS counted", [limit])
        return int(cursor.fetchone()[0])


def _existing() -> dict[str, date]:
    parents = [model._meta.db_table for model in PARTITIONED]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT relname, obj_description(oid, 'pg_class') FROM pg_inherits JOIN pg_class ON oid = inhrelid
            WHERE inhparent = ANY(%s::regclass[]) AND relname NOT LIKE '%%default'
            """,
            [parents],
        )
        return {name: date.fromisoformat(until) if until else date.min for name, until in cursor.fetchall()}


def _day(name: str) -> date:
    return date.fromisoformat(name[-8:])


@contextmanager
def _change(action: str) -> Iterator[None]:
    try:
        with transaction.atomic():
            _execute("SET LOCAL lock_timeout = {timeout}", timeout=sql.Literal(LOCK_TIMEOUT))
            _execute("SELECT pg_advisory_xact_lock({lock})", lock=sql.Literal(_LOCK))
            yield
            _execute("SET LOCAL lock_timeout = DEFAULT")
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        logger.info("Too busy to %s now", action)


def _create(name: str, parent: str, kept_until: date | None) -> None:
    day = _day(name)
    parts = {
        "table": sql.Identifier(name),
        "parent": sql.Identifier(parent),
        "default": sql.Identifier(f"{parent}_default"),
        "first": sql.Literal(f"{day:%Y-%m-%d} 00:00:00+00"),
        "last": sql.Literal(f"{day + timedelta(days=1):%Y-%m-%d} 00:00:00+00"),
    }
    # A writer that found no partition would still write to the default, and a reader would miss the moved rows.
    _execute("LOCK TABLE ONLY {parent} IN ACCESS EXCLUSIVE MODE", **parts)
    _execute("LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE", **parts)
    _execute("CREATE TABLE {table} (LIKE {parent} INCLUDING DEFAULTS INCLUDING STORAGE)", **parts)
    if kept_until is not None:
        _execute("COMMENT ON TABLE {table} IS {until}", until=sql.Literal(kept_until.isoformat()), **parts)
    _execute(
        "WITH moved AS (DELETE FROM {default} WHERE start_time >= {first} AND start_time < {last} RETURNING *) "
        "INSERT INTO {table} SELECT * FROM moved",
        **parts,
    )
    _execute("ALTER TABLE {parent} ATTACH PARTITION {table} FOR VALUES FROM ({first}) TO ({last})", **parts)


def _execute(statement: str, **parts: sql.Composable) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(**parts))
