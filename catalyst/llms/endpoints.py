"""Where models are: the endpoint in the environment, and the connections of projects."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from asgiref.sync import sync_to_async

from catalyst.core.encrypted_fields import SecretUnreadable
from catalyst.core.token_buckets import Limit, database_buckets
from catalyst.env import env
from catalyst.llm import LLM, Endpoint, LLMError, public_address
from catalyst.llms.models import ModelConnection
from catalyst.pricing import TOKENS_PER_RATE, price

# Names the judge that needs no model, also where one is connected.
OFFLINE = "offline"
MAX_PAUSE_SECONDS = 1.0
OPENAI = "https://api.openai.com/v1"

# Id of the connection, None for the environment's, and name of the model.
type ModelKey = tuple[int | None, str]


@dataclass(frozen=True, slots=True)
class ConnectedModel:
    """A model of a connection, or of the environment's endpoint. False if no endpoint is connected."""

    name: str
    connection: ModelConnection | None = None

    def __bool__(self) -> bool:
        return bool(self.name)

    def __str__(self) -> str:
        return f"{self.name} ({self.connection})" if self.connection else self.name

    @property
    def key(self) -> ModelKey:
        return (self.connection.pk if self.connection else None, self.name)

    def price(
        self, input_tokens: int | None, output_tokens: int | None, cached_tokens: int | None, now: datetime
    ) -> Decimal | None:
        """Return US dollars, or None without a known price. What an owner entered wins over the public list."""
        entered = self.connection.price_of(self.name) if self.connection else None
        if entered:
            if input_tokens is None and output_tokens is None:
                return None
            dollars = entered.input * (input_tokens or 0) + entered.output * (output_tokens or 0)
            return dollars / TOKENS_PER_RATE
        provider = self.connection.provider if self.connection else ""
        cost = price(provider, self.name, input_tokens, output_tokens, cached_tokens, None, now)
        return None if cost is None else cost.total


def endpoint() -> str:
    """Return the base URL, empty if none is connected."""
    return env.judge_url or (OPENAI if env.judge_api_key else "")


def address() -> str:
    """Return the base URL without password and keys, as tables and pages name the endpoint."""
    return public_address(endpoint())


def model_named(name: str) -> str:
    """Return the model, or the instance's for an empty name. Empty for OFFLINE, and if no endpoint is connected."""
    if name == OFFLINE:
        return ""
    return (name or env.judge_model) if endpoint() else ""


def endpoint_of(connection: ModelConnection | None) -> Endpoint:
    """Return the endpoint of a connection, which reaches only what users may reach, or the environment's.

    Raises LLMError.
    """
    if connection is None:
        return Endpoint(endpoint(), env.judge_api_key)
    try:
        key, headers = connection.key.reveal(), connection.reveal_headers()
    except SecretUnreadable as error:
        text = f"The key of {connection.name} can't be decrypted. Enter it again in Settings, Models."
        raise LLMError(text, account=True) from error
    return Endpoint(connection.base_url, key, headers=headers, guarded=True)


async def wait_for_rate(connection: ModelConnection, clock: Callable[[], datetime]) -> None:
    """Wait until the limit of requests per minute, which all workers share, allows one more."""
    if not (per_minute := connection.requests_per_minute):
        return
    limit = Limit("requests to a model connection", max(1, per_minute // 60), per_minute / 60)
    while not await sync_to_async(database_buckets.take)(limit, str(connection.pk), clock()):
        await asyncio.sleep(min(MAX_PAUSE_SECONDS, 60 / per_minute))


def client_of(connection: ModelConnection, timeout: float) -> LLM:
    """Raises LLMError."""
    return LLM(endpoint_of(connection), concurrency=connection.concurrency, timeout=timeout)
