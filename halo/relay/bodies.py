"""Bodies of requests, in both APIs that models speak. Pure."""

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import orjson

from catalyst.llm import PATH

type Json = dict[str, Any]

FINAL_ANSWER = "final_answer"
ANSWER_WITH_TOOL = (
    f"[The budget of this run is almost used up. Finish now: call the `{FINAL_ANSWER}` tool with your complete report, "
    "from what you know already. There are no other tools any more.]"
)
ANSWER_WITH_TEXT = (
    "[The budget of this run is almost used up. Finish now: write your complete answer, from what you know already. "
    "There are no tools any more.]"
)
_TOOL_OPTIONS = frozenset({"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"})
_OUTPUT_LIMITS = ("max_output_tokens", "max_completion_tokens", "max_tokens")
# Of calls that name no limit.
EXPECTED_OUTPUT_TOKENS = 2_000

# Options that strict servers refuse, and what their error says then.
REFUSABLE: Mapping[str, tuple[bytes, ...]] = {
    "stream_options": (b"stream_options", b"include_usage"),
    "cache_control": (b"cache_control",),
}


class Api(StrEnum):
    RESPONSES = "responses"
    CHAT_COMPLETIONS = "chat_completions"

    @property
    def path(self) -> str:
        return "/responses" if self is Api.RESPONSES else PATH

    @property
    def history(self) -> str:
        """The key of what was said."""
        return "input" if self is Api.RESPONSES else "messages"


def reporting_usage(api: Api, body: Json) -> Json:
    """Ask for the tokens of a streamed chat, which servers report only on request."""
    if api is Api.RESPONSES or not body.get("stream"):
        return body
    options = body.get("stream_options")
    return {**body, "stream_options": {**(options if isinstance(options, dict) else {}), "include_usage": True}}


def finishing(api: Api, body: Json) -> Json:
    """Leave only the tool that ends the run, and say that it is time for it."""
    changed = {name: value for name, value in body.items() if name not in _TOOL_OPTIONS}
    if tools := [tool for tool in _objects(body.get("tools")) if _name_of(tool) == FINAL_ANSWER]:
        changed["tools"] = tools
    said = body.get(api.history)
    said = [{"role": "user", "content": said}] if isinstance(said, str) else list(_objects(said))
    words = ANSWER_WITH_TOOL if tools else ANSWER_WITH_TEXT
    return {**changed, api.history: [*said, {"role": "user", "content": words}]}


def encoded(body: Json) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # numbers beyond 64 bits, and halves of characters
        return json.dumps(body, ensure_ascii=False).encode(errors="replace")


def can_finish(body: Json) -> bool:
    """Whether the answer may end the run: helpers of the analyst have no tool for it."""
    return any(_name_of(tool) == FINAL_ANSWER for tool in _objects(body.get("tools")))


def output_limit(body: Json) -> int:
    limits = [limit for name in _OUTPUT_LIMITS if type(limit := body.get(name)) is int and limit > 0]
    return limits[0] if limits else EXPECTED_OUTPUT_TOKENS


def without(body: Json, option: str, levels: int = 2) -> Json:
    """The body without an option: its own, of its messages and tools, and of the blocks of messages."""
    kept = {name: value for name, value in body.items() if name != option}
    lists = {name: value for name, value in kept.items() if levels and isinstance(value, list)}
    return kept | {name: _each_without(items, option, levels - 1) for name, items in lists.items()}


def refused_option(body: Json, status: int, error: bytes) -> str:
    """The option of the body that an error is about. Empty if there is none."""
    if status not in (400, 422):
        return ""
    named = (name for name, words in REFUSABLE.items() if any(word in error for word in words))
    return next((name for name in named if without(body, name) != body), "")


def _each_without(items: list[Any], option: str, levels: int) -> list[Any]:
    return [without(item, option, levels) if isinstance(item, dict) else item for item in items]


def _objects(value: Any) -> Iterator[Json]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def _name_of(tool: Json) -> Any:
    # The chat completions API wraps what the Responses API says of a function.
    function = tool.get("function")
    return function.get("name") if isinstance(function, dict) else tool.get("name")
