"""Semantic Kernel, which makes spans itself."""

import asyncio

# guide
import os

# Before the first import of Semantic Kernel.
os.environ["SEMANTICKERNEL_EXPERIMENTAL_GENAI_ENABLE_OTEL_DIAGNOSTICS_SENSITIVE"] = "true"

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.functions import kernel_function

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)


class Orders:
    @kernel_function
    def find_order(self, order_id: str) -> str:
        return "It arrives on Tuesday."


agent = ChatCompletionAgent(
    service=OpenAIChatCompletion(ai_model_id="gpt-4o-mini"),
    name="support",
    instructions="You help customers of a shop.",
    plugins=[Orders()],
)
identity = {"session.id": "chat-42", "user.id": "user-7"}
with trace.get_tracer("shop").start_as_current_span("answer", attributes=identity):
    asyncio.run(agent.get_response("Where is order 1234?"))
provider.shutdown()
# end
