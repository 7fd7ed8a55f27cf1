"""AutoGen, which makes spans of agents and tools itself, with OpenTelemetry's for OpenAI's client."""

import asyncio


async def find_order(order_id: str) -> str:
    """Find an order."""
    return "It arrives on Tuesday."


# guide
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
OpenAIInstrumentor().instrument(tracer_provider=provider)


async def answer(question: str) -> None:
    agent = AssistantAgent(
        "support",
        OpenAIChatCompletionClient(model="gpt-4o-mini"),
        system_message="You help customers of a shop.",
        tools=[find_order],
        reflect_on_tool_use=True,
    )
    await agent.run(task=question)


identity = {"session.id": "chat-42", "user.id": "user-7"}
with trace.get_tracer("shop").start_as_current_span("answer", attributes=identity):
    asyncio.run(answer("Where is order 1234?"))
provider.shutdown()
# end
