"""Estimates the disk use of projects."""

from datetime import datetime

from django.db import connection

from traces.span_store import DiskUse


def disk_use(now: datetime) -> list[DiskUse]:
    """Projects with spans, largest first.

    Shares the size of each day by span counts of that day, and the rest by all spans.
    The sum is the size of the tables.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DISK_USE, [now])
        return [DiskUse(*row) for row in cursor.fetchall()]


_DISK_USE = """
    WITH days AS (
        SELECT right(relname, 8) AS day, sum(pg_total_relation_size(oid)) AS bytes
        FROM pg_inherits JOIN pg_class ON oid = inhrelid
        WHERE inhparent IN ('traces_span'::regclass, 'traces_payload'::regclass) GROUP BY 1
    ), counts AS (
        SELECT project_id, to_char(hour AT TIME ZONE 'UTC', 'YYYYMMDD') AS day, sum(span_count) AS spans
        FROM traces_agenthour JOIN core_project p ON p.id = project_id
        WHERE (p.retention_days IS NULL OR hour >= %s - p.retention_days * interval '1 day')
            AND hour >= (SELECT coalesce(to_date(min(day), 'YYYYMMDD'), now()) FROM days WHERE day ~ '^[0-9]{8}$')
        GROUP BY 1, 2
    ), shares AS (
        SELECT project_id, sum(spans) AS spans, coalesce(sum(bytes * spans / total), 0) AS bytes
        FROM (SELECT *, sum(spans) OVER (PARTITION BY day) AS total FROM counts) c LEFT JOIN days USING (day)
        WHERE total > 0 GROUP BY 1
    ), rest AS (
        SELECT (SELECT sum(bytes) FROM days) - sum(bytes) AS bytes, sum(spans) AS spans FROM shares
    )
    SELECT project_id, (shares.bytes + rest.bytes * shares.spans / rest.spans)::bigint, shares.spans::bigint
    FROM shares, rest WHERE shares.spans > 0 ORDER BY 2 DESC, 1
"""
