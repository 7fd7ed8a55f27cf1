"""Anthropic's client, instrumented by OpenInference."""

FIND_ORDER = {
    "name": "find_order",
    "input_schema": {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
}
RESULT = "It arrives on Tuesday."

# guide
import anthropic
from openinference.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
AnthropicInstrumentor().instrument(tracer_provider=provider)
client = anthropic.Anthropic()
asked = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 500,
    "system": "You help customers of a shop.",
    "tools": [FIND_ORDER],
}
messages = [{"role": "user", "content": "Where is order 1234?"}]
identity = {"agent.name": "support", "session.id": "chat-42", "user.id": "user-7"}
with provider.get_tracer("shop").start_as_current_span("answer", attributes=identity):
    called = client.messages.create(messages=messages, **asked).content
    messages.append({"role": "assistant", "content": called})
    result = {"type": "tool_result", "tool_use_id": called[0].id, "content": RESULT}
    messages.append({"role": "user", "content": [result]})
    client.messages.create(messages=messages, **asked)
provider.shutdown()
# end
