"""Names that well-known SDKs give to tokens, costs, people and text."""

import json
from typing import Any

import pytest

from tests.traces.cases.sender import Sender, span

pytestmark = [pytest.mark.real_clock, pytest.mark.django_db]

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
VERCEL = {"ai.operationId": "ai.generateText.doGenerate", "ai.model.id": "gpt-4o", "ai.model.provider": "openai.chat"}
INFERENCE = "inference.llm."

# What is sent, and input, output, cached, written and reasoning tokens of it.
USAGE: dict[str, tuple[dict[str, Any], tuple[int | None, ...]]] = {
    "OpenInference": (
        {
            "openinference.span.kind": "LLM",
            "llm.token_count.prompt": 1000,
            "llm.token_count.completion": 10,
            "llm.token_count.prompt_details.cache_read": 800,
            "llm.token_count.prompt_details.cache_write": 100,
            "llm.token_count.completion_details.reasoning": 4,
        },
        (1000, 10, 800, 100, 4),
    ),
    "conventions": (
        {
            **CHAT,
            "gen_ai.usage.input_tokens": 1000,
            "gen_ai.usage.output_tokens": 10,
            "gen_ai.usage.cache_read.input_tokens": 800,
            "gen_ai.usage.cache_creation.input_tokens": 100,
            "gen_ai.usage.reasoning.output_tokens": 4,
        },
        (1000, 10, 800, 100, 4),
    ),
    "Strands": (
        {
            **CHAT,
            "gen_ai.usage.input_tokens": 13_000,
            "gen_ai.usage.prompt_tokens": 13_000,
            "gen_ai.usage.output_tokens": 100,
            "gen_ai.usage.cache_read_input_tokens": 2_000,
            "gen_ai.usage.cache_write_input_tokens": 8_000,
        },
        (13_000, 100, 2_000, 8_000, None),
    ),
    "Pydantic AI": (
        {
            **CHAT,
            "gen_ai.usage.input_tokens": 130_213,
            "gen_ai.usage.output_tokens": 100,
            "gen_ai.usage.details.cache_read_tokens": 128_955,
            "gen_ai.usage.details.cache_write_tokens": 1_253,
            "gen_ai.usage.details.reasoning_tokens": 7,
        },
        (130_213, 100, 128_955, 1_253, 7),
    ),
    "Pydantic AI on Anthropic": (
        {
            **CHAT,
            "gen_ai.usage.input_tokens": 130_213,
            "gen_ai.usage.output_tokens": 100,
            "gen_ai.usage.details.input_tokens": 5,
            "gen_ai.usage.details.cache_read_input_tokens": 128_955,
            "gen_ai.usage.details.cache_creation_input_tokens": 1_253,
        },
        (130_213, 100, 128_955, 1_253, None),
    ),
    "Vercel 4": (
        {**VERCEL, "ai.usage.promptTokens": 1000, "ai.usage.completionTokens": 10},
        (1000, 10, None, None, None),
    ),
    "Vercel 5": (
        {
            **VERCEL,
            "ai.usage.inputTokens": 1000,
            "ai.usage.outputTokens": 10,
            "ai.usage.totalTokens": 1010,
            "ai.usage.cachedInputTokens": 800,
            "ai.usage.reasoningTokens": 4,
        },
        (1000, 10, 800, None, 4),
    ),
    "Vercel 6": (
        {
            **VERCEL,
            "ai.usage.inputTokens": 1000,
            "ai.usage.outputTokens": 10,
            "ai.usage.inputTokenDetails.cacheReadTokens": 800,
            "ai.usage.inputTokenDetails.cacheWriteTokens": 100,
            "ai.usage.inputTokenDetails.noCacheTokens": 100,
            "ai.usage.outputTokenDetails.reasoningTokens": 4,
        },
        (1000, 10, 800, 100, 4),
    ),
    "OpenLLMetry": (
        {
            "llm.request.type": "chat",
            "gen_ai.usage.prompt_tokens": 1000,
            "gen_ai.usage.completion_tokens": 10,
            "llm.usage.total_tokens": 1010,
            "gen_ai.usage.cache_read_input_tokens": 800,
            "gen_ai.usage.cache_creation_input_tokens": 100,
            "gen_ai.usage.reasoning_tokens": 4,
        },
        (1000, 10, 800, 100, 4),
    ),
    "OpenLLMetry, before the conventions": (
        {"llm.request.type": "chat", "llm.usage.prompt_tokens": 1000, "llm.usage.completion_tokens": 10},
        (1000, 10, None, None, None),
    ),
    "LangSmith": (
        {
            "langsmith.span.kind": "llm",
            "gen_ai.usage.input_tokens": 1000,
            "gen_ai.usage.output_tokens": 10,
            "gen_ai.usage.total_tokens": 1010,
            "gen_ai.usage.input_token_details": json.dumps({"cache_read": 800}),
        },
        (1000, 10, 800, None, None),
    ),
    "Langfuse": (
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.model.name": "gpt-4o",
            "langfuse.observation.usage_details": json.dumps(
                {"input": 1000, "output": 10, "total": 1010, "input_cached_tokens": 800, "output_reasoning_tokens": 4}
            ),
        },
        (1000, 10, 800, None, 4),
    ),
    "Langfuse, names of OpenAI": (
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.usage_details": json.dumps({"prompt_tokens": 1000, "completion_tokens": 10}),
        },
        (1000, 10, None, None, None),
    ),
    "Spring AI, all text": (
        {**CHAT, "gen_ai.usage.input_tokens": "1000", "gen_ai.usage.output_tokens": "10"},
        (1000, 10, None, None, None),
    ),
    "@inference/tracing": (
        {
            "inference.observation_kind": "LLM",
            f"{INFERENCE}input_tokens": 1000,
            f"{INFERENCE}output_tokens": 10,
            f"{INFERENCE}cached_input_tokens": 800,
            f"{INFERENCE}reasoning_output_tokens": 4,
        },
        (1000, 10, 800, None, 4),
    ),
}


@pytest.mark.parametrize(("attributes", "counted"), USAGE.values(), ids=USAGE)
def test_it_counts_tokens(sender: Sender, attributes: dict[str, Any], counted: tuple[int | None, ...]) -> None:
    sender.send(span(attributes))
    row = sender.row()
    found = (row.input_tokens, row.output_tokens, row.cached_tokens, row.cache_write_tokens, row.reasoning_tokens)
    assert tuple(count or 0 for count in found) == tuple(count or 0 for count in counted)


USER = {"role": "user", "content": "A question?"}
ANSWER = {"role": "assistant", "content": "An answer."}
PARTS = [{"role": "user", "parts": [{"type": "text", "content": "A question?"}]}]
ADK = "gcp.vertex.agent."
SAID = [("user", "A question?"), ("assistant", "An answer.")]

TEXTS: dict[str, dict[str, Any]] = {
    "OpenInference, flattened": {
        "openinference.span.kind": "LLM",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "A question?",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "An answer.",
    },
    "OpenInference, values": {
        "openinference.span.kind": "LLM",
        "input.value": json.dumps({"messages": [USER]}),
        "output.value": json.dumps({"choices": [{"message": ANSWER}]}),
    },
    "OpenLLMetry": {
        "llm.request.type": "chat",
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "A question?",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "An answer.",
    },
    "OpenLLMetry, before the conventions": {
        "llm.request.type": "chat",
        "llm.prompts.0.role": "user",
        "llm.prompts.0.content": "A question?",
        "llm.completions.0.role": "assistant",
        "llm.completions.0.content": "An answer.",
    },
    "Vercel": {
        **VERCEL,
        "ai.prompt.messages": json.dumps([{"role": "user", "content": [{"type": "text", "text": "A question?"}]}]),
        "ai.response.text": "An answer.",
    },
    "Vercel, before 4": {
        **VERCEL,
        "ai.prompt.messages": json.dumps([USER]),
        "ai.result.text": "An answer.",
    },
    "Pydantic AI 3": {
        **CHAT,
        "gen_ai.input.messages": json.dumps(PARTS),
        "gen_ai.output.messages": json.dumps(
            [{"role": "assistant", "parts": [{"type": "text", "content": "An answer."}]}]
        ),
    },
    "Pydantic AI 1": {
        **CHAT,
        "events": json.dumps(
            [
                {
                    "content": "A question?",
                    "role": "user",
                    "gen_ai.message.index": 0,
                    "event.name": "gen_ai.user.message",
                },
                {"index": 0, "message": ANSWER, "event.name": "gen_ai.choice"},
            ]
        ),
    },
    "Google ADK": {
        "gen_ai.system": "gcp.vertex.agent",
        "gen_ai.request.model": "gemini-2.5-flash",
        "gen_ai.usage.input_tokens": 11,
        f"{ADK}llm_request": json.dumps({"contents": [{"role": "user", "parts": [{"text": "A question?"}]}]}),
        f"{ADK}llm_response": json.dumps({"content": {"role": "model", "parts": [{"text": "An answer."}]}}),
    },
    "LangSmith": {
        "langsmith.span.kind": "llm",
        "gen_ai.prompt": json.dumps({"messages": [USER]}),
        "gen_ai.completion": json.dumps({"choices": [{"message": ANSWER}]}),
    },
    "LangChain through LangSmith": {
        "langsmith.span.kind": "llm",
        "gen_ai.prompt": json.dumps(
            {
                "messages": [
                    [
                        {
                            "lc": 1,
                            "type": "constructor",
                            "id": ["langchain", "schema", "messages", "HumanMessage"],
                            "kwargs": {"content": "A question?", "type": "human"},
                        }
                    ]
                ]
            }
        ),
        "gen_ai.completion": json.dumps(
            {
                "generations": [
                    [
                        {
                            "text": "An answer.",
                            "type": "ChatGeneration",
                            "message": {
                                "lc": 1,
                                "type": "constructor",
                                "id": ["langchain", "schema", "messages", "AIMessage"],
                                "kwargs": {"content": "An answer.", "type": "ai"},
                            },
                        }
                    ]
                ]
            }
        ),
    },
    "Langfuse": {
        "langfuse.observation.type": "generation",
        "langfuse.observation.input": json.dumps([USER]),
        "langfuse.observation.output": json.dumps(ANSWER),
    },
    "Langfuse, plain": {
        "langfuse.observation.type": "generation",
        "langfuse.observation.input": "A question?",
        "langfuse.observation.output": "An answer.",
    },
    "Pydantic AI's agent run": {
        "gen_ai.operation.name": "invoke_agent",
        "agent_name": "support",
        "pydantic_ai.all_messages": json.dumps(
            [*PARTS, {"role": "assistant", "parts": [{"type": "text", "content": "An answer."}]}]
        ),
        "final_result": "An answer.",
    },
    "Logfire's OpenAI": {
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 11,
        "request_data": json.dumps({"model": "gpt-4o", "messages": [USER], "stream": False}),
        "response_data": json.dumps({"message": ANSWER, "usage": {"prompt_tokens": 11}}),
    },
    "Semantic Kernel's agent": {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.invocation_input": json.dumps([USER]),
        "gen_ai.agent.invocation_output": json.dumps([ANSWER]),
    },
}


@pytest.mark.parametrize("attributes", TEXTS.values(), ids=TEXTS)
def test_it_reads_what_was_said(sender: Sender, attributes: dict[str, Any]) -> None:
    sender.send(span(attributes))
    assert sender.said() == SAID
    assert sender.trace.input_preview == "A question?"


def test_an_agent_that_repeats_its_calls_is_shown_once(sender: Sender) -> None:
    answer = {"role": "assistant", "parts": [{"type": "text", "content": "An answer."}]}
    run = TEXTS["Pydantic AI's agent run"]
    call = CHAT | {"gen_ai.input.messages": json.dumps(PARTS), "gen_ai.output.messages": json.dumps([answer])}
    sender.send(span(run, seconds=3), span(call, number=2, parent=1, at=1))
    assert sender.said() == SAID


TOOLS: dict[str, dict[str, Any]] = {
    "conventions": {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "roll",
        "gen_ai.tool.call.arguments": '{"sides": 6}',
        "gen_ai.tool.call.result": "four",
    },
    "conventions, structured": {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "roll",
        "gen_ai.tool.call.arguments": {"sides": 6},
        "gen_ai.tool.call.result": {"rolled": "four"},
    },
    "OpenInference": {
        "openinference.span.kind": "TOOL",
        "tool.name": "roll",
        "tool.parameters": '{"sides": 6}',
        "output.value": "four",
    },
    "Pydantic AI": {"gen_ai.tool.name": "roll", "tool_arguments": '{"sides": 6}', "tool_response": "four"},
    "Google ADK": {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "roll",
        f"{ADK}tool_call_args": '{"sides": 6}',
        f"{ADK}tool_response": '{"result": "four"}',
    },
    "Vercel": {
        "ai.operationId": "ai.toolCall",
        "ai.toolCall.name": "roll",
        "ai.toolCall.args": '{"sides": 6}',
        "ai.toolCall.result": '"four"',
    },
    "OpenLLMetry": {
        "traceloop.span.kind": "tool",
        "traceloop.entity.name": "roll",
        "traceloop.entity.input": '{"inputs": {"sides": 6}}',
        "traceloop.entity.output": '{"output": "four"}',
    },
    "LiveKit": {
        "lk.function_tool.name": "roll",
        "lk.function_tool.arguments": '{"sides": 6}',
        "lk.function_tool.output": "four",
    },
    "Langfuse": {
        "langfuse.observation.type": "tool",
        "langfuse.observation.input": '{"sides": 6}',
        "langfuse.observation.output": "four",
    },
    "Spring AI": {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "roll",
        "spring.ai.tool.call.arguments": '{"sides": 6}',
        "spring.ai.tool.call.result": "four",
    },
}


@pytest.mark.parametrize("attributes", TOOLS.values(), ids=TOOLS)
def test_it_reads_what_a_tool_was_given_and_gave(sender: Sender, attributes: dict[str, Any]) -> None:
    sender.send(span(attributes, name="roll"))
    (message,) = sender.transcript()
    (called,) = message.tool_calls
    assert (sender.row().kind, called.name) == ("TOOL", "roll")
    assert "sides" in called.arguments
    assert "four" in (called.result or "")


@pytest.mark.parametrize(
    ("attributes", "answer"),
    [
        ({"ai.operationId": "ai.generateObject.doGenerate", "ai.response.object": '{"answer": "42"}'}, "42"),
        ({"ai.operationId": "ai.streamObject.doStream", "ai.response.object": '["42"]'}, "42"),
        ({"ai.operationId": "ai.generateObject", "ai.response.object": '{"answer": "42"}'}, "42"),
        ({**CHAT, "final_result": "42"}, "42"),
    ],
    ids=range(4),
)
def test_an_answer_may_be_an_object(sender: Sender, attributes: dict[str, Any], answer: str) -> None:
    sender.send(span(attributes))
    assert answer in sender.shown()
    assert sender.trace.output_preview


@pytest.mark.parametrize(
    ("attributes", "session", "user"),
    [
        ({"session.id": "s", "user.id": "u"}, "s", "u"),
        ({"gen_ai.conversation.id": "s", "enduser.id": "u"}, "s", "u"),
        ({"langsmith.trace.session_id": "s"}, "s", ""),
        ({"gcp.vertex.agent.session_id": "s"}, "s", ""),
        (
            {"traceloop.association.properties.session_id": "s", "traceloop.association.properties.user_id": "u"},
            "s",
            "u",
        ),
        ({"ai.telemetry.metadata.sessionId": "s", "ai.telemetry.metadata.userId": "u"}, "s", "u"),
        ({"session.id": 42, "user.id": 7}, "42", "7"),
        ({"session.id": "", "gen_ai.conversation.id": "s"}, "s", ""),
        ({"langfuse.session.id": "s", "langfuse.user.id": "u"}, "s", "u"),
        ({"langfuse.trace.metadata.langfuse_session_id": "x"}, "", ""),
    ],
    ids=range(10),
)
def test_it_reads_session_and_user(sender: Sender, attributes: dict[str, Any], session: str, user: str) -> None:
    sender.send(span(attributes))
    assert (sender.row().session_key, sender.row().user) == (session, user)


@pytest.mark.parametrize(
    ("attributes", "tool_calls"),
    [
        (
            {
                "llm.output_messages.0.message.role": "assistant",
                "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "roll",
                "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"sides": 6}',
            },
            [("roll", "sides")],
        ),
        (
            {
                "gen_ai.completion.0.role": "assistant",
                "gen_ai.completion.0.tool_calls.0.name": "roll",
                "gen_ai.completion.0.tool_calls.0.arguments": '{"sides": 6}',
                "gen_ai.completion.0.tool_calls.1.name": "flip",
                "gen_ai.completion.0.tool_calls.1.arguments": '{"coin": 1}',
            },
            [("roll", "sides"), ("flip", "coin")],
        ),
        (
            {"ai.response.toolCalls": json.dumps([{"toolCallId": "c", "toolName": "roll", "args": '{"sides": 6}'}])},
            [("roll", "sides")],
        ),
        (
            {"ai.response.toolCalls": json.dumps([{"toolCallId": "c", "toolName": "roll", "input": {"sides": 6}}])},
            [("roll", "sides")],
        ),
        (
            {
                "gen_ai.output.messages": json.dumps(
                    [
                        {
                            "role": "assistant",
                            "parts": [{"type": "tool_call", "id": "c", "name": "roll", "arguments": {"sides": 6}}],
                        }
                    ]
                )
            },
            [("roll", "sides")],
        ),
    ],
    ids=["OpenInference", "OpenLLMetry", "Vercel 4", "Vercel 5", "conventions"],
)
def test_it_reads_calls_that_a_model_asks_for(
    sender: Sender, attributes: dict[str, Any], tool_calls: list[tuple[str, str]]
) -> None:
    sender.send(span({"openinference.span.kind": "LLM"} | attributes))
    called = [call for message in sender.transcript() for call in message.tool_calls]
    assert [call.name for call in called] == [name for name, _ in tool_calls]
    assert all(word in call.arguments for call, (_, word) in zip(called, tool_calls, strict=True))


@pytest.mark.parametrize(
    ("sent", "status", "expected"),
    [
        ({"level": "ERROR", "status_message": "No such order."}, None, ("error", "No such order.")),
        ({"level": "ERROR"}, None, ("error", "")),
        ({"level": "WARNING", "status_message": "Slow."}, None, ("unset", "")),
        ({"level": "ERROR", "status_message": "A"}, {"code": 2, "message": "B"}, ("error", "B")),
        ({"level": "ERROR"}, {"code": 1}, ("ok", "")),
    ],
)
def test_langfuse_tells_failures_by_a_level(
    sender: Sender, sent: dict[str, str], status: Any, expected: tuple[str, str]
) -> None:
    about = {f"langfuse.observation.{name}": value for name, value in sent.items()}
    each = span({"langfuse.observation.type": "span"} | about)
    sender.send(each | ({"status": status} if status else {}))
    assert (sender.row().status, sender.row().status_message) == expected
    assert sender.trace.status == expected[0]


def test_langfuse_tells_text_and_release_of_a_trace_on_its_root(sender: Sender) -> None:
    told = {"langfuse.trace.input": "Where is it?", "langfuse.trace.output": "On its way.", "langfuse.release": "1.2"}
    sender.send(span({"langfuse.observation.type": "agent"} | told))
    assert sender.said() == [("user", "Where is it?"), ("assistant", "On its way.")]
    assert sender.trace.service_version == "1.2"
