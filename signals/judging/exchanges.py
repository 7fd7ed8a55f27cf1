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
from signals.judging.answers import MAX_ANSWER
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


def store(exchanges: Iterable[tuple[Label, Verdict, PromptAndReply | None]], now: datetime) -> None:
    """Store exchanges of these stored verdicts, if settings keep them."""
    rows = [(label, verdict, exchange) for label, verdict, exchange in exchanges if exchange is not None]
    if not rows or not settings.JUDGE_EXCHANGE_DAYS:
        return
    texts = {(label.version_id, exchange.messages[0]["content"]) for label, _, exchange in rows}
    instruction_ids = _instruction_ids(texts)
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(_TYPES)
        for (label, verdict, exchange), compressed in zip(
            rows, _compress_all(exchange for *_, exchange in rows), strict=True
        ):
            instructions_id = instruction_ids[label.version_id, exchange.messages[0]["content"]]
            copy.write_row((verdict.pk, label.project_id, instructions_id, compressed, now))


def find_exchange(label: Label, verdict: int | None = None) -> Exchange | None:
    """The exchange of a verdict on a label, by default of the newest that has one. Returns None if none is kept."""
    kept = Exchange.objects.filter(verdict__label=label).select_related("instructions", "verdict")
    return kept.order_by("-pk").first() if verdict is None else kept.filter(pk=verdict).first()


def prompt_and_reply(exchange: Exchange) -> PromptAndReply:
    user, answer = orjson.loads(zstandard.decompress(exchange.said))
    system = exchange.instructions.text
    return PromptAndReply([{"role": "system", "content": system}, {"role": "user", "content": user}], answer)


def compress(exchange: PromptAndReply | None) -> bytes | None:
    """Compress the exchange of a test item. Returns None without a model, or if settings keep no exchanges."""
    if exchange is None or not settings.JUDGE_EXCHANGE_DAYS:
        return None
    return zstandard.compress(orjson.dumps([exchange.messages, _readable_end(exchange.answer)]), 1)


def decompress(exchange: bytes) -> PromptAndReply:
    return PromptAndReply(*orjson.loads(zstandard.decompress(exchange)))


def _compress_all(exchanges: Iterable[PromptAndReply]) -> Iterator[bytes]:
    plain: list[bytes | bytearray | memoryview] = [
        orjson.dumps([exchange.messages[1]["content"], _readable_end(exchange.answer)]) for exchange in exchanges
    ]
    frames = zstandard.ZstdCompressor(1).multi_compress_to_buffer(plain)
    return (frames[number].tobytes() for number in range(len(frames)))


def _readable_end(answer: str) -> str:
    return answer[-MAX_ANSWER:].encode(errors="replace").decode()


def _instruction_ids(texts: set[tuple[int, str]]) -> dict[tuple[int, str], int]:
    keys = {(version_id, hashlib.sha256(text.encode()).hexdigest()): text for version_id, text in texts}
    ids = _ids(keys)
    if missing := sorted(keys.keys() - ids.keys()):
        new = [Instructions(version_id=key[0], digest=key[1], text=keys[key]) for key in missing]
        Instructions.objects.bulk_create(new, ignore_conflicts=True)
        ids = _ids(keys)
    return {(key[0], keys[key]): pk for key, pk in ids.items()}


def _ids(keys: Iterable[tuple[int, str]]) -> dict[tuple[int, str], int]:
    versions, digests = zip(*keys, strict=True)
    rows = Instructions.objects.filter(version__in=versions, digest__in=digests)
    return {(version_id, digest): pk for version_id, digest, pk in rows.values_list("version_id", "digest", "pk")}
