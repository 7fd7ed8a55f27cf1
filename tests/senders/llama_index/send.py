"""LlamaIndex, instrumented by OpenInference."""

import asyncio


def find_order(order_id: str) -> str:
    """Find an order."""
    return "It arrives on Tuesday."


# guide
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai import OpenAI
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
LlamaIndexInstrumentor().instrument(tracer_provider=provider)
tracer = provider.get_tracer("shop")


async def answer(question: str) -> None:
    agent = FunctionAgent(
        name="support",
        llm=OpenAI("gpt-4o-mini"),
        system_prompt="You help customers of a shop.",
        tools=[find_order],
        streaming=False,
    )
    identity = {"agent.name": "support", "session.id": "chat-42", "user.id": "user-7", "input.value": question}
    with tracer.start_as_current_span("answer", attributes=identity) as span:
        span.set_attribute("output.value", str(await agent.run(question)))


asyncio.run(answer("Where is order 1234?"))
provider.shutdown()
# end
