"""Messages of LLM spans from flattened or packed attributes."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from traces.otlp import storable

MAX_MESSAGES = 2_000
MAX_STEPS = 12
MAX_NAME_CHARACTERS = 200
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


def may_be_message(name: str) -> bool:
    return (name.startswith(_STARTS) and len(name) <= MAX_NAME_CHARACTERS) or name in _PACKED


def read_messages(attributes: Json, names: Sequence[str]) -> tuple[list[Json] | None, list[Json] | None, Json]:
    """Returns input messages, output messages and the other attributes. Messages are None if there are none.

    `names`: attributes that may be messages. Flattened ones become nested objects without wrapper levels.
    """
    rest = attributes.copy()
    if not names:
        return None, None, rest
    flat: dict[str, dict[int, Json]] = {"input": {}, "output": {}}
    packed: dict[str, list[Json]] = {}
    for name in names:
        place = _find_place(name)
        if place is not None:
            is_read = _put(flat, place, attributes[name])
        else:
            is_read = _put_packed(packed, name, attributes[name])
        if is_read:
            del rest[name]
    inputs = _in_order(flat["input"]) or packed.get("input")
    return inputs, _in_order(flat["output"]) or packed.get("output"), rest


def _put_packed(packed: dict[str, list[Json]], name: str, value: Any) -> bool:
    messages = _unpack(value) if name in _PACKED else None
    if not messages:
        return False
    packed.setdefault(_PACKED[name], messages)
    return True


class Place(NamedTuple):
    """The position of a flattened attribute. `name` is None if the message is empty."""

    side: str
    number: int
    path: tuple[str, ...]
    name: str | None


@lru_cache(maxsize=4096)
def _find_place(name: str) -> Place | None:
    prefix = next((prefix for prefix in _STARTS if name.startswith(prefix)), None)
    if prefix is None:
        return None
    index, *parts = name.removeprefix(prefix).split(".")
    if not _is_index(index) or not 0 < len(parts) < MAX_STEPS:
        return None
    path = [part for part in parts if part not in _WRAPPERS]
    return Place(_PREFIXES[prefix], int(index), tuple(path[:-1]), path[-1] if path else None)


def _put(flat: dict[str, dict[int, Json]], place: Place, value: Any) -> bool:
    side, number, path, name = place
    messages = flat[side]
    if len(messages) > MAX_MESSAGES:
        return False
    target = messages.get(number)
    if target is None:
        target = messages[number] = {}
    for part in path:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            return False
    if name is None or name in target:
        return False
    target[name] = value
    return True


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
    return [_with_lists(messages[index]) for index in sorted(messages)]


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) <= 6


def _with_lists(values: Json) -> Json:
    if dict not in map(type, values.values()):
        return values
    return {key: _listed(value) if isinstance(value, dict) else value for key, value in values.items()}


def _listed(values: Json) -> Any:
    inner = _with_lists(values)
    if inner and all(_is_index(key) for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner
