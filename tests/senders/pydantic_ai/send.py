"""Pydantic AI, which makes spans itself."""


def find_order(order_id: str) -> str:
    """Find an order."""
    return "It arrives on Tuesday."


# guide
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic_ai import Agent

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
Agent.instrument_all()

agent = Agent(
    "openai-chat:gpt-4o-mini", name="support", instructions="You help customers of a shop.", tools=[find_order]
)
identity = {"session.id": "chat-42", "user.id": "user-7"}
with trace.get_tracer("shop").start_as_current_span("answer", attributes=identity):
    agent.run_sync("Where is order 1234?")
provider.shutdown()
# end
