"""Model and tokens to cost."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.data import providers
from genai_prices.types import Usage
from hypothesis import given
from hypothesis import strategies as st

from catalyst.pricing import CACHED_MODELS, Cost, find_tariff, price

AT = datetime(2026, 11, 1, tzinfo=UTC)
MILLION = 1_000_000


def spent(*call: Any) -> Decimal:
    """What a priced call cost in all."""
    cost = price(*call)
    assert cost is not None
    return cost.total


def test_it_prices_input_and_output() -> None:
    assert spent("openai", "gpt-4o", MILLION, MILLION, None, None, AT) == Decimal("12.5")


def test_it_counts_cached_tokens_as_part_of_the_input() -> None:
    fresh = spent("openai", "gpt-4o", 1000, 0, None, None, AT)
    half_cached = spent("openai", "gpt-4o", 1000, 0, 500, None, AT)
    assert fresh == Decimal("0.0025")
    assert half_cached == Decimal("0.001875")


def test_it_prices_cache_writes_by_their_own_rate() -> None:
    cost = spent("anthropic", "claude-sonnet-4-20250514", 3 * MILLION // 100, 0, 10_000, 10_000, AT)
    assert cost == Decimal("0.03") + Decimal("0.003") + Decimal("0.0375")


def test_it_tells_input_cache_and_output_apart() -> None:
    cost = price("anthropic", "claude-sonnet-4-20250514", 3 * MILLION // 100, MILLION // 100, 10_000, 10_000, AT)
    assert cost == Cost(Decimal("0.03"), Decimal("0.003") + Decimal("0.0375"), Decimal("0.15"), Decimal(0))


def test_it_counts_a_fee_per_request_as_none_of_them() -> None:
    cost = price("perplexity", "sonar", MILLION, MILLION, None, None, AT)
    assert cost is not None
    assert cost.request > 0
    assert cost.total == cost.input + cost.output + cost.request


def test_it_recognises_senders_that_leave_cached_tokens_out_of_the_input() -> None:
    assert spent("openai", "gpt-4o", 100, 0, 1000, None, AT) == Decimal("0.0015")


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("", "gpt-4o"),
        ("langchain", "gpt-4o"),
        ("azure.ai.openai", "gpt-4o"),
        ("azure", "gpt-4o"),
        ("openai", "gpt-4o-2024-08-06"),
        ("openai", "openai/gpt-4o"),
        ("OpenAI", "GPT-4o"),
        ("openai", "claude-sonnet-4-20250514"),
        ("aws.bedrock", "us.anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("gcp.vertex_ai", "gemini-2.5-pro"),
        ("google", "models/gemini-2.0-flash"),
        ("x_ai", "grok-4"),
        ("mistral_ai", "mistral-large-latest"),
        ("openrouter", "openai/gpt-4o"),
        ("litellm", "anthropic/claude-sonnet-4-20250514"),
    ],
)
def test_it_knows_the_names_that_sdks_send(provider: str, model: str) -> None:
    assert spent(provider, model, 1000, 10, None, None, AT)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-99-imaginary"),
        ("openai", ""),
        ("", "my-model"),
        ("ollama", "gpt-4o"),
        ("openai", "gpt-4o" * 200),
    ],
)
def test_it_leaves_the_unknown_unpriced(provider: str, model: str) -> None:
    assert price(provider, model, 1000, 10, None, None, AT) is None


@pytest.mark.parametrize("tokens", [(None, None), (-1, 5), (5, -1), (10**12, 1)])
def test_it_leaves_calls_without_believable_tokens_unpriced(tokens: tuple[int | None, int | None]) -> None:
    assert price("openai", "gpt-4o", *tokens, None, None, AT) is None


def test_it_is_free_only_when_nothing_was_used() -> None:
    assert spent("openai", "gpt-4o", 0, 0, 0, 0, AT) == 0


def test_it_charges_what_the_day_cost() -> None:
    before = spent("openai", "o3", MILLION, 0, None, None, datetime(2025, 5, 1, tzinfo=UTC))
    after = spent("openai", "o3", MILLION, 0, None, None, AT)
    assert (before, after) == (Decimal(10), Decimal(2))


def test_it_reprices_a_whole_call_over_the_threshold() -> None:
    short = spent("google", "gemini-2.5-pro", 200_000, 0, None, None, AT)
    long = spent("google", "gemini-2.5-pro", 400_000, 0, None, None, AT)
    assert (short, long) == (Decimal("0.25"), Decimal("1.0"))


@pytest.mark.slow
def test_it_agrees_with_the_library_on_every_model_it_sells() -> None:
    usage = Usage(input_tokens=300_000, output_tokens=2_000, cache_read_tokens=100_000, cache_write_tokens=5_000)
    checked = 0
    for provider in providers:
        for model in provider.models:
            rates = model.get_prices(AT).__dict__
            if rates.get("input_mtok") is None or rates.get("output_mtok") is None:
                continue
            if find_tariff(provider.id, model.id) is None or provider.find_model(model.id) is not model:
                continue
            theirs = model.calc_price(usage, provider, genai_request_timestamp=AT).total_price
            assert spent(provider.id, model.id, 300_000, 2_000, 100_000, 5_000, AT) == theirs, (provider.id, model.id)
            checked += 1
    assert checked > 500


@pytest.mark.slow
@given(st.text(max_size=300), st.text(max_size=300), st.lists(st.none() | st.integers(), min_size=4, max_size=4))
def test_it_never_raises_on_what_senders_invent(provider: str, model: str, tokens: list[int | None]) -> None:
    cost = price(provider, model, tokens[0], tokens[1], tokens[2], tokens[3], AT)
    assert cost is None or min(cost.input, cost.cache, cost.output, cost.request) >= 0


def test_it_keeps_a_bounded_number_of_models() -> None:
    assert find_tariff.cache_info().maxsize == CACHED_MODELS


def test_it_looks_each_model_up_once() -> None:
    find_tariff.cache_clear()
    for tokens in range(1, 20):
        price("openai", "gpt-4o", 1000 * tokens, 10, 100, None, AT)
    assert find_tariff.cache_info().misses == 1
