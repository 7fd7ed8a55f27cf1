"""Messages out of a span's attributes, whatever their names and values."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.traces.sent import sent_span
from traces.conventions.span_mapping import ResourceContext, read_span
from traces.records import PayloadRecord

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def read(attributes: dict[str, Any]) -> PayloadRecord:
    span = sent_span(1, start=NOW)
    span.attributes = attributes
    return read_span(
        span, ResourceContext(span.source), project_id=1, now=NOW, kept_since=NOW - timedelta(days=30)
    ).payload


def test_it_nests_flattened_messages_in_the_order_of_their_numbers() -> None:
    payload = read(
        {
            "llm.input_messages.1.message.content": "second",
            "llm.input_messages.0.message.tool_calls.1.tool_call.function.name": "refund",
            "llm.input_messages.0.message.tool_calls.0.tool_call.function.name": "search",
            "llm.input_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.contents.0.message_content.text": "third",
            "other": "kept",
        }
    )
    calls = [{"function": {"name": "search"}}, {"function": {"name": "refund"}}]
    assert payload.input_messages == [{"tool_calls": calls, "role": "assistant"}, {"content": "second"}]
    assert payload.output_messages == [{"contents": [{"text": "third"}]}]
    assert payload.attributes == {"other": "kept"}


def test_it_keeps_as_attributes_what_fits_no_message() -> None:
    said = {
        "llm.input_messages.0.message.content": "taken",
        "llm.input_messages.0.content": "in the way",
        "llm.input_messages.0.message.content.text": "under a text",
        "llm.input_messages.first.message.content": "no number",
        "llm.input_messages.0": "no name",
        f"llm.input_messages.0.{'x' * 200}": "a long name",
    }
    payload = read(dict(said))
    assert payload.input_messages == [{"content": said.pop("llm.input_messages.0.message.content")}]
    assert payload.attributes == said


def test_it_prefers_flattened_messages_to_packed_ones() -> None:
    packed = '[{"role": "user", "content": "packed"}]'
    flat = {"llm.input_messages.0.message.content": "flat"}
    assert read({"gen_ai.input.messages": packed}).input_messages == [{"role": "user", "content": "packed"}]
    both = read({"gen_ai.input.messages": packed, **flat})
    assert (both.input_messages, both.attributes) == ([{"content": "flat"}], {"gen_ai.input.messages": packed})


def test_it_takes_no_attribute_without_a_name_for_the_input() -> None:
    payload = read({"": "nameless", "output.value": "said"})
    assert (payload.input, payload.output, payload.attributes) == (None, "said", {"": "nameless"})


ASKED = {"role": "user", "content": "where is it?"}


@pytest.mark.parametrize(
    ("sent", "messages"),
    [
        (json.dumps([ASKED]), [ASKED]),
        ([ASKED], [ASKED]),
        (json.dumps(ASKED), [ASKED]),
        (ASKED, [ASKED]),
        (json.dumps({"messages": [ASKED]}), [ASKED]),
        (json.dumps(json.dumps([ASKED])), [ASKED]),
        (json.dumps(json.dumps(json.dumps([ASKED]))), [ASKED]),
        ([json.dumps(ASKED)], [ASKED]),
        (json.dumps([json.dumps(ASKED)]), [ASKED]),
        ([[ASKED]], [ASKED]),
        (["where is it?"], [ASKED]),
        ("where is it?", [ASKED]),
        ('[{"role":"user","content":"where is it?","score":NaN}]', [ASKED | {"score": "nan"}]),
        ('[{"role":"user","content":"where is it?","score":-Infinity}]', [ASKED | {"score": "-inf"}]),
        ('[{"role":"user","content":"where\n is it?"}]', [{"role": "user", "content": "where\n is it?"}]),
        ('[{"role":"user","content":"\\ud800"}]', [{"role": "user", "content": "\ufffd"}]),
        ('[{"role": "user", "content": "where is it?', [ASKED]),
        ('[{"role": "user", "content": "where is it?"}, {"role": "assi', [ASKED, {"role": "assi"}]),
        ('[{"role": "user", "content": "where is it?"}, {"role"', [ASKED]),
        ('[{"role": "user", "content": "where is it?"}]\u2026 [cut, 5,000 characters]', [ASKED]),
        (
            '[{"role": "user", "parts": [{"type": "text", "content": "where \\u00',
            [{"role": "user", "parts": [{"type": "text", "content": "where "}]}],
        ),
        ("{not JSON", [{"role": "user", "content": "{not JSON"}]),
        ("12", [{"role": "user", "content": "12"}]),
        ([1.5], [{"role": "user", "content": "1.5"}]),
        ("", None),
        ("null", None),
        ([], None),
        ("[]", None),
    ],
)
def test_messages_are_read_however_they_are_packed(sent: Any, messages: list[dict[str, Any]] | None) -> None:
    assert read({"gen_ai.input.messages": sent}).input_messages == messages


def test_a_text_without_a_role_is_of_its_side() -> None:
    payload = read({"gen_ai.input.messages": "hello", "gen_ai.output.messages": "hi"})
    assert payload.input_messages == [{"role": "user", "content": "hello"}]
    assert payload.output_messages == [{"role": "assistant", "content": "hi"}]
