"""What rules read in the texts of spans."""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import orjson

from halo.analyst.citing import Place
from halo.analyst.material import Texts
from traces.conventions.json_objects import as_text
from traces.conventions.message_formats import parse, read_text
from traces.conventions.message_formats import read as read_messages
from traces.records import PayloadRecord

MAX_DEPTH = 5
MAX_ITEMS = 50
# What senders call the reason why an answer ended.
REASONS = frozenset(("finish_reason", "finish_reasons", "finishReason", "stop_reason", "stopReason"))

JSON_ASKED = re.compile(r"json_(?:schema|object)")


class Thinned[Item]:
    """Up to `limit` of the items, evenly spread over them and the same each time."""

    __slots__ = ("_count", "_limit", "_step", "items")

    def __init__(self, limit: int) -> None:
        self.items: list[Item] = []
        self._limit, self._step, self._count = limit, 1, 0

    def add(self, item: Item) -> None:
        if self._count % self._step == 0:
            self.items.append(item)
            if len(self.items) > self._limit:
                self.items = self.items[::2]
                self._step *= 2
        self._count += 1

    @property
    def is_whole(self) -> bool:
        return self._step == 1


def read(texts: Texts, places: Collection[Place]) -> Iterator[tuple[Place, PayloadRecord]]:
    """The text of each of these places that is stored."""
    wanted: dict[Any, set[int]] = {}
    for place in places:
        if place.span_id is not None:
            wanted.setdefault(place.run.trace_id, set()).add(place.span_id)
    found = texts.of(wanted)
    for place in places:
        payload = found.get(place.run.trace_id, {}).get(place.span_id or 0)
        if payload is not None:
            yield place, payload


def sent(payload: PayloadRecord) -> str:
    """What the step got, as one text."""
    return payload.input or _as_json(payload.input_messages)


def returned(payload: PayloadRecord) -> str:
    """What the step returned, as one text."""
    return payload.output or _as_json(payload.output_messages)


def _as_json(messages: list[dict[str, Any]] | None) -> str:
    return orjson.dumps(messages).decode() if messages else ""


def answer_text(payload: PayloadRecord) -> str:
    """The text of a model's last message; empty for calls of tools."""
    messages = read_messages(payload.output_messages, "assistant") or read_text(payload.output or "", "assistant")
    return messages[-1].text.strip() if messages else ""


def asks_for_json(payload: PayloadRecord) -> bool:
    """Whether the request asks for JSON, by a schema or not."""
    about = payload.attributes
    asked = as_text(about.get("llm.invocation_parameters")) + as_text(about.get("gen_ai.request.response_format"))
    return about.get("gen_ai.output.type") == "json" or bool(JSON_ASKED.search(asked))


def finish_reasons(payload: PayloadRecord) -> set[str]:
    """Why the answer of a model ended, in lower case: as an attribute, in a message, an event or the whole response."""
    said = {
        reason
        for name, value in payload.attributes.items()
        if name.rpartition(".")[2] in REASONS
        for reason in _words(value)
    }
    for value in (payload.output_messages, payload.events, parse(payload.output)):
        said.update(_reasons_in(value, 0))
    return said


def _reasons_in(value: object, depth: int) -> Iterator[str]:
    for name, item in _items(value):
        if name in REASONS:
            yield from _words(item)
        elif name == "refusal" and item and isinstance(item, str):
            yield "refusal"
        elif depth < MAX_DEPTH:
            yield from _reasons_in(item, depth + 1)


def _items(value: object) -> Iterable[tuple[str, object]]:
    """The items of an object by name, and those of a list without one."""
    if isinstance(value, dict):
        return value.items()
    return [("", item) for item in value[:MAX_ITEMS]] if isinstance(value, list) else []


def _words(value: object) -> Iterator[str]:
    """The reasons of a text, a list, or a list as JSON text."""
    listed = parse(value) if isinstance(value, str) else value
    if isinstance(listed, list):
        yield from (as_text(item).lower() for item in listed[:MAX_ITEMS])
    elif value:
        yield as_text(value).lower()
