"""Which kind a span is of, by what senders say of it."""

from typing import Any

import pytest

from tests.traces.cases.sender import Sender, span

pytestmark = [pytest.mark.real_clock, pytest.mark.django_db]

OPERATIONS = {
    "LLM": """chat Chat CHAT chat_completion chat_completions chat.completions chat.completions.create ChatCompletion
        chatCompletion beta.chat.completions.parse responses responses.create responses.stream response aresponses
        message messages messages.create messages.stream completion completions acompletion atext_completion
        text_completion TextCompletion text-completion completions.create generate_content generateContent
        GenerateContent generate_content_stream streamGenerateContent agenerate_content converse Converse
        ConverseStream converse_stream invoke_model InvokeModel InvokeModelWithResponseStream generate_text
        generateText text_generation streamText stream_chat chat_stream streaming_chat llm_call
        ai.generateText.doGenerate ai.streamText.doStream ai.generateObject.doGenerate ai.streamObject.doStream""",
    "EMBEDDING": """embeddings embedding Embeddings embed aembedding embeddings.create create_embedding embed_content
        embedContent batchEmbedContents embed_documents embedQuery text_embedding ai.embed.doEmbed
        ai.embedMany.doEmbed""",
    "RERANKER": "rerank Rerank arerank reranking ai.rerank.doRerank",
    "RETRIEVER": "retrieval retrieve Retrieval retriever",
    "TOOL": "execute_tool executeTool ExecuteTool tool_call tool function_call ai.toolCall",
    "AGENT": "invoke_agent invokeAgent InvokeAgent agent create_agent run_agent",
    "CHAIN": "invoke_workflow workflow",
}


@pytest.mark.parametrize(
    ("operation", "kind"), [(name, kind) for kind, names in OPERATIONS.items() for name in names.split()]
)
def test_an_operation_is_known_however_it_is_spelled(sender: Sender, operation: str, kind: str) -> None:
    name = "ai.operationId" if operation.startswith("ai.") else "gen_ai.operation.name"
    sender.send(span({name: operation, "gen_ai.request.model": "gpt-4o"}))
    assert sender.row().kind == kind


@pytest.mark.parametrize(
    "operation",
    [
        "save_chat_history",
        "list_messages",
        "delete_message",
        "messages.list",
        "search_memory",
        "update_memory",
        "GET",
        "query",
        "publish",
        "chat_history",
        "upload_file",
        "models.list",
        "count_tokens",
        "agents.list",
        "deleteResponse",
        "ListAgents",
    ],
)
def test_an_operation_that_only_sounds_like_a_model_call_is_none(sender: Sender, operation: str) -> None:
    sender.send(span({"gen_ai.operation.name": operation}))
    assert sender.row().kind not in {"LLM", "TOOL", "AGENT", "EMBEDDING"}


TOKENS = {"gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 3}
MODEL = {"gen_ai.request.model": "gemini-2.5-flash"}


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"llm.request.type": "chat"}, "LLM"),
        ({"llm.request.type": "completion"}, "LLM"),
        ({"llm.request.type": "CHAT"}, "LLM"),
        ({"llm.request.type": "embedding"}, "EMBEDDING"),
        ({"llm.request.type": "rerank"}, "RERANKER"),
        ({"traceloop.span.kind": "workflow"}, "CHAIN"),
        ({"traceloop.span.kind": "task"}, "CHAIN"),
        ({"traceloop.span.kind": "agent"}, "AGENT"),
        ({"traceloop.span.kind": "tool"}, "TOOL"),
        ({"langsmith.span.kind": "llm"}, "LLM"),
        ({"langsmith.span.kind": "tool"}, "TOOL"),
        ({"langsmith.span.kind": "retriever"}, "RETRIEVER"),
        ({"langsmith.span.kind": "embedding"}, "EMBEDDING"),
        ({"langsmith.span.kind": "chain"}, "CHAIN"),
        ({"langsmith.span.kind": "prompt"}, "PROMPT"),
        ({"openinference.span.kind": "LLM"}, "LLM"),
        ({"openinference.span.kind": "llm"}, "LLM"),
        ({"openinference.span.kind": " Tool "}, "TOOL"),
        ({"openinference.span.kind": "BANANA"}, "UNKNOWN"),
        ({"openinference.span.kind": "", "gen_ai.operation.name": "chat"}, "LLM"),
        ({"openinference.span.kind": "CHAIN", "gen_ai.operation.name": "chat"}, "CHAIN"),
        ({"langfuse.observation.type": "generation"}, "LLM"),
        ({"langfuse.observation.type": "tool"}, "TOOL"),
        ({"langfuse.observation.type": "agent"}, "AGENT"),
        ({"langfuse.observation.type": "retriever"}, "RETRIEVER"),
        ({"langfuse.observation.type": "embedding"}, "EMBEDDING"),
        ({"langfuse.observation.type": "span"}, "SPAN"),
        ({"gen_ai.tool.name": "roll"}, "TOOL"),
        ({"tool.name": "roll"}, "TOOL"),
        ({"ai.toolCall.name": "roll"}, "TOOL"),
        ({"gen_ai.system": "gcp.vertex.agent", **MODEL, **TOKENS}, "LLM"),
        ({"gen_ai.operation.name": "", **MODEL, **TOKENS}, "LLM"),
        ({"gen_ai.operation.name": "something_new", **MODEL, **TOKENS}, "LLM"),
        ({"llm.model_name": "gpt-4o", "llm.token_count.prompt": 7}, "LLM"),
        (TOKENS, "SPAN"),
        (MODEL, "SPAN"),
        ({}, "SPAN"),
        ({"db.system": "redis", **MODEL}, "SPAN"),
        ({"db.system.name": "postgresql", **MODEL}, "SPAN"),
        ({"db.system": "redis", "db.statement": "GET", "gen_ai.system": "openai", **MODEL}, "SPAN"),
        ({"cache.hit": True, **MODEL}, "SPAN"),
        ({"http.request.method": "POST"}, "SPAN"),
    ],
    ids=repr,
)
def test_it_goes_by_the_evidence(sender: Sender, attributes: dict[str, Any], kind: str) -> None:
    sender.send(span(attributes))
    assert sender.row().kind == kind


def test_a_model_call_by_evidence_counts(sender: Sender) -> None:
    sender.send(span({"gen_ai.system": "gcp.vertex.agent", **MODEL, **TOKENS}, name="call_llm"))
    assert (sender.trace.llm_count, *sender.usage) == (1, 11, 3)


def test_the_kind_of_a_later_fuller_version_counts(sender: Sender) -> None:
    sender.send(span(MODEL, endTimeUnixNano="0"))
    sender.send(span({"gen_ai.operation.name": "acompletion", **MODEL, **TOKENS}))
    assert (sender.row().kind, sender.trace.llm_count, *sender.usage) == ("LLM", 1, 11, 3)
