"""Attribute names to our columns: one table for OpenInference, OpenTelemetry GenAI and everybody else's.

Names are listed in order of preference; empty values count as absent. Sources:
https://github.com/Arize-ai/openinference/tree/main/spec, https://opentelemetry.io/docs/specs/semconv/gen-ai/ and what
SDKs were seen to send.
"""

NAMES = {
    "agent_id": ("agent.id",),
    "agent_name": ("agent.name",),
    "other_agent_id": ("gen_ai.agent.id", "inference.agent_id", "elevenlabs.agent_id"),
    "other_agent_name": ("gen_ai.agent.name", "inference.agent_name", "ai.telemetry.functionId", "lk.agent_name"),
    "session": (
        "session.id",
        "gen_ai.conversation.id",
        "inference.session_id",
        "traceloop.association.properties.session_id",
        "ai.telemetry.metadata.sessionId",
        "conversation.id",
        "conversation_id",
        "elevenlabs.conversation_id",
        "cursor.run_id",
        "chat.id",
        "chat_id",
    ),
    "user": (
        "user.id",
        "enduser.id",
        "inference.user_id",
        "traceloop.association.properties.user_id",
        "ai.telemetry.metadata.userId",
        "elevenlabs.user_id",
    ),
    "service": ("service.name",),
    "environment": ("deployment.environment.name", "deployment.environment"),
    "outcome": ("agent.outcome",),
    "metadata": ("metadata",),
    "model": (
        "llm.model_name",
        "gen_ai.response.model",
        "gen_ai.request.model",
        "inference.llm.model_name",
        "ai.response.model",
        "ai.model.id",
        "embedding.model_name",
        "reranker.model_name",
    ),
    "provider": (
        "llm.provider",
        "gen_ai.provider.name",
        "gen_ai.system",
        "llm.system",
        "inference.llm.provider",
        "ai.model.provider",
    ),
    "input_tokens": (
        "llm.token_count.prompt",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "inference.llm.input_tokens",
        "ai.usage.promptTokens",
        "ai.usage.inputTokens",
    ),
    "output_tokens": (
        "llm.token_count.completion",
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "inference.llm.output_tokens",
        "ai.usage.completionTokens",
        "ai.usage.outputTokens",
    ),
    "cached_tokens": (
        "llm.token_count.prompt_details.cache_read",
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "inference.llm.cached_input_tokens",
        "ai.usage.cachedInputTokens",
    ),
    "cache_write_tokens": (
        "llm.token_count.prompt_details.cache_write",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
    ),
    "reasoning_tokens": (
        "llm.token_count.completion_details.reasoning",
        "gen_ai.usage.reasoning.output_tokens",
        "inference.llm.reasoning_output_tokens",
        "ai.usage.reasoningTokens",
    ),
    "cost": ("llm.cost.total", "inference.llm.cost.total", "gen_ai.usage.cost"),
    "input": (
        "input.value",
        "gen_ai.tool.call.arguments",
        "traceloop.entity.input",
        "ai.toolCall.args",
        "ai.prompt",
        "gen_ai.prompt",
    ),
    "output": (
        "output.value",
        "gen_ai.tool.call.result",
        "traceloop.entity.output",
        "ai.toolCall.result",
        "ai.response.text",
        "gen_ai.completion",
    ),
    "kind": (
        "openinference.span.kind",
        "inference.observation_kind",
        "inference.observation.kind",
        "traceloop.span.kind",
        "langchain.run_type",
    ),
    "operation": ("gen_ai.operation.name", "ai.operationId"),
    "tool": ("tool.name", "gen_ai.tool.name", "ai.toolCall.name"),
}

KINDS = frozenset(
    "LLM TOOL CHAIN RETRIEVER EMBEDDING AGENT RERANKER GUARDRAIL EVALUATOR PROMPT UNKNOWN SPAN".split()  # noqa: SIM905
)
KIND_WORDS = {
    "chat": "LLM",
    "chat_model": "LLM",
    "completion": "LLM",
    "text_completion": "LLM",
    "generate_content": "LLM",
    "embeddings": "EMBEDDING",
    "execute_tool": "TOOL",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
    "invoke_workflow": "CHAIN",
    "workflow": "CHAIN",
    "task": "CHAIN",
    "ai.generateText.doGenerate": "LLM",
    "ai.streamText.doStream": "LLM",
    "ai.generateObject.doGenerate": "LLM",
    "ai.streamObject.doStream": "LLM",
    "ai.generateText": "CHAIN",
    "ai.streamText": "CHAIN",
    "ai.toolCall": "TOOL",
    "ai.embed": "EMBEDDING",
}
OUTCOMES = {"success": "success", "failure": "failure", "error": "failure"}
