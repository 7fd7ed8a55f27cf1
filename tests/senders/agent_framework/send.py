"""Microsoft's Agent Framework, which makes spans itself."""

import asyncio


def find_order(order_id: str) -> str:
    """Find an order."""
    return "It arrives on Tuesday."


# guide
from agent_framework import Agent
from agent_framework.observability import configure_otel_providers
from agent_framework.openai import OpenAIChatCompletionClient
from opentelemetry import trace

configure_otel_providers(enable_sensitive_data=True)

agent = Agent(
    OpenAIChatCompletionClient(model="gpt-4o-mini"),
    "You help customers of a shop.",
    name="support",
    tools=[find_order],
)
identity = {"session.id": "chat-42", "user.id": "user-7"}
with trace.get_tracer("shop").start_as_current_span("answer", attributes=identity):
    asyncio.run(agent.run("Where is order 1234?"))
trace.get_tracer_provider().shutdown()
# end
