"""The messages of an LLM span out of its attributes, however they were flattened or packed. Pure."""

from dataclasses import dataclass
from typing import Any

import orjson

from traces.otlp import storable

MAX_MESSAGES = 2_000
MAX_STEPS = 12
_PREFIXES = {
    "llm.input_messages.": "input",
    "llm.output_messages.": "output",
    "gen_ai.prompt.": "input",
    "gen_ai.completion.": "output",
}
_STARTS = tuple(_PREFIXES)
_PACKED = {
    "llm.input_messages": "input",
    "llm.output_messages": "output",
    "gen_ai.input.messages": "input",
    "gen_ai.output.messages": "output",
    "ai.prompt.messages": "input",
}
_WRAPPERS = frozenset(("message", "tool_call", "message_content"))

type Json = dict[str, Any]


@dataclass(slots=True)
class Messages:
    """What an LLM span was given and what it answered; None where the span says nothing."""

    input: list[Json] | None = None
    output: list[Json] | None = None


def read_messages(attributes: Json) -> tuple[Messages, Json]:
    """Split attributes into messages and the rest. Flattened keys become nested objects without wrapping levels."""
    rest: Json = {}
    flat: dict[str, dict[int, Json]] = {}
    packed: dict[str, list[Json]] = {}
    for key, value in attributes.items():
        if key.startswith(_STARTS):
            if not _add_flattened(flat, key, value):
                rest[key] = value
        elif key in _PACKED and (messages := _unpack(value)):
            packed.setdefault(_PACKED[key], messages)
        else:
            rest[key] = value
    found = {side: _in_order(messages) for side, messages in flat.items()}
    for side, messages in packed.items():
        found[side] = found.get(side) or messages
    return Messages(found.get("input") or None, found.get("output") or None), rest


def _add_flattened(flat: dict[str, dict[int, Json]], key: str, value: Any) -> bool:
    """Put a flattened key where it belongs; False when it fits no message."""
    prefix = next(prefix for prefix in _STARTS if key.startswith(prefix))
    index, *path = key[len(prefix) :].split(".")
    messages = flat.setdefault(_PREFIXES[prefix], {})
    if not _is_index(index) or not 0 < len(path) < MAX_STEPS or len(messages) > MAX_MESSAGES:
        return False
    message = messages.setdefault(int(index), {})
    return _place(message, [part for part in path if part not in _WRAPPERS], value)


def _unpack(value: Any) -> list[Json]:
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return []
    return [storable(item) for item in value]


def _in_order(messages: dict[int, Json]) -> list[Json]:
    return [{key: _listed(value) for key, value in messages[index].items()} for index in sorted(messages)]


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) <= 6


def _place(target: Json, path: list[str], value: Any) -> bool:
    """Put the value at the path, numbers as keys for now; False when another value is in the way."""
    if not path:
        return False
    for part in path[:-1]:
        step = target.setdefault(part, {})
        if not isinstance(step, dict):
            return False
        target = step
    if path[-1] in target:
        return False
    target[path[-1]] = value
    return True


def _listed(value: Any) -> Any:
    """Objects whose keys are all numbers become lists in that order."""
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(item) for key, item in value.items()}
    if inner and all(_is_index(key) for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner
