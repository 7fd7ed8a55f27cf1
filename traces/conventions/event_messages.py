"""Messages that senders put into events instead of attributes."""

from collections.abc import Iterable, Iterator
from typing import Any

from traces.conventions.flattened_messages import parsed, unpack

type Json = dict[str, Any]
type Sides = tuple[list[Json], list[Json]]

_INPUT = ("gen_ai.input.messages", "gen_ai.prompt")
_OUTPUT = ("gen_ai.output.messages", "gen_ai.completion")
_INSTRUCTIONS = "gen_ai.system_instructions"
# Azure's SDK packs the body of an event.
_CONTENT = "gen_ai.event.content"
# Attributes of Pydantic AI that hold events.
LOGGED = ("events", "all_messages_events")


def from_events(events: Iterable[Json] | None, attributes: Json) -> Sides:
    """Input and output messages of the events of a span, and of attributes that hold events."""
    inputs: list[Json] = []
    outputs: list[Json] = []
    for name, body in (*_of_span(events or ()), *_of_attribute(attributes)):
        sent, answered = _from_event(name, body)
        inputs += sent
        outputs += answered
    return inputs, outputs


def _of_span(events: Iterable[Json]) -> Iterator[tuple[str, Json]]:
    for event in events:
        name, body = event.get("name"), event.get("attributes")
        if isinstance(name, str) and name.startswith("gen_ai.") and isinstance(body, dict):
            yield name, body


def _of_attribute(attributes: Json) -> Iterator[tuple[str, Json]]:
    for event in _logged(attributes):
        name = event.get("event.name") if isinstance(event, dict) else None
        if isinstance(name, str) and name.startswith("gen_ai."):
            yield name, {key: value for key, value in event.items() if not key.startswith("event.")}


def _logged(attributes: Json) -> list[Any]:
    logged = next((attributes[name] for name in LOGGED if name in attributes), None)
    if isinstance(logged, str) and "event.name" in logged:
        logged = parsed(logged)
    return logged if isinstance(logged, list) else []


def _from_event(name: str, body: Json) -> Sides:
    if isinstance(inner := parsed(body.get(_CONTENT)), dict):
        body = inner
    sent, answered = _packed(body)
    if sent or answered:
        return sent, answered
    if name == "gen_ai.choice":
        return [], _choice(_content(body.get("message", body.get("content"))))
    return (_message(name.split(".")[1], body) if name.endswith(".message") else []), []


def _packed(body: Json) -> Sides:
    instructions = parsed(body.get(_INSTRUCTIONS))
    system = [{"role": "system", "content": instructions}] if instructions else []
    sent, answered = (
        [message for key in keys for message in unpack(body.get(key), role)]
        for keys, role in ((_INPUT, "user"), (_OUTPUT, "assistant"))
    )
    return system + sent, answered


def _choice(message: Any) -> list[Json]:
    return (
        [{"role": "assistant", **(message if isinstance(message, dict) else {"content": message})}] if message else []
    )


def _message(role: str, body: Json) -> list[Json]:
    said = {key: _content(body[key]) for key in ("content", "tool_calls") if body.get(key)}
    return [{**body, "role": role, **said}] if said else []


def _content(value: Any) -> Any:
    # Strands writes the parts of a message as JSON text. Other text stays text, also if it is a number.
    return parsed(value) if isinstance(value, str) and value[:1] in ("[", "{") else value
