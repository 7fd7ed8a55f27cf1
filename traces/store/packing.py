"""The text of one span as one compressed value: JSON of the fields that are set, in a zstd frame. Pure."""

from collections.abc import Iterable
from dataclasses import fields
from operator import attrgetter

import orjson
import zstandard

from traces.store.base import PayloadRecord

LEVEL = 1
PACKED = tuple(field.name for field in fields(PayloadRecord) if field.name != "resource_digest")
_texts = attrgetter(*PACKED)


def pack(payloads: Iterable[PayloadRecord]) -> list[bytes]:
    """Pack one or more, all in one step: other threads run meanwhile, and this one waits for them but once."""
    plain: list[bytes | bytearray | memoryview] = [
        orjson.dumps({name: text for name, text in zip(PACKED, _texts(payload), strict=True) if text is not None})
        for payload in payloads
    ]
    packed = zstandard.ZstdCompressor(LEVEL).multi_compress_to_buffer(plain)
    return [packed[number].tobytes() for number in range(len(packed))]


def unpack(body: bytes | memoryview, resource_digest: int) -> PayloadRecord:
    """The record that was packed."""
    return PayloadRecord(**orjson.loads(zstandard.decompress(body)), resource_digest=resource_digest)
