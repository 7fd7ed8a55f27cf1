"""Google's Agent Development Kit, which makes spans itself."""

import asyncio


def find_order(order_id: str) -> str:
    """Find an order."""
    return "It arrives on Tuesday."


# guide
import os

# Without these, spans of the model have no text.
os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"

from google.adk.agents import Agent
from google.adk.runners import InMemoryRunner
from google.genai import types
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)


async def answer(question: str) -> None:
    agent = Agent(
        name="support",
        model="gemini-2.5-flash",
        instruction="You help customers of a shop.",
        tools=[find_order],
    )
    runner = InMemoryRunner(agent, app_name="shop")
    await runner.session_service.create_session(app_name="shop", user_id="user-7", session_id="chat-42")
    said = types.Content(role="user", parts=[types.Part(text=question)])
    with trace.get_tracer("shop").start_as_current_span("answer", attributes={"user.id": "user-7"}):
        async for _ in runner.run_async(user_id="user-7", session_id="chat-42", new_message=said):
            pass


asyncio.run(answer("Where is order 1234?"))
provider.shutdown()
# end
