"""Agno, instrumented by OpenInference."""


def find_order(order_id: str) -> str:
    """Find an order."""
    return "It arrives on Tuesday."


# guide
from agno.agent import Agent
from agno.models.openai import OpenAIChat
from openinference.instrumentation.agno import AgnoInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
AgnoInstrumentor().instrument(tracer_provider=provider)

agent = Agent(
    name="support",
    model=OpenAIChat(id="gpt-4o-mini"),
    instructions="You help customers of a shop.",
    tools=[find_order],
)
agent.run("Where is order 1234?", session_id="chat-42", user_id="user-7")
provider.shutdown()
# end
