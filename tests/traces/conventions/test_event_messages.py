"""Messages that senders put into events."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from catalyst.core.models import Project
from tests.traces.sent import sent_span
from traces.ingest import pipeline
from traces.models import Trace
from traces.transcripts.transcript import span_transcript

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LLM = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
SAID = [("user", "Where is it?"), ("assistant", "In Ulm.")]


def event(name: str, **attributes: Any) -> dict[str, Any]:
    body = {key.replace("__", "."): value for key, value in attributes.items()}
    return {"name": name, "time_ns": 0, "attributes": body}


def parts(text: str) -> str:
    return json.dumps([{"text": text}])


def messages(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


def read(events: list[dict[str, Any]], attributes: dict[str, Any]) -> list[tuple[str, str]]:
    span = sent_span(1, start=NOW)
    span.attributes, span.events = LLM | attributes, events
    (reading,) = pipeline.read(1, [span], NOW).readings
    assert (reading.span.input_size > 0) == bool(reading.payload.input_messages)
    assert (reading.span.output_size > 0) == bool(reading.payload.output_messages)
    return [(message.role, message.text) for message in span_transcript(reading.span, reading.payload).messages]


LOGGED = [
    {"event.name": "gen_ai.user.message", "content": "Where is it?", "role": "user"},
    {"event.name": "gen_ai.choice", "index": 0, "message": {"role": "assistant", "content": "In Ulm."}},
]


@pytest.mark.parametrize(
    ("events", "attributes"),
    [
        (
            [
                event("gen_ai.user.message", content=parts("Where is it?")),
                event("gen_ai.choice", message=parts("In Ulm.")),
            ],
            {},
        ),
        ([event("gen_ai.user.message", content="Where is it?"), event("gen_ai.choice", message="In Ulm.")], {}),
        ([event("gen_ai.user.message", content="Where is it?"), event("gen_ai.choice", content="In Ulm.")], {}),
        (
            [
                event("gen_ai.content.prompt", gen_ai__prompt=messages("user", "Where is it?")),
                event("gen_ai.content.completion", gen_ai__completion=messages("assistant", "In Ulm.")),
            ],
            {},
        ),
        (
            [
                event("gen_ai.content.prompt", gen_ai__prompt="Where is it?"),
                event("gen_ai.content.completion", gen_ai__completion="In Ulm."),
            ],
            {},
        ),
        (
            [
                event(
                    "gen_ai.client.inference.operation.details",
                    gen_ai__input__messages=messages("user", "Where is it?"),
                    gen_ai__output__messages=messages("assistant", "In Ulm."),
                )
            ],
            {},
        ),
        ([], {"events": json.dumps(LOGGED)}),
        ([], {"events": LOGGED}),
    ],
)
def test_what_was_said_is_read_from_events(events: list[dict[str, Any]], attributes: dict[str, Any]) -> None:
    assert read(events, attributes) == SAID


def test_attributes_come_before_events() -> None:
    asked = event("gen_ai.user.message", content="From the event")
    assert read([asked], {"gen_ai.input.messages": "From the attribute"}) == [("user", "From the attribute")]


@pytest.mark.parametrize(
    "events",
    [
        [event("exception", message="It broke.")],
        [event("gen_ai.evaluation.result", gen_ai__evaluation__name="x")],
        [{"name": 7, "attributes": {}}, {"name": "gen_ai.choice", "attributes": None}],
    ],
)
def test_other_events_say_nothing(events: list[dict[str, Any]]) -> None:
    assert read(events, {"events": "deployed"}) == []


@pytest.mark.django_db
def test_a_trace_shows_what_its_events_say(project: Project) -> None:
    span = sent_span(1, start=NOW)
    span.attributes = dict(LLM)
    span.events = [
        event("gen_ai.user.message", content=parts("Roll a die, please")),
        event("gen_ai.choice", message=parts("You rolled a four"), finish_reason="end_turn"),
    ]
    pipeline.store(project.pk, [span], NOW)
    trace = Trace.objects.get()
    assert (trace.input_preview, trace.output_preview) == ("Roll a die, please", "You rolled a four")
