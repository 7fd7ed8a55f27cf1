"""Strands Agents, which makes spans itself."""

from strands import tool


@tool
def find_order(order_id: str) -> str:
    """Find an order."""
    return "It arrives on Tuesday."


# guide
from strands import Agent
from strands.models.openai import OpenAIModel
from strands.telemetry import StrandsTelemetry

telemetry = StrandsTelemetry()
telemetry.setup_otlp_exporter()

agent = Agent(
    name="support",
    model=OpenAIModel(model_id="gpt-4o-mini"),
    system_prompt="You help customers of a shop.",
    tools=[find_order],
    trace_attributes={"session.id": "chat-42", "user.id": "user-7"},
)
agent("Where is order 1234?")
telemetry.tracer_provider.shutdown()
# end
