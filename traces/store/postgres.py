"""Spans in PostgreSQL: day partitions, written by COPY, read by key within a trace's extent."""

import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connection
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

from traces.models import Payload, Span
from traces.store.base import Extent, PayloadRecord, SpanRecord
from traces.store.packing import pack, unpack

type Row = tuple[SpanRecord, PayloadRecord]

SPAN_COLUMNS = tuple(field.name for field in fields(SpanRecord))
PAYLOAD_COLUMNS = ("project_id", "trace_id", "span_id", "start_time", "resource_digest", "body")
BIGINT_OID, BIGINT_ARRAY_OID = 20, 1016

_span_values: Callable[[SpanRecord], tuple[Any, ...]] = attrgetter(*SPAN_COLUMNS)


@cache
def _types(model: type[Span] | type[Payload], columns: tuple[str, ...]) -> list[str]:
    """PostgreSQL's names of the columns' types, for binary COPY."""
    names = [model._meta.get_field(column).db_type(connection) or "text" for column in columns]
    plain = {"timestamp with time zone": "timestamptz", "varchar": "text"}
    return [plain.get(name := kind.split("(")[0], name) for kind in names]


class PostgresSpanStore:
    """The SpanStore on Django's default database."""

    def insert(self, spans: Sequence[Row]) -> None:
        """Add spans that the store does not have; the caller holds the lock of their traces."""
        _copy(Span, SPAN_COLUMNS, (_span_values(span) for span, _ in spans))
        bodies = zip(spans, pack(payload for _, payload in spans), strict=True)
        rows = ((*span.key, payload.resource_digest, body) for (span, payload), body in bodies)
        _copy(Payload, PAYLOAD_COLUMNS, rows)

    def replace(self, spans: Sequence[tuple[SpanRecord, SpanRecord, PayloadRecord]]) -> None:
        """Put each fuller version (second) and its text in the place of the stored one (first)."""
        self._delete([old for old, _, _ in spans])
        self.insert([(new, payload) for _, new, payload in spans])

    def _delete(self, spans: Sequence[SpanRecord]) -> None:
        columns = [list(values) for values in zip(*(span.key for span in spans), strict=True)]
        with connection.cursor() as cursor:
            for model in (Span, Payload):
                cursor.execute(
                    f"""
                    DELETE FROM {model._meta.db_table} WHERE (project_id, trace_id, span_id, start_time) IN
                        (SELECT * FROM unnest(%s::bigint[], %s::uuid[], %s::bigint[], %s::timestamptz[]))
                    """,
                    columns,
                )

    def forget(self, project_id: int, extents: Sequence[Extent]) -> None:
        """Delete all spans of these traces, and their text."""
        first, last = min(extent.first for extent in extents), max(extent.last for extent in extents)
        with connection.cursor() as cursor:
            for model in (Span, Payload):
                cursor.execute(
                    f"""
                    DELETE FROM {model._meta.db_table}
                    WHERE project_id = %s AND trace_id = ANY(%s) AND start_time BETWEEN %s AND %s
                    """,
                    [project_id, [extent.trace_id for extent in extents], first, last],
                )

    def spans(self, project_id: int, extents: Iterable[Extent]) -> Mapping[UUID, list[SpanRecord]]:
        """All spans of these traces, each trace in order of start."""
        found: dict[UUID, list[SpanRecord]] = defaultdict(list)
        wanted = list(extents)
        if not wanted:
            return found
        rows = (
            Span.objects.filter(
                project_id=project_id,
                trace_id__in=[extent.trace_id for extent in wanted],
                start_time__gte=min(extent.first for extent in wanted),
                start_time__lte=max(extent.last for extent in wanted),
            )
            .order_by("start_time", "span_id")
            .values_list(*SPAN_COLUMNS)
        )
        for row in rows:
            span = SpanRecord(**dict(zip(SPAN_COLUMNS, row, strict=True)))
            found[span.trace_id].append(span)
        return found

    def payloads(self, project_id: int, extent: Extent, span_ids: Sequence[int]) -> Mapping[int, PayloadRecord]:
        """The text of the named spans of one trace."""
        return self.payloads_of(project_id, {extent: span_ids})[extent.trace_id]

    def payloads_of(
        self, project_id: int, wanted: Mapping[Extent, Sequence[int]]
    ) -> Mapping[UUID, Mapping[int, PayloadRecord]]:
        """The text of the named spans of several traces, in one query."""
        found: dict[UUID, dict[int, PayloadRecord]] = defaultdict(dict)
        named = {extent.trace_id: (extent, set(span_ids)) for extent, span_ids in wanted.items() if span_ids}
        if not named:
            return found
        rows = Payload.objects.filter(
            project_id=project_id,
            trace_id__in=list(named),
            span_id__in=set().union(*(ids for _, ids in named.values())),
            start_time__gte=min(extent.first for extent, _ in named.values()),
            start_time__lte=max(extent.last for extent, _ in named.values()),
        )
        for trace_id, span_id, body, resource_digest in rows.values_list(
            "trace_id", "span_id", "body", "resource_digest"
        ):
            if span_id in named[trace_id][1]:
                found[trace_id][span_id] = unpack(body, resource_digest)
        return found


STORE = PostgresSpanStore()
"""The one that everything uses."""


class _BigintArrayDumper(Dumper):
    """Lists of 64-bit integers in PostgreSQL's binary format, in one step: psycopg's own takes one per element."""

    oid = BIGINT_ARRAY_OID
    format = Format.BINARY

    def dump(self, obj: list[int]) -> Buffer:
        """One dimension, no nulls, elements of eight bytes from index 1."""
        if not obj:
            return struct.pack(">iii", 0, 0, BIGINT_OID)
        sized = [8] * (2 * len(obj))
        sized[1::2] = obj
        return struct.pack(">iiiii" + "iq" * len(obj), 1, 0, BIGINT_OID, len(obj), 1, *sized)


def _copy(model: type[Span] | type[Payload], columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(model._meta.db_table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.wrap_database_errors, connection.cursor() as cursor:
        cursor.adapters.register_dumper(list, _BigintArrayDumper)
        with cursor.copy(statement) as copy:
            copy.set_types(_types(model, columns))
            for row in rows:
                copy.write_row(row)
