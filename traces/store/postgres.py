"""Spans in PostgreSQL: day partitions, written by COPY, read by key within a trace's extent."""

import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connection
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

from catalyst import database, timerange
from traces.models import Payload, Span
from traces.records import Extent, PayloadRecord, SpanRecord, plain
from traces.store.packing import Packed, Text, pack, unpack

SPAN_COLUMNS = tuple(field.name for field in fields(SpanRecord))
PAYLOAD_COLUMNS = Packed._fields
BIGINT_OID, BIGINT_ARRAY_OID = 20, 1016

_SPANS = f"""
    SELECT {", ".join(f'"{column}"' for column in SPAN_COLUMNS)} FROM traces_span
    WHERE project_id = %s AND trace_id = ANY(%s) AND start_time BETWEEN %s AND %s ORDER BY start_time, span_id
"""
_span_values: Callable[[SpanRecord], tuple[Any, ...]] = attrgetter(*SPAN_COLUMNS)


@cache
def _types(model: type[Span] | type[Payload], columns: tuple[str, ...]) -> list[str]:
    """PostgreSQL's names of the columns' types, for binary COPY."""
    names = [model._meta.get_field(column).db_type(connection) or "text" for column in columns]
    plain = {"timestamp with time zone": "timestamptz", "varchar": "text"}
    return [plain.get(name := kind.split("(")[0], name) for kind in names]


class PostgresSpanStore:
    """The SpanStore on Django's default database."""

    def insert(self, spans: Sequence[tuple[SpanRecord, bytes]]) -> None:
        """Add spans that the store does not have, and their text; the caller holds the lock of their traces."""
        self._insert(spans, [])

    def replace(self, spans: Sequence[tuple[SpanRecord, SpanRecord, bytes]]) -> None:
        """Put each fuller version (second) and its text in the place of the stored one (first)."""
        old = [stored for stored, _, _ in spans]
        columns = [list(values) for values in zip(*(span.key for span in old), strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(
                """
                DELETE FROM traces_span WHERE (project_id, trace_id, span_id, start_time) IN
                    (SELECT * FROM unnest(%s::bigint[], %s::uuid[], %s::bigint[], %s::timestamptz[]))
                """,
                columns,
            )
        self._insert([(new, text) for _, new, text in spans], _take_texts(old))

    def _insert(self, spans: Sequence[tuple[SpanRecord, bytes]], texts: list[Text]) -> None:
        """Add spans, and their text together with other texts."""
        _copy(Span, SPAN_COLUMNS, (_span_values(span) for span, _ in spans))
        texts = texts + [
            Text(span.project_id, span.trace_id, span.start_time, span.span_id, text) for span, text in spans
        ]
        _copy(Payload, PAYLOAD_COLUMNS, pack(texts))

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
                    [project_id, [extent.trace_id for extent in extents], _midnight(first), last],
                )

    def spans(self, project_id: int, extents: Iterable[Extent]) -> Mapping[UUID, list[SpanRecord]]:
        """All spans of these traces, each trace in order of start."""
        found: dict[UUID, list[SpanRecord]] = defaultdict(list)
        wanted = list(extents)
        if not wanted:
            return found
        traces = [extent.trace_id for extent in wanted]
        first, last = min(extent.first for extent in wanted), max(extent.last for extent in wanted)
        for row in database.fetch(_SPANS, [project_id, traces, first, last]):
            span = SpanRecord(*row)
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
            span_ids__overlap=sorted(set().union(*(ids for _, ids in named.values()))),
            start_time__gte=_midnight(min(extent.first for extent, _ in named.values())),
            start_time__lte=max(extent.last for extent, _ in named.values()),
        )
        for trace_id, span_ids, body in rows.values_list("trace_id", "span_ids", "body"):
            asked = named[trace_id][1]
            texts = zip(span_ids, unpack(body), strict=True)
            found[trace_id].update((span_id, text) for span_id, text in texts if span_id in asked)
        return found


STORE = PostgresSpanStore()
"""The one that everything uses."""


def _take_texts(spans: Sequence[SpanRecord]) -> list[Text]:
    """Delete the texts of these spans, which are of one project; returns those of others that lay with them."""
    taken = {(span.trace_id, span.span_id) for span in spans}
    times = [span.start_time for span in spans]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM traces_payload WHERE project_id = %s AND trace_id = ANY(%s) AND start_time BETWEEN %s AND %s
                AND span_ids && %s::bigint[]
            RETURNING project_id, trace_id, start_time, span_ids, body
            """,
            [
                spans[0].project_id,
                list({span.trace_id for span in spans}),
                _midnight(min(times)),
                max(times),
                [span.span_id for span in spans],
            ],
        )
        return [
            Text(project_id, trace_id, start_time, span_id, plain(payload))
            for project_id, trace_id, start_time, span_ids, body in cursor.fetchall()
            for span_id, payload in zip(span_ids, unpack(body), strict=True)
            if (trace_id, span_id) not in taken
        ]


def _midnight(when: datetime) -> datetime:
    """Where the texts of spans that started then may begin: they lie with those of earlier ones of the day."""
    return timerange.floor(when, timerange.DAY)


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
