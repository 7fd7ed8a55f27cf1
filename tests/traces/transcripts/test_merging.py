"""Many model calls merged into one conversation, and what that may cost."""

import pytest

from tests.traces.recorded import row, spoken
from tests.traces.work import steps
from traces.conventions.message_formats import Message, ToolCall
from traces.transcripts.merging import MAX_CALLS, Entry, PendingCalls


def test_it_finds_the_calls_of_results_without_looking_at_all_of_them() -> None:
    def merge(count: int) -> None:
        asked = {"role": "assistant", "content": [{"type": "tool_use", "id": "x", "name": "t"}] * 10}
        result = {"role": "tool", "tool_call_id": "x", "content": "r"}
        said = spoken(row(1, input_messages=[asked for _ in range(count)] + [result] * count * 10))
        assert all(call.result == "r" for message in said.messages for call in message.tool_calls)

    merge(2)
    assert steps(lambda: merge(80)) < 2.5 * steps(lambda: merge(40))


@pytest.mark.parametrize(
    ("result", "slot"),
    [
        (ToolCall("", id="b", result="r"), 1),
        (ToolCall("two", id="b", result="r"), 1),
        (ToolCall("two", id="other", result="r"), 2),
        (ToolCall("two", result="r"), 1),
        (ToolCall("", result="r"), 0),
        (ToolCall("three", id="other", result="r"), None),
    ],
)
def test_it_gives_a_result_to_the_first_call_it_can_belong_to(result: ToolCall, slot: int | None) -> None:
    calls = [ToolCall("one", id="a"), ToolCall("two", id="b"), ToolCall("two")]
    pending = PendingCalls()
    pending.add(entry := Entry(Message("assistant"), calls))
    assert pending.match(result) == (None if slot is None else (entry, slot))


def test_it_bounds_the_calls_of_a_span() -> None:
    asked = {"role": "assistant", "content": [{"type": "tool_use", "id": "x", "name": "t"}] * 400}
    said = spoken(row(1, input_messages=[asked for _ in range(20)]))
    assert sum(len(message.tool_calls) for message in said.messages) == MAX_CALLS
    assert said.messages[-1].text == "[3,000 tool calls are not shown]"
