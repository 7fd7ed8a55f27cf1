"""Pictures, and spans that carry them."""

import json
import zlib
from base64 import b64encode
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from catalyst.core.models import Project
from tests.traces.sent import sent_span
from traces.conventions.embedded_files import take_out
from traces.ingest import pipeline
from traces.models.span import hex_span_id

type Arguments = dict[str, Any]


@cache
def png(width: int = 24, height: int = 16) -> bytes:
    """A picture whose colors change from corner to corner. None of it is compressed, so that it has any byte."""
    rows = (
        bytes([0, *(value for x in range(width) for value in (255 * x // width, 255 * y // height, 160))])
        for y in range(height)
    )
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows), 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, *zip(*chunks, strict=True)))


def _chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def data_uri(picture: bytes) -> str:
    return f"data:image/png;base64,{b64encode(picture).decode()}"


def digest_of(picture: bytes) -> str:
    """The digest that names it in its URL."""
    (attachment,) = take_out(data_uri(picture))[1]
    return attachment.digest


def add_picture(project: Project, trace: int, *, now: datetime, asked: str = "What is on this picture?") -> Arguments:
    """Post a model call with a picture, of a trace. Returns the arguments of the picture's URL."""
    picture, span_id = png(), trace * 16 + 9
    parts = [{"type": "text", "text": asked}, {"type": "image_url", "image_url": {"url": data_uri(picture)}}]
    sent = json.dumps([{"role": "user", "content": parts}])
    call: dict[str, Any] = {"openinference__span__kind": "LLM", "gen_ai__input__messages": sent}
    pipeline.store(project.pk, [sent_span(span_id, trace=trace, start=now, **call)], now)
    return {"trace_id": UUID(int=trace), "span_id": hex_span_id(span_id), "digest": digest_of(picture)}
