"""Spans in PostgreSQL: written by COPY, read by key within a trace's extent."""

import struct
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from functools import cache
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

from catalyst import database, timerange
from traces.models import Payload, Span
from traces.records import Extent, PayloadRecord, SpanKey, SpanRecord, serialize_payload, time_bounds
from traces.span_store import DiskUse, SpanId, SpanQuery, StoreHealth
from traces.store import partitions, queries
from traces.store.disk import disk_use
from traces.store.packing import Packed, Text, pack, unpack

SPAN_COLUMNS = tuple(field.name for field in fields(SpanRecord))
PAYLOAD_COLUMNS = Packed._fields
BIGINT_OID, BIGINT_ARRAY_OID = 20, 1016

_READ = """
    SELECT {} FROM traces_span
    WHERE project_id = %s AND trace_id = ANY(%s) AND start_time BETWEEN %s AND %s ORDER BY start_time, span_id
"""
_TOKENS = """
    SELECT DISTINCT s.trace_id, a.token FROM traces_span s CROSS JOIN unnest(s.attribute_tokens) a (token)
    WHERE s.project_id = %s AND s.trace_id = ANY(%s) AND s.start_time BETWEEN %s AND %s AND a.token = ANY(%s)
"""
_KEY = "project_id, trace_id, span_id, start_time"
_KEYS = "SELECT * FROM unnest(%s::bigint[], %s::uuid[], %s::bigint[], %s::timestamptz[])"
_span_values: Callable[[SpanRecord], tuple[Any, ...]] = attrgetter(*SPAN_COLUMNS)


def _reading(columns: Sequence[str]) -> str:
    return _READ.format(", ".join(f'"{column}"' for column in columns))


@cache
def _types(model: type[Span] | type[Payload], columns: tuple[str, ...]) -> list[str]:
    names = [model._meta.get_field(column).db_type(connection) or "text" for column in columns]
    plain = {"timestamp with time zone": "timestamptz", "varchar": "text"}
    return [plain.get(name := kind.split("(")[0], name) for kind in names]


class PostgresSpanStore:
    """Writes are part of the caller's transaction."""

    def insert(self, spans: Sequence[tuple[SpanRecord, bytes]]) -> None:
        # One short statement for each transaction of ingest. Releasing it would be another one, for nothing.
        savepoint = transaction.savepoint_create()
        try:
            _copy_in(spans, [])
        except IntegrityError:
            transaction.savepoint_rollback(savepoint)
            _insert_unstored(spans)

    def replace(self, spans: Sequence[tuple[SpanRecord, SpanRecord, bytes]]) -> None:
        deleted = _delete([(old.key, old.revision) for old, _, _ in spans])
        replaced, replacements, missing = [], [], []
        for old, new, text in spans:
            if old.key in deleted:
                replaced.append(old)
                replacements.append((new, text))
            else:
                missing.append((new, text))
        if replacements:
            _copy_in(replacements, _take_texts(replaced))
        if missing:
            self.insert(missing)

    def delete(self, project_id: int, extents: Sequence[Extent]) -> None:
        if not extents:
            return
        first, last = time_bounds(extents)
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
        spans_by_trace: dict[UUID, list[SpanRecord]] = defaultdict(list)
        listed = list(extents)
        if not listed:
            return spans_by_trace
        for row in database.fetch(_reading(SPAN_COLUMNS), _reach(project_id, listed)):
            span = SpanRecord(*row)
            spans_by_trace[span.trace_id].append(span)
        return spans_by_trace

    def span_values(
        self, project_id: int, extents: Sequence[Extent], names: Sequence[str]
    ) -> Mapping[UUID, list[tuple[Any, ...]]]:
        values_by_trace: dict[UUID, list[tuple[Any, ...]]] = defaultdict(list)
        if not extents:
            return values_by_trace
        for row in database.fetch(_reading(("trace_id", *names)), _reach(project_id, extents)):
            values_by_trace[row[0]].append(row[1:])
        return values_by_trace

    def payloads(self, project_id: int, extent: Extent, span_ids: Sequence[int]) -> Mapping[int, PayloadRecord]:
        return self.payloads_of(project_id, {extent: span_ids})[extent.trace_id]

    def payloads_of(
        self, project_id: int, span_ids: Mapping[Extent, Sequence[int]]
    ) -> Mapping[UUID, Mapping[int, PayloadRecord]]:
        payloads: dict[UUID, dict[int, PayloadRecord]] = defaultdict(dict)
        requested = {extent.trace_id: (extent, set(ids)) for extent, ids in span_ids.items() if ids}
        if not requested:
            return payloads
        first, last = time_bounds([extent for extent, _ in requested.values()])
        rows = Payload.objects.filter(
            project_id=project_id,
            trace_id__in=list(requested),
            span_ids__overlap=sorted(set().union(*(ids for _, ids in requested.values()))),
            start_time__gte=_midnight(first),
            start_time__lte=last,
        )
        for trace_id, ids, body in rows.values_list("trace_id", "span_ids", "body"):
            requested_ids = requested[trace_id][1]
            texts = zip(ids, unpack(body), strict=True)
            payloads[trace_id].update((span_id, text) for span_id, text in texts if span_id in requested_ids)
        return payloads

    def count(self, project_id: int, query: SpanQuery) -> int:
        return Span.objects.filter(queries.span_condition(project_id, query)).count()

    def matching(self, project_id: int, ids: Collection[SpanId], query: SpanQuery) -> set[SpanId]:
        # Each list alone uses the key's index; pairs of ids would not.
        near = Span.objects.filter(
            queries.span_condition(project_id, query),
            trace_id__in={trace_id for trace_id, _ in ids},
            span_id__in={span_id for _, span_id in ids},
        )
        return set(near.values_list("trace_id", "span_id")).intersection(ids)

    def traces_with(self, project_id: int, query: SpanQuery) -> Q:
        return queries.trace_condition(project_id, query)

    def attribute_tokens(
        self, project_id: int, extents: Sequence[Extent], tokens: Collection[int]
    ) -> Mapping[UUID, set[int]]:
        tokens_by_trace: dict[UUID, set[int]] = defaultdict(set)
        if not extents or not tokens:
            return tokens_by_trace
        parameters = [*_reach(project_id, extents), list(tokens)]
        with connection.cursor() as cursor:
            cursor.execute(_TOKENS, parameters)
            for trace_id, token in cursor.fetchall():
                tokens_by_trace[trace_id].add(token)
        return tokens_by_trace

    def prepare(self, now: datetime) -> list[str]:
        return partitions.ensure(now)

    def ensure_current(self, now: datetime) -> None:
        partitions.ensure_current(now)

    def import_days(self, first: date, last: date, now: datetime) -> list[str]:
        return partitions.import_days(first, last, now)

    def made(self, days: Collection[date]) -> Collection[date]:
        return partitions.made(days)

    def expire(self, now: datetime, record: Callable[[date], None]) -> list[str]:
        return partitions.drop_expired(now, record)

    def usage(self, now: datetime) -> list[DiskUse]:
        return disk_use(now)

    def health(self, now: datetime, limit: int) -> StoreHealth:
        return partitions.health(now, limit)


def _reach(project_id: int, extents: Sequence[Extent]) -> list[Any]:
    first, last = time_bounds(extents)
    return [project_id, [extent.trace_id for extent in extents], first, last]


def _copy_in(spans: Sequence[tuple[SpanRecord, bytes]], texts: list[Text]) -> None:
    """Add spans, and their text packed with `texts`. Raises IntegrityError if a span is stored."""
    _copy(Span, SPAN_COLUMNS, (_span_values(span) for span, _ in spans))
    texts = texts + [Text(span.project_id, span.trace_id, span.start_time, span.span_id, text) for span, text in spans]
    _copy(Payload, PAYLOAD_COLUMNS, pack(texts))


def _insert_unstored(spans: Sequence[tuple[SpanRecord, bytes]]) -> None:
    keys = [span.key for span, _ in spans]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_KEY}, revision FROM traces_span WHERE ({_KEY}) IN ({_KEYS})", _columns(keys))
        revisions = {tuple(key): revision for *key, revision in cursor.fetchall()}
    higher = [(span, text) for span, text in spans if revisions.get(span.key, 0) < span.revision]
    if higher:
        _delete([(span.key, revisions[span.key]) for span, _ in higher if span.key in revisions])
        _copy_in(higher, _take_texts([span for span, _ in higher]))


def _delete(versions: Sequence[tuple[SpanKey, int]]) -> set[SpanKey]:
    """Delete spans stored with this revision, without their text; returns their keys."""
    if not versions:
        return set()
    columns = [*_columns([key for key, _ in versions]), [revision for _, revision in versions]]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            DELETE FROM traces_span WHERE ({_KEY}, revision) IN
                (SELECT * FROM unnest(%s::bigint[], %s::uuid[], %s::bigint[], %s::timestamptz[], %s::integer[]))
            RETURNING {_KEY}
            """,
            columns,
        )
        return set(cursor.fetchall())


def _columns(keys: Sequence[SpanKey]) -> list[list[Any]]:
    return [list(values) for values in zip(*keys, strict=True)]


def _take_texts(spans: Sequence[SpanRecord]) -> list[Text]:
    """Delete the texts of spans of one project; returns texts of others that were packed with them."""
    removed = {(span.trace_id, span.span_id) for span in spans}
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
            Text(project_id, trace_id, start_time, span_id, serialize_payload(payload))
            for project_id, trace_id, start_time, span_ids, body in cursor.fetchall()
            for span_id, payload in zip(span_ids, unpack(body), strict=True)
            if (trace_id, span_id) not in removed
        ]


def _midnight(when: datetime) -> datetime:
    # A text may be packed with that of an earlier span of the day.
    return timerange.floor(when, timerange.DAY)


# PostgreSQL's binary format in one step: psycopg's own dumper takes one step per element.
class _BigintArrayDumper(Dumper):
    oid = BIGINT_ARRAY_OID
    format = Format.BINARY

    def dump(self, obj: list[int]) -> Buffer:
        if not obj:
            return struct.pack(">iii", 0, 0, BIGINT_OID)
        sized = [8] * (2 * len(obj))
        sized[1::2] = obj
        # One dimension, no nulls, elements of eight bytes from index 1.
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
