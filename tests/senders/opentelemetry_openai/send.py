"""OpenAI's client, instrumented by OpenTelemetry itself."""

FIND_ORDER = {
    "type": "function",
    "function": {
        "name": "find_order",
        "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
    },
}
RESULT = "It arrives on Tuesday."

# guide
import os

os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"

import openai
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
OpenAIInstrumentor().instrument()
client = openai.OpenAI()

messages = [
    {"role": "system", "content": "You help customers of a shop."},
    {"role": "user", "content": "Where is order 1234?"},
]
identity = {"agent.name": "support", "session.id": "chat-42", "user.id": "user-7"}
with trace.get_tracer("shop").start_as_current_span("answer", attributes=identity):
    asked = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[FIND_ORDER])
    call = asked.choices[0].message
    messages += [call, {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": RESULT}]
    client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[FIND_ORDER])
provider.shutdown()
# end
