"""The messages of an LLM span out of its attributes, however they were flattened or packed. Pure."""

from dataclasses import dataclass
from typing import Any

import orjson

from traces.otlp import storable

MAX_MESSAGES = 2_000
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
    flat: dict[str, dict[str, Any]] = {}
    packed: dict[str, list[Json]] = {}
    for key, value in attributes.items():
        if key.startswith(_STARTS):
            side = next(side for prefix, side in _PREFIXES.items() if key.startswith(prefix))
            flat.setdefault(side, {})[key] = value
        elif key in _PACKED and (messages := _unpack(value)):
            packed.setdefault(_PACKED[key], messages)
        else:
            rest[key] = value
    found = {side: _nest(side, keys, rest) for side, keys in flat.items()}
    for side, messages in packed.items():
        found[side] = found.get(side) or messages
    return Messages(found.get("input") or None, found.get("output") or None), rest


def _unpack(value: Any) -> list[Json]:
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return []
    return [storable(item) for item in value]


def _nest(side: str, keys: Json, rest: Json) -> list[Json]:
    """Messages of one side in order. A key that fits no message stays an attribute."""
    messages: dict[int, Json] = {}
    prefixes = [prefix for prefix, of in _PREFIXES.items() if of == side]
    for key, value in keys.items():
        prefix = next(p for p in prefixes if key.startswith(p))
        path = key[len(prefix) :].split(".")
        if not _is_index(path[0]) or len(path) < 2 or len(path) > 12 or len(messages) > MAX_MESSAGES:
            rest[key] = value
            continue
        message = messages.setdefault(int(path[0]), {})
        if not _place(message, [part for part in path[1:] if part not in _WRAPPERS], value):
            rest[key] = value
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
