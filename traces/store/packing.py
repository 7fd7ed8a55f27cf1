"""Packs text of spans as a JSON list in a zstd frame: spans of a trace repeat each other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from operator import itemgetter
from typing import NamedTuple
from uuid import UUID

import orjson
import zstandard

from traces.records import PayloadRecord

LEVEL = 1
# Reading one span reads all that are packed with it.
MAX_BYTES = 65_536

_start = itemgetter(2, 3)


class Text(NamedTuple):
    """The text of a span. `start_time` may be earlier than the span's on the same day (UTC)."""

    project_id: int
    trace_id: UUID
    start_time: datetime
    span_id: int
    plain: bytes


class Packed(NamedTuple):
    """A row of `traces.models.span.Payload`."""

    project_id: int
    trace_id: UUID
    span_id: int
    start_time: datetime
    span_ids: list[int]
    body: bytes


def pack(texts: Iterable[Text]) -> list[Packed]:
    """Pack texts by trace and day."""
    groups = list(_together(texts))
    lists: list[bytes | bytearray | memoryview] = [
        b"[%b]" % b",".join([text.plain for text in group]) for group in groups
    ]
    # One call releases the GIL once, not once a group.
    bodies = zstandard.ZstdCompressor(LEVEL).multi_compress_to_buffer(lists)
    return [
        Packed(
            group[0].project_id,
            group[0].trace_id,
            group[0].span_id,
            group[0].start_time,
            [text.span_id for text in group],
            bodies[number].tobytes(),
        )
        for number, group in enumerate(groups)
    ]


def unpack(body: bytes | memoryview) -> list[PayloadRecord]:
    return [PayloadRecord(**fields) for fields in orjson.loads(zstandard.decompress(body))]


def _together(texts: Iterable[Text]) -> Iterator[list[Text]]:
    days: dict[tuple[int, UUID, date], list[Text]] = defaultdict(list)
    for text in texts:
        days[text.project_id, text.trace_id, text.start_time.date()].append(text)
    for day in days.values():
        group: list[Text] = []
        room = MAX_BYTES
        for text in sorted(day, key=_start):
            room -= len(text.plain)
            if group and room < 0:
                yield group
                group, room = [], MAX_BYTES - len(text.plain)
            group.append(text)
        yield group
