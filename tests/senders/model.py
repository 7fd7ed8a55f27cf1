"""A scripted model: it asks for the tool that finds an order, then answers with what the tool found.

Speaks as much of OpenAI's chat completions and responses, of Anthropic and of Gemini as the senders use.
"""

import json
from typing import Any

from tests.senders.loopback import Reply, Request

ARGUMENTS = {"order_id": "1234"}
ANSWER = "Your order arrives on Tuesday."
TOOL = "find_order"
CALL_ID = "call_1"
# The dated name that OpenAI answers to one without a date.
DATE = "-2024-07-18"
CREATED = 1_790_000_000

type Json = dict[str, Any]


def answer(request: Request) -> Reply:
    """Answer a request to any of the supported APIs."""
    path, asked = request.path.partition("?")[0], json.loads(request.body)
    if path.endswith("/chat/completions"):
        return _stream_of_chat(asked) if asked.get("stream") else _as_json(_chat(asked))
    if path.endswith("/responses"):
        return _stream_of_response(asked) if asked.get("stream") else _as_json(_response(asked))
    if path.endswith("/messages"):
        return _as_json(_anthropic(asked))
    if path.endswith(":generateContent"):
        return _as_json(_gemini(asked))
    return Reply("application/json", json.dumps({"error": {"message": f"No such path: {path}"}}).encode(), 404)


def _as_json(body: Json) -> Reply:
    return Reply("application/json", json.dumps(body).encode())


def _tool_to_call(names: list[str], has_result: bool) -> str | None:
    """The name that the framework gave the tool; None once its result is there."""
    return None if has_result else next((name for name in names if TOOL in name), None)


def _counts(is_call: bool) -> tuple[int, int, int]:
    """Tokens of the input, of these from the cache, and of the output."""
    return (100, 0, 20) if is_call else (150, 50, 10)


def _called_in_chat(asked: Json) -> str | None:
    names = [tool["function"]["name"] for tool in asked.get("tools") or []]
    return _tool_to_call(names, any(message["role"] == "tool" for message in asked["messages"]))


def _chat_usage(is_call: bool) -> Json:
    sent, cached, answered = _counts(is_call)
    return {
        "prompt_tokens": sent,
        "completion_tokens": answered,
        "total_tokens": sent + answered,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _chat_message(tool: str | None) -> Json:
    if tool is None:
        return {"role": "assistant", "content": ANSWER, "refusal": None}
    function = {"name": tool, "arguments": json.dumps(ARGUMENTS)}
    call = {"id": CALL_ID, "type": "function", "function": function}
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}


def _chat(asked: Json) -> Json:
    tool = _called_in_chat(asked)
    choice = {"index": 0, "message": _chat_message(tool), "finish_reason": "tool_calls" if tool else "stop"}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": CREATED, "model": asked["model"] + DATE}
    return {**head, "choices": [choice], "usage": _chat_usage(bool(tool))}


def _stream_of_chat(asked: Json) -> Reply:
    whole = _chat(asked)
    message, usage = whole["choices"][0]["message"], whole.pop("usage")
    if "tool_calls" in message:
        message["tool_calls"] = [{"index": 0, **call} for call in message["tool_calls"]]
    head = {**whole, "object": "chat.completion.chunk"}
    ended = {"index": 0, "delta": {}, "finish_reason": whole["choices"][0]["finish_reason"]}
    chunks = [
        {**head, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
        {**head, "choices": [ended]},
        {**head, "choices": [], "usage": usage},
    ]
    lines = [*map(json.dumps, chunks), "[DONE]"]
    return Reply("text/event-stream", "".join(f"data: {line}\n\n" for line in lines).encode())


def _response_output(tool: str | None) -> Json:
    if tool is None:
        part = {"type": "output_text", "text": ANSWER, "annotations": [], "logprobs": []}
        return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    arguments = json.dumps(ARGUMENTS)
    head = {"id": "fc_1", "type": "function_call", "status": "completed"}
    return {**head, "call_id": CALL_ID, "name": tool, "arguments": arguments}


def _response(asked: Json) -> Json:
    given = asked["input"] if isinstance(asked["input"], list) else []
    names = [tool["name"] for tool in asked.get("tools") or []]
    tool = _tool_to_call(names, any(item.get("type") == "function_call_output" for item in given))
    sent, cached, answered = _counts(bool(tool))
    return {
        "id": "resp_1" if tool else "resp_2",
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "metadata": {},
        "model": asked["model"] + DATE,
        "output": [_response_output(tool)],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": asked.get("tools") or [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": sent,
            "input_tokens_details": {"cached_tokens": cached},
            "output_tokens": answered,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sent + answered,
        },
    }


def _stream_of_response(asked: Json) -> Reply:
    whole = _response(asked)
    (item,) = whole["output"]
    started = {**whole, "status": "in_progress", "output": [], "usage": None}
    place = {"output_index": 0, "item_id": item["id"]}
    events: list[Json] = [
        {"type": "response.created", "response": started},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress"}},
    ]
    if item["type"] == "message":
        text = {**place, "content_index": 0}
        delta = {"type": "response.output_text.delta", "delta": ANSWER, "logprobs": []}
        done = {"type": "response.output_text.done", "text": ANSWER, "logprobs": []}
        events += [{**text, **delta}, {**text, **done}]
    else:
        done = {"type": "response.function_call_arguments.done", "arguments": item["arguments"], "name": item["name"]}
        events.append({**place, **done})
    events += [
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    lines = [
        f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n"
        for number, event in enumerate(events)
    ]
    return Reply("text/event-stream", "".join(lines).encode())


def _gemini(asked: Json) -> Json:
    parts = [part for content in asked["contents"] for part in content["parts"]]
    names = [one["name"] for tool in asked.get("tools") or [] for one in tool.get("functionDeclarations", [])]
    tool = _tool_to_call(names, any("functionResponse" in part for part in parts))
    sent, cached, answered = _counts(bool(tool))
    part = {"functionCall": {"id": CALL_ID, "name": tool, "args": ARGUMENTS}} if tool else {"text": ANSWER}
    return {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": sent,
            "cachedContentTokenCount": cached,
            "candidatesTokenCount": answered,
            "totalTokenCount": sent + answered,
        },
        "modelVersion": "gemini-2.5-flash",
        "responseId": "resp_1",
    }


def _anthropic(asked: Json) -> Json:
    parts = [part for message in asked["messages"] for part in message["content"] if isinstance(part, dict)]
    names = [tool["name"] for tool in asked.get("tools") or []]
    tool = _tool_to_call(names, any(part["type"] == "tool_result" for part in parts))
    sent, cached, answered = _counts(bool(tool))
    call = {"type": "tool_use", "id": CALL_ID, "name": tool, "input": ARGUMENTS}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": [call if tool else {"type": "text", "text": ANSWER}],
        "stop_reason": "tool_use" if tool else "end_turn",
        "stop_sequence": None,
        # Anthropic counts cached tokens apart from the others.
        "usage": {
            "input_tokens": sent - cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "output_tokens": answered,
        },
    }
