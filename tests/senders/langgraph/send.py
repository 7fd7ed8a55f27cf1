"""LangChain's agent, which is a LangGraph graph, instrumented by OpenInference."""

from langchain.tools import tool


@tool
def find_order(order_id: str) -> str:
    """Find an order."""
    return "It arrives on Tuesday."


# guide
from langchain.agents import create_agent
from openinference.instrumentation import using_attributes
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
LangChainInstrumentor().instrument(tracer_provider=provider)

agent = create_agent(
    "openai:gpt-4o-mini", name="support", system_prompt="You help customers of a shop.", tools=[find_order]
)
with using_attributes(session_id="chat-42", user_id="user-7"):
    agent.invoke({"messages": [{"role": "user", "content": "Where is order 1234?"}]})
provider.shutdown()
# end
