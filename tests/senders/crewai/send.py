"""CrewAI, instrumented by OpenInference, with OpenAI's client for the calls of the model."""

from crewai.tools import tool


@tool("find_order")
def find_order(order_id: str) -> str:
    """Find an order."""
    return "It arrives on Tuesday."


# guide
from crewai import Agent, Crew, Task
from openinference.instrumentation import using_attributes
from openinference.instrumentation.crewai import CrewAIInstrumentor
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
CrewAIInstrumentor().instrument(tracer_provider=provider)
OpenAIInstrumentor().instrument(tracer_provider=provider)

agent = Agent(
    role="support",
    goal="Help customers of a shop.",
    backstory="You know all orders.",
    llm="openai/gpt-4o-mini",
    tools=[find_order],
)
task = Task(description="Where is order 1234?", expected_output="A sentence.", agent=agent)
with using_attributes(session_id="chat-42", user_id="user-7"):
    Crew(agents=[agent], tasks=[task]).kickoff()
provider.shutdown()
# end
