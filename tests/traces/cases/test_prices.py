"""What a call costs: by its model, by what its sender says, and with tokens of a cache."""

from typing import Any

import pytest

from tests.traces.cases.sender import Sender, span

pytestmark = [pytest.mark.real_clock, pytest.mark.django_db]

SONNET = "anthropic.claude-sonnet-4-20250514-v1:0"
SONNET_COST, GPT_4O_COST = 0.018, 0.0125


def call(model: str, provider: str = "", name: str = "gen_ai.system", **counts: int) -> dict[str, Any]:
    """A call of a thousand tokens in and out."""
    tokens = {"input_tokens": 1000, "output_tokens": 1000} | counts
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": model,
        **({name: provider} if provider else {}),
        **{f"gen_ai.usage.{key}": value for key, value in tokens.items()},
    }


@pytest.mark.parametrize(
    ("provider", "model", "cost"),
    [
        ("strands-agents", f"us.{SONNET}", SONNET_COST),
        ("strands-agents", f"eu.{SONNET}", SONNET_COST),
        ("strands-agents", f"apac.{SONNET}", SONNET_COST),
        ("strands-agents", f"global.{SONNET}", SONNET_COST),
        ("strands-agents", SONNET, SONNET_COST),
        ("", f"us.{SONNET}", SONNET_COST),
        ("", SONNET, SONNET_COST),
        ("aws.bedrock", f"us.{SONNET}", SONNET_COST),
        ("aws_bedrock", f"us.{SONNET}", SONNET_COST),
        ("AWS", f"us.{SONNET}", SONNET_COST),
        ("bedrock", SONNET, SONNET_COST),
        ("amazon-bedrock", SONNET, SONNET_COST),
        ("langchain", f"us.{SONNET}", SONNET_COST),
        ("anthropic", f"us.{SONNET}", SONNET_COST),
        ("litellm", f"bedrock/us.{SONNET}", SONNET_COST),
        ("aws.bedrock", f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{SONNET}", SONNET_COST),
        ("strands-agents", f"arn:aws:bedrock:us-east-1::foundation-model/{SONNET}", SONNET_COST),
        ("openai", "gpt-4o", GPT_4O_COST),
        ("OpenAI", "gpt-4o-2024-08-06", GPT_4O_COST),
        ("", "gpt-4o", GPT_4O_COST),
        ("langchain", "gpt-4o", GPT_4O_COST),
        ("openai.chat", "gpt-4o", GPT_4O_COST),
        ("openai.responses", "gpt-4o", GPT_4O_COST),
        ("azure.ai.openai", "gpt-4o", GPT_4O_COST),
        ("az.ai.openai", "gpt-4o", GPT_4O_COST),
        ("azure_openai", "gpt-4o", GPT_4O_COST),
        ("litellm", "openai/gpt-4o", GPT_4O_COST),
        ("anthropic", "claude-sonnet-4-20250514", SONNET_COST),
        ("Anthropic", "claude-sonnet-4-20250514", SONNET_COST),
        ("anthropic.messages", "claude-sonnet-4-20250514", SONNET_COST),
        ("gcp.vertex.agent", "gemini-2.5-flash", 0.0028),
        ("gcp.gemini", "models/gemini-2.5-flash", 0.0028),
        ("google.generative-ai", "gemini-2.5-flash", 0.0028),
        ("gcp.vertex_ai", "gemini-2.5-flash", 0.0028),
    ],
)
def test_it_finds_the_price_of_a_model(sender: Sender, provider: str, model: str, cost: float) -> None:
    sender.send(span(call(model, provider)))
    assert float(sender.trace.cost) == pytest.approx(cost)
    assert sender.trace.unpriced_count == 0


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "house-model"), ("", "llama3.2"), ("my-gateway", "gpt-99"), ("ollama", "qwen3:8b"), ("", "unknown")],
)
def test_a_model_without_a_price_is_unpriced(sender: Sender, provider: str, model: str) -> None:
    sender.send(span(call(model, provider)))
    assert (float(sender.trace.cost), sender.trace.unpriced_count) == (0.0, 1)


HOUSE = {"openinference.span.kind": "LLM", "llm.model_name": "house-model", "llm.token_count.prompt": 1000}


@pytest.mark.parametrize(
    ("said", "cost"),
    [
        ({"llm.cost.total": 0.03}, 0.03),
        ({"llm.cost.total": "0.03"}, 0.03),
        ({"llm.cost.total": 3}, 3),
        ({"llm.cost.prompt": 0.01, "llm.cost.completion": 0.02}, 0.03),
        ({"llm.cost.prompt": "0.01", "llm.cost.completion": "0.02"}, 0.03),
        ({"llm.cost.prompt": 0.01, "llm.cost.completion": 0}, 0.01),
        ({"llm.cost.prompt": 0.01, "llm.cost.completion": 0.02, "llm.cost.total": 0.05}, 0.05),
        ({"llm.cost.prompt": 0.01, "llm.cost.completion": 0.02, "llm.cost.total": 0}, 0.03),
        ({"gen_ai.usage.cost": 0.03}, 0.03),
        ({"llm.cost.total": 0}, None),
        ({"llm.cost.total": 0.0}, None),
        ({"llm.cost.total": "0"}, None),
        ({"llm.cost.prompt": 0, "llm.cost.completion": 0}, None),
        ({"gen_ai.usage.cost": 0}, None),
        ({"llm.cost.total": -1.0}, None),
        ({"llm.cost.total": "free"}, None),
        ({"llm.cost.total": float("nan")}, None),
        ({"llm.cost.total": float("inf")}, None),
    ],
    ids=repr,
)
def test_it_takes_what_the_sender_says(sender: Sender, said: dict[str, Any], cost: float | None) -> None:
    sender.send(span(HOUSE | said))
    found = float(sender.trace.cost) if not sender.trace.unpriced_count else None
    assert found == (cost if cost is None else pytest.approx(cost))


def test_a_zero_leaves_the_public_price(sender: Sender) -> None:
    sender.send(span(call("gpt-4o", "openai") | {"gen_ai.usage.cost": 0.0}))
    assert float(sender.trace.cost) == pytest.approx(GPT_4O_COST)


CACHE = {
    "a part": ({"input_tokens": 1000, "cache_read.input_tokens": 800}, 1000, 0.0006 + 0.00024),
    "all of it": ({"input_tokens": 1000, "cache_read.input_tokens": 1000}, 1000, 0.0003),
    "apart, more than the input": (
        {"input_tokens": 5, "cache_read_input_tokens": 128_955, "cache_creation_input_tokens": 1_253},
        130_213,
        0.000015 + 0.0386865 + 0.00469875,
    ),
    "apart, written only": ({"input_tokens": 5, "cache_creation.input_tokens": 1_000}, 1_005, 0.000015 + 0.00375),
    "apart by the total": (
        {"input_tokens": 3000, "cache_read.input_tokens": 2000, "total_tokens": 5100},
        5_000,
        0.009 + 0.0006,
    ),
    "apart by the total, read and written": (
        {
            "input_tokens": 3000,
            "cache_read.input_tokens": 2000,
            "cache_creation.input_tokens": 1000,
            "total_tokens": 6100,
        },
        6_000,
        0.009 + 0.0006 + 0.00375,
    ),
    "a part by the total": (
        {"input_tokens": 5000, "cache_read.input_tokens": 2000, "total_tokens": 5100},
        5_000,
        0.009 + 0.0006,
    ),
    "a total that says something else": (
        {"input_tokens": 5000, "cache_read.input_tokens": 2000, "total_tokens": 5999},
        5_000,
        0.009 + 0.0006,
    ),
    "none": ({"input_tokens": 1000, "cache_read.input_tokens": 0}, 1000, 0.003),
    "in strings": ({"input_tokens": "5", "cache_read_input_tokens": "1000"}, 1005, 0.000015 + 0.0003),
}


@pytest.mark.parametrize(("counts", "given", "input_cost"), CACHE.values(), ids=CACHE)
def test_cached_tokens_are_part_of_the_input(
    sender: Sender, counts: dict[str, Any], given: int, input_cost: float
) -> None:
    sender.send(span(call("claude-sonnet-4-20250514", "anthropic", **{"output_tokens": 100} | counts)))
    assert sender.trace.input_tokens == given
    assert float(sender.trace.cost) == pytest.approx(input_cost + 0.0015)


@pytest.mark.parametrize(
    "said",
    [
        {"llm.token_count.total": 300},
        {"gen_ai.usage.total_tokens": 300},
        {"llm.usage.total_tokens": 300},
        {"ai.usage.totalTokens": 300},
        {"llm.token_count.total": "300"},
        {"llm.token_count.total": 300, "llm.token_count.prompt": 0, "llm.token_count.completion": 0},
    ],
    ids=repr,
)
def test_a_total_alone_is_counted_and_not_priced(sender: Sender, said: dict[str, Any]) -> None:
    sender.send(span({"openinference.span.kind": "LLM", "llm.provider": "openai", "llm.model_name": "gpt-4o"} | said))
    assert (*sender.usage, float(sender.trace.cost), sender.trace.unpriced_count) == (300, 0, 0.0, 1)


def test_embeddings_have_a_price(sender: Sender) -> None:
    said = {"gen_ai.operation.name": "embeddings", "gen_ai.provider.name": "openai"}
    tokens = {"gen_ai.request.model": "text-embedding-3-small", "gen_ai.usage.input_tokens": 5_000}
    sender.send(span(said | tokens))
    assert float(sender.trace.cost) == pytest.approx(0.0001)


def test_the_model_that_answered_counts_before_the_one_that_was_asked(sender: Sender) -> None:
    sender.send(span(call("router", "openai") | {"gen_ai.response.model": "gpt-4o-2024-08-06"}))
    assert float(sender.trace.cost) == pytest.approx(GPT_4O_COST)


def test_the_model_that_was_asked_has_a_price_where_the_other_has_none(sender: Sender) -> None:
    sender.send(span(call("gpt-4o", "azure.ai.openai") | {"gen_ai.response.model": ""}))
    assert float(sender.trace.cost) == pytest.approx(GPT_4O_COST)
