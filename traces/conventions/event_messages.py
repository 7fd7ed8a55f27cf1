"""Messages that senders put into events instead of attributes."""

from collections.abc import Iterable, Iterator
from typing import Any

from traces.conventions.flattened_messages import parsed, unpack

type Json = dict[str, Any]
type Sides = tuple[list[Json], list[Json]]

_INPUT = ("gen_ai.input.messages", "gen_ai.prompt")
_OUTPUT = ("gen_ai.output.messages", "gen_ai.completion")
_LOGGED = "events"


def from_events(events: Iterable[Json] | None, attributes: Json) -> Sides:
    """Input and output messages of the events of a span, and of Pydantic AI's attribute that holds events."""
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
    logged = attributes.get(_LOGGED)
    if isinstance(logged, str) and "event.name" in logged:
        logged = parsed(logged)
    for event in logged if isinstance(logged, list) else ():
        name = event.get("event.name") if isinstance(event, dict) else None
        if isinstance(name, str) and name.startswith("gen_ai."):
            yield name, {key: value for key, value in event.items() if not key.startswith("event.")}


def _from_event(name: str, body: Json) -> Sides:
    sent, answered = (
        [message for key in keys for message in unpack(body.get(key), role)]
        for keys, role in ((_INPUT, "user"), (_OUTPUT, "assistant"))
    )
    if sent or answered:
        return sent, answered
    if name == "gen_ai.choice":
        return [], [_choice(_content(body.get("message", body.get("content"))))]
    return ([_message(name.split(".")[1], body)] if name.endswith(".message") else []), []


def _choice(message: Any) -> Json:
    return {"role": "assistant", **(message if isinstance(message, dict) else {"content": message})}


def _message(role: str, body: Json) -> Json:
    return {**body, "role": role, "content": _content(body.get("content"))}


def _content(value: Any) -> Any:
    # Strands writes the parts of a message as JSON text. Other text stays text, also if it is a number.
    return parsed(value) if isinstance(value, str) and value[:1] in ("[", "{") else value
