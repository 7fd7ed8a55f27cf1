"""Conversations that senders put into events of a span."""

import json
from typing import Any

import pytest

from tests.traces.cases.sender import Sender, event, span

pytestmark = [pytest.mark.real_clock, pytest.mark.django_db]

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
ASKED, ANSWERED = "Roll a die, please 🎲", "You rolled “four”"
USER = {"role": "user", "content": ASKED}
ASSISTANT = {"role": "assistant", "content": ANSWERED}
USER_PARTS = {"role": "user", "parts": [{"type": "text", "content": ASKED}]}
ASSISTANT_PARTS = {"role": "assistant", "parts": [{"type": "text", "content": ANSWERED}], "finish_reason": "stop"}
DETAILS = "gen_ai.client.inference.operation.details"
PROMPT, COMPLETION = "gen_ai.content.prompt", "gen_ai.content.completion"


def dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


FORMS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "Strands' blocks": [
        ("gen_ai.user.message", {"content": dump([{"text": ASKED}])}),
        ("gen_ai.choice", {"message": dump([{"text": ANSWERED}]), "finish_reason": "end_turn"}),
    ],
    "plain text": [("gen_ai.user.message", {"content": ASKED}), ("gen_ai.choice", {"message": ANSWERED})],
    "message as an object": [
        ("gen_ai.user.message", {"content": ASKED, "role": "user"}),
        ("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": ASSISTANT}),
    ],
    "message as packed JSON": [
        ("gen_ai.user.message", {"content": ASKED}),
        ("gen_ai.choice", {"index": 0, "message": dump(ASSISTANT)}),
    ],
    "message without a role": [
        ("gen_ai.user.message", {"content": ASKED}),
        ("gen_ai.choice", {"message": dump({"content": ANSWERED})}),
    ],
    "content in the choice itself": [
        ("gen_ai.user.message", {"content": ASKED}),
        ("gen_ai.choice", {"content": ANSWERED, "role": "assistant"}),
    ],
    "Azure's event content": [
        ("gen_ai.user.message", {"gen_ai.system": "az.ai.inference", "gen_ai.event.content": dump(USER)}),
        ("gen_ai.choice", {"gen_ai.event.content": dump({"message": {"content": ANSWERED}, "index": 0})}),
    ],
    "Semantic Kernel": [
        (PROMPT, {"gen_ai.prompt": dump([USER])}),
        (COMPLETION, {"gen_ai.completion": dump([ASSISTANT])}),
    ],
    "prompt as plain text": [(PROMPT, {"gen_ai.prompt": ASKED}), (COMPLETION, {"gen_ai.completion": ANSWERED})],
    "prompt as one object": [
        (PROMPT, {"gen_ai.prompt": dump(USER)}),
        (COMPLETION, {"gen_ai.completion": dump(ASSISTANT)}),
    ],
    "details with packed messages": [
        (
            DETAILS,
            {"gen_ai.input.messages": dump([USER_PARTS]), "gen_ai.output.messages": dump([ASSISTANT_PARTS])},
        )
    ],
    "details with structured messages": [
        (DETAILS, {"gen_ai.input.messages": [USER_PARTS], "gen_ai.output.messages": [ASSISTANT_PARTS]})
    ],
    "details in two events": [
        (DETAILS, {"gen_ai.input.messages": dump([USER_PARTS])}),
        (DETAILS, {"gen_ai.output.messages": dump([ASSISTANT_PARTS])}),
    ],
    "assistant message as the answer": [
        ("gen_ai.user.message", {"content": ASKED}),
        ("gen_ai.choice", {"message": dump({"role": "assistant", "content": [{"type": "text", "text": ANSWERED}]})}),
    ],
    "content parts of OpenAI": [
        ("gen_ai.user.message", {"content": dump([{"type": "text", "text": ASKED}])}),
        ("gen_ai.choice", {"message": dump({"content": ANSWERED, "tool_calls": None})}),
    ],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_it_reads_the_conversation(sender: Sender, form: list[tuple[str, dict[str, Any]]]) -> None:
    sender.send(span(CHAT, events=[event(*said) for said in form]))
    assert sender.said() == [("user", ASKED), ("assistant", ANSWERED)]
    assert (sender.trace.input_preview, sender.trace.output_preview) == (ASKED, ANSWERED)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_conversation_below_an_agent_is_that_of_the_trace(
    sender: Sender, form: list[tuple[str, dict[str, Any]]]
) -> None:
    agent = span({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "x"}, seconds=3)
    sender.send(agent, span(CHAT, number=2, parent=1, at=1, events=[event(*said) for said in form]))
    assert sender.said() == [("user", ASKED), ("assistant", ANSWERED)]
    assert sender.trace.input_preview == ASKED


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (
            [("gen_ai.system.message", {"content": "Be brief."}), ("gen_ai.user.message", {"content": ASKED})],
            [("system", "Be brief."), ("user", ASKED)],
        ),
        (
            [
                ("gen_ai.user.message", {"content": ASKED}),
                ("gen_ai.assistant.message", {"content": "Sure."}),
                ("gen_ai.user.message", {"content": "Now."}),
                ("gen_ai.choice", {"message": ANSWERED}),
            ],
            [("user", ASKED), ("assistant", "Sure."), ("user", "Now."), ("assistant", ANSWERED)],
        ),
        (
            [(DETAILS, {"gen_ai.system_instructions": dump([{"type": "text", "content": "Be brief."}])})],
            [("system", "Be brief.")],
        ),
        (
            [("gen_ai.choice", {"index": 0, "message": "One."}), ("gen_ai.choice", {"index": 1, "message": "Two."})],
            [("assistant", "One."), ("assistant", "Two.")],
        ),
        ([("gen_ai.user.message", {"content": ""}), ("gen_ai.choice", {"message": "{}"})], []),
        ([("gen_ai.user.message", {}), ("gen_ai.choice", {"finish_reason": "stop"})], []),
        ([("exception", {"exception.message": "Boom.", "exception.type": "E"})], []),
        ([("ai.stream.firstChunk", {"ai.response.msToFirstChunk": 3})], []),
        ([("gen_ai.user.message", {"content": "123"})], [("user", "123")]),
        ([("gen_ai.user.message", {"content": 'He said "hi'})], [("user", 'He said "hi')]),
    ],
    ids=range(10),
)
def test_it_reads_more_than_a_question(
    sender: Sender, form: list[tuple[str, dict[str, Any]]], said: list[tuple[str, str]]
) -> None:
    sender.send(span(CHAT, events=[event(*one) for one in form]))
    assert sender.said() == said


@pytest.mark.parametrize(
    "form",
    [
        [
            (
                "gen_ai.assistant.message",
                {"content": dump([{"toolUse": {"toolUseId": "t1", "name": "roll", "input": {"sides": 6}}}])},
            ),
            (
                "gen_ai.tool.message",
                {
                    "content": dump([{"toolResult": {"toolUseId": "t1", "content": [{"text": "four"}]}}]),
                    "role": "tool",
                    "id": "t1",
                },
            ),
        ],
        [
            (
                "gen_ai.assistant.message",
                {
                    "tool_calls": dump(
                        [{"id": "t1", "type": "function", "function": {"name": "roll", "arguments": '{"sides": 6}'}}]
                    )
                },
            ),
            ("gen_ai.tool.message", {"content": "four", "id": "t1"}),
        ],
        [
            (
                "gen_ai.assistant.message",
                {
                    "tool_calls": [
                        {"id": "t1", "type": "function", "function": {"name": "roll", "arguments": '{"sides": 6}'}}
                    ]
                },
            ),
            ("gen_ai.tool.message", {"content": dump({"result": "four"}), "id": "t1"}),
        ],
        [
            (
                "gen_ai.choice",
                {
                    "message": dump(
                        {
                            "role": "assistant",
                            "tool_calls": [{"id": "t1", "function": {"name": "roll", "arguments": {"sides": 6}}}],
                        }
                    )
                },
            ),
            ("gen_ai.tool.message", {"content": "four", "id": "t1"}),
        ],
    ],
    ids=["Strands", "packed calls", "structured calls", "in a choice"],
)
def test_it_reads_tool_calls(sender: Sender, form: list[tuple[str, dict[str, Any]]]) -> None:
    sender.send(span(CHAT, events=[event(*one) for one in form]))
    for words in ("roll", "sides", "four"):
        assert words in sender.shown()


def test_it_reads_a_tool_span_with_events(sender: Sender) -> None:
    said = [
        event("gen_ai.tool.message", {"role": "tool", "content": dump({"sides": 6}), "id": "t1"}),
        event("gen_ai.choice", {"message": dump([{"text": "four"}]), "id": "t1"}),
    ]
    sender.send(span({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "roll"}, events=said))
    for words in ("roll", "sides", "four"):
        assert words in sender.shown()


def test_what_is_in_attributes_and_events_is_shown_once(sender: Sender) -> None:
    both = {"gen_ai.input.messages": dump([USER_PARTS]), "gen_ai.output.messages": dump([ASSISTANT_PARTS])}
    sender.send(span(CHAT | both, events=[event(DETAILS, both)]))
    assert sender.said() == [("user", ASKED), ("assistant", ANSWERED)]


@pytest.mark.parametrize("name", ["events", "all_messages_events"])
def test_it_reads_events_in_an_attribute(sender: Sender, name: str) -> None:
    said = [
        {"event.name": "gen_ai.user.message", "content": ASKED, "role": "user"},
        {"event.name": "gen_ai.choice", "index": 0, "message": ASSISTANT},
    ]
    sender.send(span(CHAT | {name: dump(said)}))
    assert sender.said() == [("user", ASKED), ("assistant", ANSWERED)]
