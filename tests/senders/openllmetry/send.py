"""OpenLLMetry around OpenAI's own client."""

import openai
from traceloop.sdk.decorators import tool

FIND_ORDER = {
    "type": "function",
    "function": {
        "name": "find_order",
        "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
    },
}

# guide
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import agent

Traceloop.init(app_name="shop")  # with TRACELOOP_BASE_URL=$CATALYST and TRACELOOP_HEADERS="Authorization=Bearer $KEY"
client = openai.OpenAI()


@tool(name="find_order")
def find_order(order_id: str) -> str:
    return "It arrives on Tuesday."


@agent(name="support")
def answer(question: str) -> str:
    Traceloop.set_association_properties({"session_id": "chat-42", "user_id": "user-7"})
    messages = [{"role": "system", "content": "You help customers of a shop."}, {"role": "user", "content": question}]
    asked = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[FIND_ORDER])
    call = asked.choices[0].message
    messages += [call, {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": find_order(order_id="1234")}]
    done = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[FIND_ORDER])
    return done.choices[0].message.content


answer("Where is order 1234?")
# end
