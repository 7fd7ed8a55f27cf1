"""LiteLLM: one call that waits, and one that does not."""

import asyncio

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

import litellm
from litellm.integrations.opentelemetry import OpenTelemetry, OpenTelemetryConfig
from opentelemetry import trace

os.environ["USE_OTEL_LITELLM_REQUEST_SPAN"] = "true"  # else two calls in one span overwrite each other
litellm.callbacks = [OpenTelemetry(OpenTelemetryConfig.from_env())]
tracer = trace.get_tracer("shop")


async def answer(question: str) -> None:
    messages = [{"role": "system", "content": "You help customers of a shop."}, {"role": "user", "content": question}]
    identity = {"agent.name": "support", "session.id": "chat-42", "user.id": "user-7"}
    with tracer.start_as_current_span("answer", attributes=identity):
        asked = litellm.completion(model="gpt-4o-mini", messages=messages, tools=[FIND_ORDER])
        call = asked.choices[0].message
        messages += [call, {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": RESULT}]
        await litellm.acompletion(model="gpt-4o-mini", messages=messages, tools=[FIND_ORDER])
    await asyncio.sleep(1)  # LiteLLM reports a call after it, which a script that ends must wait for


asyncio.run(answer("Where is order 1234?"))
trace.get_tracer_provider().shutdown()
# end
