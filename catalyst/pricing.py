"""Cost of calls, by the public prices that genai-prices bundles. Offline."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from genai_prices.types import (
        ModelInfo,
        ModelPrice,
        Provider,
        StartDateConstraint,
        TieredPrices,
        TimeOfDateConstraint,
    )

    type Rate = Decimal | TieredPrices | None
    type Constraint = StartDateConstraint | TimeOfDateConstraint | None

TOKENS_PER_RATE = Decimal(1_000_000)
ZERO = Decimal(0)
CACHED_MODELS = 4096
MAX_NAME_CHARACTERS = 200
# Higher counts are the sender's mistake.
MAX_TOKENS = 10**9

# Their models run on the user's own machines, so a hosted price would be wrong.
LOCAL_PROVIDERS = frozenset(
    {"ollama", "vllm", "lmstudio", "lm_studio", "llamacpp", "llama_cpp", "llama.cpp", "localai"}
)


# Ids of Amazon Bedrock, with or without the region of an inference profile: us.anthropic.claude-sonnet-4-20250514-v1:0.
BEDROCK_MODEL = re.compile(
    r"(?:[a-z]{2,6}(?:-[a-z]{2,5})?\.)?"
    r"(?:ai21|amazon|anthropic|cohere|deepseek|meta|mistral|moonshot|nvidia|openai|qwen|twelvelabs|writer)\.[\w.:-]+"
)
MAKERS = ("openai", "anthropic", "google", "mistral", "cohere", "deepseek", "x-ai")


class Cost(NamedTuple):
    """US dollars of one call. `cache` covers reads and writes, `request` is the price per call."""

    input: Decimal
    cache: Decimal
    output: Decimal
    request: Decimal

    @property
    def total(self) -> Decimal:
        return self.input + self.cache + self.output + self.request


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars per million tokens. A cache rate of None means the input rate."""

    input: "Rate"
    output: "Rate"
    cache_read: "Rate"
    cache_write: "Rate"
    per_request: Decimal

    def cost(self, fresh: int, cached: int, written: int, output: int) -> Cost | None:
        """Return None if tokens were used that no rate covers."""
        size = fresh + cached + written
        read_rate = self.input if self.cache_read is None else self.cache_read
        write_rate = self.input if self.cache_write is None else self.cache_write
        paid = []
        for tokens, rate in ((fresh, self.input), (cached, read_rate), (written, write_rate), (output, self.output)):
            if not tokens:
                paid.append(ZERO)
            elif rate is None:
                return None
            else:
                paid.append((rate if isinstance(rate, Decimal) else _tier(rate, size)) * tokens / TOKENS_PER_RATE)
        return Cost(paid[0], paid[1] + paid[2], paid[3], self.per_request)


@dataclass(frozen=True, slots=True)
class Tariff:
    """Rates over time: the last step whose condition holds, else the first."""

    steps: "tuple[tuple[Constraint, Rates], ...]"

    def at(self, moment: datetime) -> Rates:
        # Prices change by date and, for a few models, by time of day.
        for constraint, rates in reversed(self.steps):
            if constraint is None or constraint.active(moment):
                return rates
        return self.steps[0][1]


def price(  # noqa: PLR0913, PLR0917
    provider: str,
    model: str,
    input_tokens: int | None,
    output_tokens: int | None,
    cached_tokens: int | None,
    cache_write_tokens: int | None,
    at: datetime,
) -> Cost | None:
    """Return the cost of one call, or None if any part of it has no known price.

    `input_tokens` normally includes cached tokens. Senders that exclude them are recognized if cached tokens exceed the
    input. The first call loads the price list, which takes about a second.
    """
    if not model or (input_tokens is None and output_tokens is None):
        return None
    counts = [tokens or 0 for tokens in (input_tokens, output_tokens, cached_tokens, cache_write_tokens)]
    if min(counts) < 0 or max(counts) > MAX_TOKENS:
        return None
    tariff = find_tariff(provider[:MAX_NAME_CHARACTERS], model[: MAX_NAME_CHARACTERS + 1])
    if tariff is None:
        return None
    input_count, output, cached, written = counts
    excludes_cached = cached + written > input_count
    fresh = input_count if excludes_cached else input_count - cached - written
    return tariff.at(at).cost(fresh, cached, written, output)


def load() -> None:
    """Load the price list before the first call needs it."""
    _providers()


@lru_cache(maxsize=CACHED_MODELS)
def find_tariff(provider: str, model: str) -> Tariff | None:
    # The cache is bounded because senders choose the names.
    if len(model) > MAX_NAME_CHARACTERS or provider.lower() in LOCAL_PROVIDERS:
        return None
    names = [model.lower()]
    if "/" in model:
        names.append(names[0].rpartition("/")[2])
    for seller in _sellers(provider.lower(), names):
        for name in names:
            if info := seller.find_model(name, all_providers=_providers()):
                return _tariff(info)
    return None


def _sellers(provider: str, names: list[str]) -> "Iterator[Provider]":
    # The named provider comes first, then those whose own models match.
    yield from _providers_named(provider, provider.replace("_", "-"))
    if any(BEDROCK_MODEL.fullmatch(name) for name in names):
        yield from _providers_named("aws")
    for seller in _providers():
        if seller.model_match and any(seller.model_match.is_match(name) for name in names):
            yield seller
    # Frameworks put their own name in place of the provider's. An exact id of a maker of models says enough.
    yield from (maker for maker in _providers_named(*MAKERS) if any(model.id in names for model in maker.models))


def _providers_named(*names: str) -> "Iterator[Provider]":
    from genai_prices.data_snapshot import find_provider_by_id  # noqa: PLC0415

    for name in names:
        if name and (named := find_provider_by_id(_providers(), name)):
            yield named


@cache
def _providers() -> "list[Provider]":
    # Imported at first use: it takes a second, and most processes price nothing.
    from genai_prices.data import providers  # noqa: PLC0415

    return providers


def _tariff(info: "ModelInfo") -> Tariff | None:
    if not isinstance(info.prices, list):
        return Tariff(((None, _rates(info.prices)),))
    steps = tuple((step.constraint, _rates(step.prices)) for step in info.prices)
    return Tariff(steps) if steps else None


def _rates(prices: "ModelPrice") -> Rates:
    fields = prices.__dict__
    return Rates(
        input=fields.get("input_mtok"),
        output=fields.get("output_mtok"),
        cache_read=fields.get("cache_read_mtok"),
        cache_write=fields.get("cache_write_mtok"),
        per_request=(fields.get("requests_kcount") or Decimal(0)) / 1000,
    )


def _tier(rate: "TieredPrices", size: int) -> Decimal:
    # Crossing a threshold reprices all tokens of the call.
    prices = [tier.price for tier in rate.tiers if size > tier.start]
    return prices[-1] if prices else rate.base
