"""The test of a model connection: one real call."""

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import datetime

from catalyst import database
from catalyst.core.token_buckets import Limit, database_buckets
from catalyst.env import env
from catalyst.llm import ChatMessage, Json, LLMError, Reply, plain
from catalyst.llms.endpoints import ConnectedModel, client_of
from catalyst.llms.models import ModelConnection

# Each test is a call that somebody pays for.
TESTS = Limit("tests of model connections", capacity=20, tokens_per_second=20 / 600)
TOO_MANY = "This connection was tested 20 times in ten minutes. Wait a minute, then test again."
MAX_SECONDS = 30.0

MESSAGES: list[ChatMessage] = [
    {"role": "system", "content": "You check a connection. Answer with JSON only."},
    {"role": "user", "content": 'Answer with {"reason": "The connection works.", "label": "yes"}.'},
]
SCHEMA: Json = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "label": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["reason", "label"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """The result of one call. The supported options are None if the call failed.

    `follows_schema`: the answer had the requested form. `is_priced`: dollar budgets can hold for the model.
    """

    model: str
    answered: bool
    error: str
    latency_ms: int | None
    answering_model: str
    supports_schema: bool | None
    follows_schema: bool | None
    supports_temperature: bool | None
    reports_tokens: bool | None
    is_priced: bool


def run(connection: ModelConnection, model: str, now: datetime) -> ConnectionTest:
    """Make a real call. The secrets of the connection are in no result."""
    model = model or connection.default_model
    is_priced = ConnectedModel(model, connection).price(1_000, 100, None, now) is not None
    failed = ConnectionTest(model, False, "", None, "", None, None, None, None, is_priced)
    if error := _refusal(connection, model, now):
        return replace(failed, error=error)
    # The call may take long, and pages share few connections to the database.
    database.release()
    try:
        reply, refused = asyncio.run(_ask(connection, model))
    except LLMError as error:
        return replace(failed, error=str(error))
    return ConnectionTest(
        model=model,
        answered=True,
        error="",
        latency_ms=reply.latency_ms,
        answering_model=reply.model,
        supports_schema="response_format" not in refused,
        follows_schema=_follows_schema(reply.text),
        supports_temperature="temperature" not in refused,
        reports_tokens=reply.input_tokens is not None,
        is_priced=is_priced,
    )


async def _ask(connection: ModelConnection, model: str) -> tuple[Reply, frozenset[str]]:
    async with client_of(connection, min(MAX_SECONDS, env.judge_timeout_seconds)) as llm:
        reply = await llm.ask(MESSAGES, model=model, schema=SCHEMA)
        return reply, llm.refused_options(model)


def _refusal(connection: ModelConnection, model: str, now: datetime) -> str:
    if connection.revoked_at is not None:
        return "The key of this connection was revoked. Enter a new one first."
    if model not in connection.allowed_models:
        return f"The connection does not allow the model {plain(model, 200)}."
    return "" if database_buckets.take(TESTS, str(connection.pk), now) else TOO_MANY


def _follows_schema(text: str) -> bool:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(answer, dict) and answer.get("label") in {"yes", "no"}
