"""The text of a span as one compressed value, that of stored spans too: about a minute for a million."""

from typing import Any

import orjson
import zstandard
from django.db import migrations

from traces.store import schema

KEY = ("project_id", "trace_id", "span_id", "start_time")
PLAIN = frozenset(("input", "output"))
AT_ONCE = 1_000
PACK = """
    UPDATE traces_payload p SET body = d.body
    FROM unnest(%s::bigint[], %s::uuid[], %s::bigint[], %s::timestamptz[], %s::bytea[])
        AS d(project_id, trace_id, span_id, start_time, body)
    WHERE (p.project_id, p.trace_id, p.span_id, p.start_time) = (d.project_id, d.trace_id, d.span_id, d.start_time)
"""


def pack_texts(_: Any, schema_editor: Any) -> None:
    """Fill the new column."""
    columns = ", ".join((*KEY, *(name if name in PLAIN else f"{name}::text" for name in schema.TEXTS)))
    with schema_editor.connection.chunked_cursor() as read, schema_editor.connection.cursor() as write:
        read.execute(f"SELECT {columns} FROM traces_payload")
        while rows := read.fetchmany(AT_ONCE):
            keys = [row[: len(KEY)] for row in rows]
            bodies = [_body(row[len(KEY) :]) for row in rows]
            write.execute(PACK, [*map(list, zip(*keys, strict=True)), bodies])


def _body(values: tuple[str | None, ...]) -> bytes:
    texts = [(name, text) for name, text in zip(schema.TEXTS, values, strict=True) if text is not None]
    said = {name: text if name in PLAIN else orjson.loads(text) for name, text in texts}
    return zstandard.compress(orjson.dumps(said), 1)


class Migration(migrations.Migration):
    """Pack the text of all spans."""

    dependencies = [("traces", "0004_age_of_hours")]

    operations = [
        migrations.RunSQL(schema.BODY, migrations.RunSQL.noop),
        migrations.RunPython(pack_texts),
        migrations.RunSQL(schema.DROP_TEXTS),
    ]
