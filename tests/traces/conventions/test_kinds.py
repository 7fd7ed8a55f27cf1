"""The kind of a span, from evidence."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.traces.sent import sent_span
from traces.conventions.kinds import kind_of_word
from traces.conventions.span_mapping import ResourceContext, read_span
from traces.otlp import Source

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
USED = {"gen_ai.usage.input_tokens": 8, "gen_ai.request.model": "gpt-4o"}


def kind(attributes: dict[str, Any], scope: str = "scope") -> str:
    span = sent_span(1, start=NOW)
    span.attributes |= attributes
    span.source = Source({}, scope, "1")
    return read_span(span, ResourceContext(span.source), project_id=1, now=NOW, kept_since=NOW).span.kind


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        *((word, "LLM") for word in ("chat", "Chat", "chat_completion", "chat.completions", "ChatCompletion")),
        *((word, "LLM") for word in ("completion", "acompletion", "text_completion", "responses", "aresponses")),
        *((word, "LLM") for word in ("message", "messages.create", "generate_content", "generateContent", "llm")),
        *((word, "LLM") for word in ("converse", "ConverseStream", "invoke_model", "call_llm", "model_generation")),
        *((word, "LLM") for word in ("ai.generateText.doGenerate", "ai.streamObject.doStream", "chat_model")),
        *((word, "CHAIN") for word in ("ai.generateText", "ai.streamText", "ai.generateObject", "workflow", "task")),
        *(
            (word, "CHAIN")
            for word in ("invoke_workflow", "chain", "graph.step", "agent_step", "execute_event_loop_cycle")
        ),
        *((word, "EMBEDDING") for word in ("embeddings", "embedding", "embed_content", "ai.embedMany.doEmbed")),
        *((word, "RERANKER") for word in ("rerank", "reranker")),
        *((word, "RETRIEVER") for word in ("retrieval", "retrieve", "retriever")),
        *((word, "TOOL") for word in ("execute_tool", "tool", "tool_call", "ai.toolCall", "function", "run_tool")),
        *((word, "AGENT") for word in ("invoke_agent", "create_agent", "agent", "agent_run", "handoff")),
        *((word, "GUARDRAIL") for word in ("guardrail", "moderation")),
        *((word, "EVALUATOR") for word in ("evaluate", "evaluation")),
        ("count_tokens", "SPAN"),
        ("GET", ""),
        ("", ""),
    ],
)
def test_operations_are_known_however_they_are_spelt(word: str, expected: str) -> None:
    assert kind_of_word(word) == expected


@pytest.mark.parametrize(
    ("attributes", "scope", "expected"),
    [
        ({"openinference.span.kind": "tool", "gen_ai.operation.name": "chat"}, "", "TOOL"),
        ({"gen_ai.operation.name": "acompletion", **USED}, "", "LLM"),
        ({"llm.request.type": "chat"}, "", "LLM"),
        ({"llm.request.type": "embedding"}, "", "EMBEDDING"),
        ({"gcp.vertex.agent.llm_request": "{}", **USED}, "gcp.vertex.agent", "LLM"),
        (USED, "", "LLM"),
        ({"llm.token_count.total": 3, "llm.model_name": "m"}, "", "LLM"),
        ({"gen_ai.request.model": "gpt-4o"}, "", "SPAN"),
        ({"mastra.span.type": "model_generation", "gen_ai.request.model": "gpt-4o"}, "", "LLM"),
        ({"mastra.span.type": "model_generation"}, "", "CHAIN"),
        ({"gen_ai.request.model": "gpt-4o"}, "opentelemetry.instrumentation.openai.v1", "LLM"),
        ({"gen_ai.request.model": "c"}, "@opentelemetry/instrumentation-aws-sdk-bedrock", "LLM"),
        ({"db.system": "redis", "gen_ai.request.model": "gpt-4o"}, "opentelemetry.instrumentation.redis", "SPAN"),
        ({"db.system": "redis", **USED}, "", "SPAN"),
        ({"gen_ai.usage.input_tokens": 8}, "", "SPAN"),
        ({"gen_ai.tool.name": "roll", "gen_ai.tool.call.id": "c9"}, "", "TOOL"),
        ({"openinference.span.kind": "new kind"}, "", "UNKNOWN"),
        ({"openinference.span.kind": "new kind", **USED}, "", "LLM"),
        ({"http.request.method": "GET"}, "opentelemetry.instrumentation.httpx", "SPAN"),
    ],
)
def test_the_evidence_decides(attributes: dict[str, Any], scope: str, expected: str) -> None:
    assert kind(attributes, scope) == expected


@pytest.mark.parametrize(("name", "expected"), [("OpenAI.achat", "LLM"), ("OpenAI._prepare_chat_with_tools", "CHAIN")])
def test_the_preparation_of_a_call_is_no_call(name: str, expected: str) -> None:
    span = sent_span(1, start=NOW, name=name, openinference__span__kind="LLM")
    reading = read_span(span, ResourceContext(span.source), project_id=1, now=NOW, kept_since=NOW)
    assert reading.span.kind == expected
