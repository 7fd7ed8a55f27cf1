"""Messages of LLM spans from flattened or packed attributes."""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import orjson

from traces.conventions.loose_json import read_json
from traces.conventions.message_formats import ROLES
from traces.otlp import storable

MAX_MESSAGES = 2_000
MAX_STEPS = 12
MAX_NAME_CHARACTERS = 200
_PREFIXES = {
    "llm.input_messages.": "input",
    "llm.output_messages.": "output",
    "gen_ai.prompt.": "input",
    "gen_ai.completion.": "output",
    "llm.prompts.": "input",
    "llm.completions.": "output",
}
MESSAGE_PREFIXES = tuple(_PREFIXES)
PACKED_MESSAGES = {
    "llm.input_messages": "input",
    "llm.output_messages": "output",
    "gen_ai.input.messages": "input",
    "gen_ai.output.messages": "output",
    "ai.prompt.messages": "input",
    "pydantic_ai.all_messages": "input",
}
_SPEAKERS = {"input": "user", "output": "assistant"}
_WRAPPERS = frozenset(("message", "tool_call", "message_content"))

type Json = dict[str, Any]


def read_messages(attributes: Json, names: Sequence[str]) -> tuple[list[Json] | None, list[Json] | None, Json]:
    """Returns input messages, output messages and the other attributes. Messages are None if there are none.

    `names`: attributes that may be messages. Flattened ones become nested objects without wrapper levels.
    """
    rest = attributes.copy()
    if not names:
        return None, None, rest
    flat: dict[str, dict[int, Json]] = {"input": {}, "output": {}}
    for name in names:
        place = _find_place(name) if len(name) <= MAX_NAME_CHARACTERS else None
        if place is not None and _put(flat, place, attributes[name]):
            del rest[name]
    sides = {side: _in_order(flat[side]) or _take_packed(side, names, rest) or None for side in flat}
    return sides["input"], sides["output"], rest


def _take_packed(side: str, names: Sequence[str], rest: Json) -> list[Json]:
    """Messages of the first packed attribute of a side, which is taken out. Others stay attributes."""
    for name in names:
        if PACKED_MESSAGES.get(name) == side and (messages := unpack(rest[name], _SPEAKERS[side])):
            del rest[name]
            return messages
    return []


class Place(NamedTuple):
    """The position of a flattened attribute. `name` is None if the message is empty."""

    side: str
    number: int
    path: tuple[str, ...]
    name: str | None


@lru_cache(maxsize=4096)
def _find_place(name: str) -> Place | None:
    prefix = next((prefix for prefix in MESSAGE_PREFIXES if name.startswith(prefix)), None)
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


def unpack(value: Any, role: str) -> list[Json]:
    """Messages of a packed attribute, however it is written: a list, one object, JSON of these, or plain text.

    `role`: of texts that name none.
    """
    value = parsed(value)
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        value = value["messages"]
    items = value if isinstance(value, list) else [value]
    # LangChain sends a list for each prompt of a batch.
    flat = chain.from_iterable(item if isinstance(item, list) and not _is_pair(item) else [item] for item in items)
    return [_as_message(parsed(item), role) for item in flat if not _is_empty(item)]


def parsed(value: Any) -> Any:
    """Returns the value that a JSON text stands for; anything else as it is."""
    if isinstance(value, str):
        with suppress(ValueError):
            return read_json(value)
    return value


def _is_empty(item: Any) -> bool:
    return item in (None, "", [], {}) or (isinstance(item, str) and item.isspace())


def _is_pair(item: Any) -> bool:
    # LangChain writes a message as its role and its text.
    return len(item) == 2 and all(isinstance(text, str) for text in item) and item[0].lower() in ROLES


def _as_message(item: Any, role: str) -> Json:
    if isinstance(item, list) and _is_pair(item):
        item = {"role": item[0], "content": item[1]}
    if isinstance(item, dict):
        inner = item.get("message")
        found: Json = storable(inner if len(item) == 1 and isinstance(inner, dict) else item)
        return found
    return {"role": role, "content": item if isinstance(item, str) else orjson.dumps(storable(item)).decode()}


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
