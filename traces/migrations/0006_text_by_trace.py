"""The text of a trace's spans together, that of stored spans too: about a minute for a million."""

from typing import Any

import orjson
import zstandard
from django.db import migrations

from traces.store import schema
from traces.store.packing import Packed, Text, pack

AT_ONCE = 1_000
DAYS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'traces_payload'::regclass"
COLUMNS = ", ".join(Packed._fields)
FRESH = "CREATE TEMP TABLE fresh (LIKE traces_payload INCLUDING STORAGE) ON COMMIT DROP"


def pack_together(_: Any, schema_editor: Any) -> None:
    """Write each day anew."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(FRESH)
        cursor.execute(DAYS)
        for (day,) in cursor.fetchall():
            _pack_day(schema_editor.connection, cursor, day)
            cursor.execute(f"TRUNCATE {day}")
            cursor.execute(f"INSERT INTO {day} ({COLUMNS}) SELECT {COLUMNS} FROM fresh")
            cursor.execute("TRUNCATE fresh")


def _pack_day(connection: Any, write: Any, day: str) -> None:
    with connection.chunked_cursor() as read:
        read.execute(
            f"SELECT project_id, trace_id, start_time, span_id, resource_digest, body FROM {day} ORDER BY 1, 2, 3, 4"
        )
        while rows := read.fetchmany(AT_ONCE):
            texts = [Text(*key, _plain(digest, body)) for *key, digest, body in rows]
            with write.copy(f"COPY fresh ({COLUMNS}) FROM STDIN") as copy:
                for packed in pack(texts):
                    copy.write_row(packed)


def _plain(resource_digest: int, body: bytes) -> bytes:
    return orjson.dumps({**orjson.loads(zstandard.decompress(body)), "resource_digest": resource_digest})


class Migration(migrations.Migration):
    """Pack the text of all spans by trace."""

    dependencies = [("traces", "0005_packed_text")]

    operations = [
        migrations.RunSQL(schema.SPAN_IDS),
        migrations.RunPython(pack_together),
        migrations.RunSQL(schema.ONLY_SPAN_IDS),
    ]
