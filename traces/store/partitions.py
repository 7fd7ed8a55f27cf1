"""Day partitions of spans and payloads: made ahead of need, never by what a sender says."""

from datetime import date, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from psycopg import sql

from traces.models import PARTITIONED

DAYS_AHEAD = 3
_LOCK = 0x7472616365  # an advisory lock of our own, so that two processes never make the same day


def ensure(now: datetime) -> list[str]:
    """Make the missing days of the retention window and the next three; returns the names of the tables made.

    Rows of such a day that already lie in the default partition move into it. Safe to repeat and to run twice at once.
    """
    first = now.date() - timedelta(days=settings.RETENTION_DAYS)
    days = [first + timedelta(days=n) for n in range(settings.RETENTION_DAYS + DAYS_AHEAD + 1)]
    wanted = {
        f"{model._meta.db_table}_{day:%Y%m%d}": (model._meta.db_table, day) for model in PARTITIONED for day in days
    }
    missing = sorted(wanted.keys() - _existing())
    for name in missing:
        _make(name, *wanted[name])
    return missing


def _existing() -> set[str]:
    parents = [model._meta.db_table for model in PARTITIONED]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = ANY(%s::regclass[])", [parents]
        )
        return {name for (name,) in cursor.fetchall()}


@transaction.atomic
def _make(name: str, parent: str, day: date) -> None:
    """One day of one table, with the rows that waited for it in the default partition."""
    table, default = sql.Identifier(name), sql.Identifier(f"{parent}_default")
    parts = {
        "table": table,
        "parent": sql.Identifier(parent),
        "default": default,
        "first": sql.Literal(f"{day:%Y-%m-%d} 00:00:00+00"),
        "last": sql.Literal(f"{day + timedelta(days=1):%Y-%m-%d} 00:00:00+00"),
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        if name in _existing():
            return
        for statement in (
            "CREATE TABLE {table} (LIKE {parent} INCLUDING DEFAULTS)",
            "WITH moved AS (DELETE FROM {default} WHERE start_time >= {first} AND start_time < {last} RETURNING *) "
            "INSERT INTO {table} SELECT * FROM moved",
            "ALTER TABLE {parent} ATTACH PARTITION {table} FOR VALUES FROM ({first}) TO ({last})",
        ):
            cursor.execute(sql.SQL(statement).format(**parts))
