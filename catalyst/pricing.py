"""Model and tokens to cost, by the public prices that genai-prices bundles. Pure and offline: nothing is fetched."""

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

PER = Decimal(1_000_000)
NOTHING = Decimal(0)
CACHED_MODELS = 4096
MAX_NAME_CHARACTERS = 200
MAX_TOKENS = 10**9
"""More than this in one call is a sender's mistake, not a price."""

LOCAL_PROVIDERS = frozenset(
    {"ollama", "vllm", "lmstudio", "lm_studio", "llamacpp", "llama_cpp", "llama.cpp", "localai"}
)
"""Their models run on the user's own machines, so a hosted price would be wrong."""


class Cost(NamedTuple):
    """US dollars for one call: for fresh input, for the cache (read and written), for output, and for asking at all."""

    input: Decimal
    cache: Decimal
    output: Decimal
    request: Decimal

    @property
    def total(self) -> Decimal:
        """All of it."""
        return self.input + self.cache + self.output + self.request


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars per million tokens. A cache rate of None means that those tokens cost what input costs."""

    input: "Rate"
    output: "Rate"
    cache_read: "Rate"
    cache_write: "Rate"
    per_request: Decimal

    def cost(self, fresh: int, cached: int, written: int, output: int) -> Cost | None:
        """Cost of one call. None when tokens were used that no rate covers."""
        size = fresh + cached + written
        read_rate = self.input if self.cache_read is None else self.cache_read
        write_rate = self.input if self.cache_write is None else self.cache_write
        paid = []
        for tokens, rate in ((fresh, self.input), (cached, read_rate), (written, write_rate), (output, self.output)):
            if not tokens:
                paid.append(NOTHING)
            elif rate is None:
                return None
            else:
                paid.append((rate if isinstance(rate, Decimal) else _tier(rate, size)) * tokens / PER)
        return Cost(paid[0], paid[1] + paid[2], paid[3], self.per_request)


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a model costs over time: the latest of these whose condition holds, else the first."""

    steps: "tuple[tuple[Constraint, Rates], ...]"

    def at(self, moment: datetime) -> Rates:
        """The rates of that moment; prices change by date and, for a few models, by time of day."""
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
    """What one call cost, or None when the model, or what it used, has no known price: never a false 0.

    Tokens read from and written to the provider's cache are part of `input_tokens`. Senders that leave them out are
    recognised when the cached tokens exceed the input. The first call loads the price list, which takes about a second.
    """
    if not model or (input_tokens is None and output_tokens is None):
        return None
    counts = [tokens or 0 for tokens in (input_tokens, output_tokens, cached_tokens, cache_write_tokens)]
    if min(counts) < 0 or max(counts) > MAX_TOKENS:
        return None
    tariff = find_tariff(provider[:MAX_NAME_CHARACTERS], model[: MAX_NAME_CHARACTERS + 1])
    if tariff is None:
        return None
    used, output, cached, written = counts
    apart = cached + written > used
    return tariff.at(at).cost(used if apart else used - cached - written, cached, written, output)


def load() -> None:
    """Read the price list now, which takes about a second, rather than for the first call."""
    _providers()


@lru_cache(maxsize=CACHED_MODELS)
def find_tariff(provider: str, model: str) -> Tariff | None:
    """What a model costs, by the names that spans carry; None when unknown or run on the user's own machines.

    Bounded, because the names are the sender's.
    """
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
    """Who may have sent the bill: the named provider, then whoever's own models are called that."""
    from genai_prices.data_snapshot import find_provider_by_id  # noqa: PLC0415

    for name in (provider, provider.replace("_", "-")):
        if name and (named := find_provider_by_id(_providers(), name)):
            yield named
    for seller in _providers():
        if seller.model_match and any(seller.model_match.is_match(name) for name in names):
            yield seller


@cache
def _providers() -> "list[Provider]":
    """The bundled price list. Loaded at first use: it takes a second, and most processes never price anything."""
    from genai_prices.data import providers  # noqa: PLC0415

    return providers


def _tariff(info: "ModelInfo") -> Tariff | None:
    if not isinstance(info.prices, list):
        return Tariff(((None, _rates(info.prices)),))
    steps = tuple((step.constraint, _rates(step.prices)) for step in info.prices)
    return Tariff(steps) if steps else None


def _rates(prices: "ModelPrice") -> Rates:
    known = prices.__dict__
    return Rates(
        input=known.get("input_mtok"),
        output=known.get("output_mtok"),
        cache_read=known.get("cache_read_mtok"),
        cache_write=known.get("cache_write_mtok"),
        per_request=(known.get("requests_kcount") or Decimal(0)) / 1000,
    )


def _tier(rate: "TieredPrices", size: int) -> Decimal:
    """The rate for a call with so many input tokens: crossing a threshold reprices all of them."""
    reached = [tier.price for tier in rate.tiers if size > tier.start]
    return reached[-1] if reached else rate.base
