"""Tokens and cost of a span, as its sender tells them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.traces.sent import sent_span
from traces.ingest import pipeline
from traces.records import SpanRecord

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LLM = {"openinference.span.kind": "LLM"}
CHAT = {"gen_ai.operation.name": "chat"}
SONNET = {**CHAT, "gen_ai.system": "anthropic", "gen_ai.request.model": "claude-sonnet-4-20250514"}
GPT = {**CHAT, "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
EMBEDDING = {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "text-embedding-3-small"}
USED = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100}


def stored(attributes: dict[str, Any]) -> SpanRecord:
    span = sent_span(1, start=NOW)
    span.attributes |= attributes
    return pipeline.read(1, [span], NOW).readings[0].span


def cost(attributes: dict[str, Any]) -> Decimal | None:
    found = stored(attributes).cost
    return None if found is None else found.normalize()


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"gen_ai.usage.details.cache_read_tokens": 800}, {"cached_tokens": 800}),
        ({"gen_ai.usage.details.cache_write_tokens": 70}, {"cache_write_tokens": 70}),
        ({"gen_ai.usage.cache_write_input_tokens": 80}, {"cache_write_tokens": 80}),
        ({"gen_ai.usage.cache_creation_input_tokens": 80}, {"cache_write_tokens": 80}),
        ({"ai.usage.inputTokenDetails.cacheReadTokens": 8}, {"cached_tokens": 8}),
        ({"ai.usage.inputTokenDetails.cacheWriteTokens": 8}, {"cache_write_tokens": 8}),
        ({"ai.usage.outputTokenDetails.reasoningTokens": 4}, {"reasoning_tokens": 4}),
        ({"gen_ai.usage.reasoning_tokens": 448}, {"reasoning_tokens": 448}),
        ({"gen_ai.usage.details.reasoning_tokens": 5}, {"reasoning_tokens": 5}),
        ({"llm.usage.reasoning_tokens": 6}, {"reasoning_tokens": 6}),
    ],
)
def test_names_of_details_are_known(attributes: dict[str, Any], expected: dict[str, int]) -> None:
    span = stored(GPT | USED | attributes)
    assert {name: getattr(span, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("sent", "cached", "written", "total", "tokens"),
    [
        (5, 128_955, 1_253, None, 130_213),  # more cached than sent: counted apart
        (3_000, 2_000, 0, 5_100, 5_000),  # the total tells
        (3_000, 2_000, 0, 3_100, 3_000),
        (3_000, 2_000, 0, None, 3_000),  # as OpenAI and OpenInference count
        (1_000, 900, 500, None, 2_400),
        (1_000, 0, 0, 1_100, 1_000),
        (130_213, 128_955, 1_253, None, 130_213),
    ],
)
def test_cached_tokens_are_part_of_the_input(
    sent: int, cached: int, written: int, total: int | None, tokens: int
) -> None:
    usage: dict[str, Any] = {
        "gen_ai.usage.input_tokens": sent,
        "gen_ai.usage.output_tokens": 100,
        "gen_ai.usage.cache_read_input_tokens": cached,
        "gen_ai.usage.cache_creation_input_tokens": written,
    }
    if total is not None:
        usage["gen_ai.usage.total_tokens"] = total
    span = stored(SONNET | usage)
    assert (span.input_tokens, span.cached_tokens, span.cache_write_tokens) == (tokens, cached, written)


def test_a_cached_call_costs_what_its_parts_cost() -> None:
    apart = SONNET | {"gen_ai.usage.input_tokens": 5, "gen_ai.usage.cache_read_input_tokens": 128_955}
    within = SONNET | {"gen_ai.usage.input_tokens": 128_960, "gen_ai.usage.cache_read_input_tokens": 128_955}
    assert cost(apart) == cost(within) == Decimal("0.0387015")
    assert cost(
        SONNET
        | {"gen_ai.usage.input_tokens": 3_000, "gen_ai.usage.output_tokens": 100}
        | {
            "gen_ai.usage.total_tokens": 5_100,
            "gen_ai.usage.cache_read_input_tokens": 2_000,
        }
    ) == Decimal("0.0111")


def test_a_total_alone_counts_as_input_without_a_price() -> None:
    span = stored(LLM | {"llm.model_name": "gpt-4o", "llm.token_count.total": 300})
    assert (span.input_tokens, span.output_tokens, span.cost) == (300, None, None)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (GPT | USED, Decimal("0.0035")),
        (GPT | USED | {"gen_ai.usage.cost": 0.5}, Decimal("0.5")),
        (GPT | USED | {"gen_ai.usage.cost": 0}, Decimal("0.0035")),
        (CHAT | USED | {"gen_ai.request.model": "house", "llm.cost.total": 0.0}, None),
        (
            LLM | {"llm.model_name": "house", "llm.cost.prompt": 0.01, "llm.cost.completion": 0.02},
            Decimal("0.03"),
        ),
        (LLM | {"llm.model_name": "house", "llm.cost.prompt": 0.01}, Decimal("0.01")),
        (LLM | {"llm.cost.total": 1, "llm.cost.prompt": 0.01}, Decimal(1)),
        (LLM | {"llm.cost.total": 0}, Decimal(0)),
        (EMBEDDING | {"gen_ai.usage.input_tokens": 5_000}, Decimal("0.0001")),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "gpt-4o"} | USED, Decimal("0.0035")),
    ],
)
def test_a_cost_is_the_senders_else_the_lists(attributes: dict[str, Any], expected: Decimal | None) -> None:
    assert cost(attributes) == expected


@pytest.mark.parametrize("provider", ["strands-agents", "", "litellm_proxy", "aws.bedrock", "aws"])
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "0.0045"),
        ("eu.anthropic.claude-sonnet-4-20250514-v1:0", "0.0045"),
        ("anthropic.claude-sonnet-4-20250514-v1:0", "0.0045"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-20250514-v1:0", "0.0045"),
        ("apac.amazon.nova-lite-v1:0", "0.000084"),
    ],
)
def test_an_id_of_bedrock_says_who_sells_it(provider: str, model: str, expected: str) -> None:
    sent = CHAT | USED | {"gen_ai.request.model": model, "gen_ai.system": provider}
    assert cost(sent) == Decimal(expected)


@pytest.mark.parametrize("provider", ["ollama", "vllm"])
def test_a_model_on_ones_own_machine_has_no_list_price(provider: str) -> None:
    assert cost(CHAT | USED | {"gen_ai.request.model": "gpt-4o", "gen_ai.system": provider}) is None
