"""Exchanges: exact messages and reply of a judge call, compressed."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
import zstandard
from django.conf import settings
from django.db import connection

from catalyst.llm import ChatMessage
from signals.judging.prompt import MAX_ANSWER
from signals.models import Exchange, Instructions, Label, Verdict

_COPY = """
    COPY signals_exchange (verdict_id, project_id, instructions_id, said, created_at) FROM STDIN (FORMAT BINARY)
"""
_TYPES = "int8", "int8", "int8", "bytea", "timestamptz"


@dataclass(frozen=True, slots=True)
class PromptAndReply:
    """The messages of one call and its reply, empty if none came."""

    messages: Sequence[ChatMessage]
    answer: str = ""


def keep(spoken: Iterable[tuple[Label, Verdict, PromptAndReply | None]], now: datetime) -> None:
    """Store exchanges of these stored verdicts, if settings keep them."""
    rows = [(label, verdict, each) for label, verdict, each in spoken if each is not None]
    if not rows or not settings.JUDGE_EXCHANGE_DAYS:
        return
    known = _instructions({(label.version_id, each.messages[0]["content"]) for label, _, each in rows})
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(_TYPES)
        for (label, verdict, each), packed in zip(rows, _pack(each for *_, each in rows), strict=True):
            instructions = known[label.version_id, each.messages[0]["content"]]
            copy.write_row((verdict.pk, label.project_id, instructions, packed, now))


def prompt_and_reply(exchange: Exchange) -> PromptAndReply:
    user, answer = orjson.loads(zstandard.decompress(exchange.said))
    system = exchange.instructions.text
    return PromptAndReply([{"role": "system", "content": system}, {"role": "user", "content": user}], answer)


def packed(said: PromptAndReply | None) -> bytes | None:
    """Compress the exchange of a test item. Returns None without a model, or if settings keep no exchanges."""
    if said is None or not settings.JUDGE_EXCHANGE_DAYS:
        return None
    return zstandard.compress(orjson.dumps([said.messages, _kept(said.answer)]), 1)


def unpacked(exchange: bytes) -> PromptAndReply:
    return PromptAndReply(*orjson.loads(zstandard.decompress(exchange)))


def _pack(said: Iterable[PromptAndReply]) -> Iterator[bytes]:
    plain: list[bytes | bytearray | memoryview] = [
        orjson.dumps([each.messages[1]["content"], _kept(each.answer)]) for each in said
    ]
    packed = zstandard.ZstdCompressor(1).multi_compress_to_buffer(plain)
    return (packed[number].tobytes() for number in range(len(packed)))


def _kept(answer: str) -> str:
    return answer[-MAX_ANSWER:].encode(errors="replace").decode()


def _instructions(wanted: set[tuple[int, str]]) -> dict[tuple[int, str], int]:
    keys = {(version_id, hashlib.sha256(text.encode()).hexdigest()): text for version_id, text in wanted}
    found = _ids(keys)
    if missing := sorted(keys.keys() - found.keys()):
        new = [Instructions(version_id=key[0], digest=key[1], text=keys[key]) for key in missing]
        Instructions.objects.bulk_create(new, ignore_conflicts=True)
        found = _ids(keys)
    return {(key[0], keys[key]): pk for key, pk in found.items()}


def _ids(keys: Iterable[tuple[int, str]]) -> dict[tuple[int, str], int]:
    versions, digests = zip(*keys, strict=True)
    rows = Instructions.objects.filter(version__in=versions, digest__in=digests)
    return {(version_id, digest): pk for version_id, digest, pk in rows.values_list("version_id", "digest", "pk")}
