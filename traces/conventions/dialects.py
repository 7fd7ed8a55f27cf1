"""How senders name things: a dialect for each convention or framework.

A dialect lists attribute names by our column, in order of preference, and the words by which it tells the kind of a
span. Dialects come in order of preference, too. Empty values count as absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

type Names = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to name things. `source`: where it is defined.

    `names`: attributes by column. `late_names`: those that any other dialect's name precedes. `kinds`: kinds by exact
    word. `scopes`: parts of the names of instrumentation scopes whose spans with a model are model calls.
    """

    name: str
    source: str
    names: Names = field(default_factory=dict)
    late_names: Names = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    scopes: tuple[str, ...] = ()


CATALYST = Dialect(
    "Catalyst",
    "https://pypi.org/project/catalyst-tracing/",
    names={
        "agent_id": ("agent.id",),
        "agent_name": ("agent.name",),
        "outcome": ("agent.outcome",),
    },
)
OPENTELEMETRY = Dialect(
    "OpenTelemetry",
    "https://opentelemetry.io/docs/specs/semconv/",
    names={
        "session": ("session.id",),
        "user": ("user.id", "enduser.id"),
        "service": ("service.name",),
        "service_version": ("service.version",),
        "environment": ("deployment.environment.name", "deployment.environment"),
    },
)
OPENINFERENCE = Dialect(
    "OpenInference",
    "https://github.com/Arize-ai/openinference/tree/main/spec",
    names={
        "metadata": ("metadata",),
        "model": ("llm.model_name",),
        "provider": ("llm.provider",),
        "input_tokens": ("llm.token_count.prompt",),
        "output_tokens": ("llm.token_count.completion",),
        "total_tokens": ("llm.token_count.total",),
        "cached_tokens": ("llm.token_count.prompt_details.cache_read",),
        "cache_write_tokens": ("llm.token_count.prompt_details.cache_write",),
        "reasoning_tokens": ("llm.token_count.completion_details.reasoning",),
        "cost": ("llm.cost.total",),
        "input_cost": ("llm.cost.prompt",),
        "output_cost": ("llm.cost.completion",),
        "input": ("input.value", "tool.parameters"),
        "output": ("output.value",),
        "kind": ("openinference.span.kind",),
        "tool": ("tool.name",),
        "agent_node": ("graph.node.name", "graph.node.id"),
    },
    late_names={
        "provider": ("llm.system",),
        "model": ("embedding.model_name", "reranker.model_name"),
    },
)
GENAI = Dialect(
    "GenAI conventions",
    "https://opentelemetry.io/docs/specs/semconv/gen-ai/, all versions",
    names={
        "other_agent_id": ("gen_ai.agent.id",),
        "other_agent_name": ("gen_ai.agent.name",),
        "session": ("gen_ai.conversation.id",),
        "model": ("gen_ai.response.model", "gen_ai.request.model"),
        "provider": ("gen_ai.provider.name", "gen_ai.system"),
        "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
        "total_tokens": ("gen_ai.usage.total_tokens", "llm.usage.total_tokens"),
        "cached_tokens": (
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.cached_tokens",
            "gen_ai.usage.input_tokens.cached",
        ),
        "cache_write_tokens": (
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
            "gen_ai.usage.cache_write_input_tokens",
        ),
        "reasoning_tokens": (
            "gen_ai.usage.reasoning.output_tokens",
            "gen_ai.usage.reasoning_tokens",
            "gen_ai.usage.output_tokens.reasoning",
        ),
        "cost": ("gen_ai.usage.cost", "gen_ai.cost.total_cost"),
        "input": ("gen_ai.tool.call.arguments",),
        "output": ("gen_ai.tool.call.result",),
        "operation": ("gen_ai.operation.name",),
        "tool": ("gen_ai.tool.name",),
    },
    late_names={"input": ("gen_ai.prompt",), "output": ("gen_ai.completion",)},
    kinds={
        "create_agent": "AGENT",
        "invoke_agent": "AGENT",
        "invoke_workflow": "CHAIN",
        "execute_tool": "TOOL",
    },
    # OpenTelemetry's own instrumentations of clients of models.
    scopes=(
        *("openai", "anthropic", "bedrock", "mistral", "cohere", "ollama", "groq", "vertexai", "google_genai"),
        *("google-genai", "generativeai", "litellm", "langchain", "together", "watsonx", "sagemaker"),
    ),
)
INFERENCE = Dialect(
    "@inference/tracing",
    "https://www.npmjs.com/package/@inference/tracing",
    names={
        "other_agent_id": ("inference.agent_id",),
        "other_agent_name": ("inference.agent_name",),
        "session": ("inference.session_id",),
        "user": ("inference.user_id",),
        "model": ("inference.llm.model_name",),
        "provider": ("inference.llm.provider",),
        "input_tokens": ("inference.llm.input_tokens",),
        "output_tokens": ("inference.llm.output_tokens",),
        "cached_tokens": ("inference.llm.cached_input_tokens",),
        "reasoning_tokens": ("inference.llm.reasoning_output_tokens",),
        "cost": ("inference.llm.cost.total",),
        "kind": ("inference.observation_kind", "inference.observation.kind"),
    },
)
OPENLLMETRY = Dialect(
    "OpenLLMetry (Traceloop)",
    "https://github.com/traceloop/openllmetry",
    names={
        "session": ("traceloop.association.properties.session_id",),
        "user": ("traceloop.association.properties.user_id",),
        "input_tokens": ("llm.usage.prompt_tokens",),
        "output_tokens": ("llm.usage.completion_tokens",),
        "reasoning_tokens": ("llm.usage.reasoning_tokens",),
        "cached_tokens": ("llm.usage.cache_read_input_tokens",),
        "cache_write_tokens": ("llm.usage.cache_creation_input_tokens",),
        "input": ("traceloop.entity.input",),
        "output": ("traceloop.entity.output",),
        "kind": ("traceloop.span.kind",),
        "operation": ("llm.request.type",),
    },
    kinds={"workflow": "CHAIN", "task": "CHAIN", "agent": "AGENT", "tool": "TOOL"},
)
VERCEL = Dialect(
    "Vercel AI SDK",
    "https://ai-sdk.dev/docs/ai-sdk-core/telemetry",
    names={
        "other_agent_name": ("ai.telemetry.functionId",),
        "session": ("ai.telemetry.metadata.sessionId",),
        "user": ("ai.telemetry.metadata.userId",),
        "model": ("ai.response.model", "ai.model.id"),
        "provider": ("ai.model.provider",),
        "input_tokens": ("ai.usage.promptTokens", "ai.usage.inputTokens", "ai.usage.tokens"),
        "output_tokens": ("ai.usage.completionTokens", "ai.usage.outputTokens"),
        "total_tokens": ("ai.usage.totalTokens",),
        "cached_tokens": ("ai.usage.cachedInputTokens", "ai.usage.inputTokenDetails.cacheReadTokens"),
        "cache_write_tokens": ("ai.usage.inputTokenDetails.cacheWriteTokens",),
        "reasoning_tokens": ("ai.usage.reasoningTokens", "ai.usage.outputTokenDetails.reasoningTokens"),
        "input": ("ai.toolCall.args", "ai.prompt", "ai.value", "ai.values"),
        "output": (
            *("ai.toolCall.result", "ai.response.text", "ai.response.object", "ai.response.toolCalls"),
            *("ai.result.text", "ai.result.object"),
        ),
        "operation": ("ai.operationId",),
        "tool": ("ai.toolCall.name",),
    },
    kinds={
        "ai.generateText": "CHAIN",
        "ai.streamText": "CHAIN",
        "ai.generateObject": "CHAIN",
        "ai.streamObject": "CHAIN",
        "agent_step": "CHAIN",
        "ai.toolCall": "TOOL",
        "ai.embed": "EMBEDDING",
        "ai.embedMany": "EMBEDDING",
    },
)
PYDANTIC_AI = Dialect(
    "Pydantic AI",
    "https://ai.pydantic.dev/logfire/",
    names={
        "other_agent_name": ("agent_name",),
        "cached_tokens": (
            "gen_ai.usage.details.cache_read_tokens",
            "gen_ai.usage.details.cached_tokens",
            "gen_ai.usage.details.cache_read_input_tokens",
        ),
        "cache_write_tokens": (
            "gen_ai.usage.details.cache_write_tokens",
            "gen_ai.usage.details.cache_creation_input_tokens",
        ),
        "reasoning_tokens": ("gen_ai.usage.details.reasoning_tokens",),
        "input": ("tool_arguments",),
        "output": ("tool_response", "final_result"),
        "cost": ("operation.cost",),
    },
    # Of Logfire's instrumentations of clients of models.
    late_names={"input": ("request_data",), "output": ("response_data",)},
)
GOOGLE_ADK = Dialect(
    "Google ADK",
    "https://github.com/google/adk-python, telemetry/tracing.py",
    names={
        "session": ("gcp.vertex.agent.session_id",),
        "input": ("gcp.vertex.agent.tool_call_args", "gcp.vertex.agent.llm_request"),
        "output": ("gcp.vertex.agent.tool_response", "gcp.vertex.agent.llm_response"),
    },
)
LANGCHAIN = Dialect(
    "LangChain and LangSmith",
    "https://docs.smith.langchain.com/",
    names={
        "kind": ("langchain.run_type", "langsmith.span.kind"),
        "session": ("langsmith.trace.session_id",),
        "input_details": ("gen_ai.usage.input_token_details",),
        "output_details": ("gen_ai.usage.output_token_details",),
    },
    kinds={"prompt": "PROMPT", "parser": "CHAIN"},
)
LIVEKIT = Dialect(
    "LiveKit Agents",
    "https://docs.livekit.io/agents/",
    names={
        "other_agent_name": ("lk.agent_name",),
        "input": ("lk.function_tool.arguments", "lk.user_input"),
        "output": ("lk.function_tool.output", "lk.response.text"),
        "tool": ("lk.function_tool.name",),
    },
)
# A call of a model, in newer versions a step around several calls.
GENERATION = "model_generation"
_MASTRA_SPANS = ("agent_run", GENERATION, "model_step", "workflow_run", "workflow_step", "processor_run")
MASTRA = Dialect(
    "Mastra",
    "https://mastra.ai/docs/observability",
    names={
        "session": ("mastra.metadata.sessionId",),
        "user": ("mastra.metadata.userId", "mastra.metadata.resourceId"),
        "input": ("mastra.input", *(f"mastra.{kind}.input" for kind in _MASTRA_SPANS)),
        "output": ("mastra.output", *(f"mastra.{kind}.output" for kind in _MASTRA_SPANS)),
        "kind": ("mastra.span.type",),
    },
    kinds={
        "agent_run": "AGENT",
        GENERATION: "LLM",
        "model_step": "CHAIN",
        "model_chunk": "SPAN",
        "tool_call": "TOOL",
        "mcp_tool_call": "TOOL",
        "workflow_run": "CHAIN",
    },
)
CREWAI = Dialect(
    "CrewAI",
    "https://docs.crewai.com/",
    names={"other_agent_name": ("crewai.agent.role", "agent_role")},
    late_names={"input": ("crew_tasks",)},
)
SEMANTIC_KERNEL = Dialect(
    "Semantic Kernel and Agent Framework",
    "https://learn.microsoft.com/semantic-kernel/",
    names={
        "input": ("gen_ai.agent.invocation_input",),
        "output": ("gen_ai.agent.invocation_output",),
    },
)
LANGFUSE = Dialect(
    "Langfuse",
    "https://github.com/langfuse/langfuse, LangfuseOtelSpanAttributes",
    names={
        "session": ("langfuse.session.id",),
        "user": ("langfuse.user.id",),
        "environment": ("langfuse.environment",),
        "model": ("langfuse.observation.model.name",),
        "usage_details": ("langfuse.observation.usage_details",),
        "cost_details": ("langfuse.observation.cost_details",),
        "input": ("langfuse.observation.input", "langfuse.trace.input"),
        "output": ("langfuse.observation.output", "langfuse.trace.output"),
        "service_version": ("langfuse.release",),
        "level": ("langfuse.observation.level",),
        "level_message": ("langfuse.observation.status_message",),
        "kind": ("langfuse.observation.type",),
    },
    kinds={"generation": "LLM", "span": "SPAN", "event": "SPAN"},
)
SPRING_AI = Dialect(
    "Spring AI",
    "https://docs.spring.io/spring-ai/reference/observability/",
    names={"input": ("spring.ai.tool.call.arguments",), "output": ("spring.ai.tool.call.result",)},
)
OTHERS = Dialect(
    "Other senders",
    "Cursor, ElevenLabs and chat services",
    late_names={
        "other_agent_id": ("elevenlabs.agent_id",),
        "session": (
            *("conversation.id", "conversation_id", "elevenlabs.conversation_id", "cursor.run_id"),
            *("chat.id", "chat_id"),
        ),
        "user": ("elevenlabs.user_id",),
    },
)

DIALECTS = (
    CATALYST,
    OPENTELEMETRY,
    OPENINFERENCE,
    GENAI,
    INFERENCE,
    OPENLLMETRY,
    VERCEL,
    PYDANTIC_AI,
    GOOGLE_ADK,
    LANGCHAIN,
    LIVEKIT,
    MASTRA,
    CREWAI,
    SEMANTIC_KERNEL,
    LANGFUSE,
    SPRING_AI,
    OTHERS,
)


def _merged() -> Names:
    names: dict[str, dict[str, None]] = {}
    for listed in (*(dialect.names for dialect in DIALECTS), *(dialect.late_names for dialect in DIALECTS)):
        for column, own in listed.items():
            names.setdefault(column, {}).update(dict.fromkeys(own))
    return {column: tuple(own) for column, own in names.items()}


NAMES = _merged()
"""Attribute names by column, in order of preference."""
KIND_WORDS = {word: kind for dialect in DIALECTS for word, kind in dialect.kinds.items()}
SCOPES = tuple(scope for dialect in DIALECTS for scope in dialect.scopes)
# OpenInference marks each method of LlamaIndex's models as a call, also the one that only prepares it.
PREPARATION = "._prepare_chat_with_tools"
OUTCOMES = {"success": "success", "failure": "failure", "error": "failure"}


def as_table() -> str:
    """The table of docs/reference/dialects.md."""
    lines = ["| dialect | columns that it names | where it is defined |", "|---|---|---|"]
    for dialect in DIALECTS:
        columns = sorted({*dialect.names, *dialect.late_names, *(["kind"] if dialect.kinds else [])})
        lines.append(f"| {dialect.name} | {', '.join(columns)} | {dialect.source} |")
    lines += ["", "| column | attributes, in order of preference |", "|---|---|"]
    for column, names in NAMES.items():
        lines.append(f"| {column} | {', '.join(f'`{name}`' for name in names)} |")
    return "\n".join(lines) + "\n"
