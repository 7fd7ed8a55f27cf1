"""OpenAI Agents, instrumented by OpenInference."""

from agents import function_tool


@function_tool
def find_order(order_id: str) -> str:
    """Find an order."""
    return "It arrives on Tuesday."


# guide
from agents import Agent, Runner
from openinference.instrumentation import using_attributes
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)

agent = Agent("support", instructions="You help customers of a shop.", model="gpt-4o-mini", tools=[find_order])
with using_attributes(session_id="chat-42", user_id="user-7"):
    Runner.run_sync(agent, "Where is order 1234?")
provider.shutdown()
# end
