"""How much of a span, trace or session a page takes on."""

from collections.abc import Sequence

from catalyst.formats import Plain
from tests.traces.recorded import row
from tests.traces.work import steps
from traces.conventions.embedded_files import Attachment
from traces.conventions.message_formats import Message, ToolCall
from traces.records import SpanRecord
from traces.transcripts import presentation

LONG = "x" * (presentation.MAX_RENDERED_CHARACTERS // 2)


def test_it_looks_at_each_event_once() -> None:
    def read(count: int) -> None:
        span, payload = row(1, events=[{"name": "e", "attributes": {"n": number}} for number in range(count)])
        assert presentation.events(span, payload).count == count

    read(2)
    assert steps(lambda: read(800)) < 2.5 * steps(lambda: read(400))


def test_it_tells_the_same_event_once() -> None:
    events = [{"name": "e", "attributes": {"a": 1, "b": 2}}, {"name": "e", "attributes": {"b": 2, "a": 1}}]
    assert presentation.events(*row(1, events=[*events, {"name": "other", "attributes": {"a": 1, "b": 2}}])).count == 2


def test_it_renders_only_so_much_of_a_page() -> None:
    answer = Message("assistant", "**a**", (ToolCall("t", LONG, LONG),), produced=True)
    given = [Message("user", LONG), answer, Message("user", "b")]
    shown = presentation.part_of_turn(given, 0).shown
    assert shown == given
    assert _plain(shown) == [LONG, LONG]
    assert type(shown[2].text) is str


def test_it_renders_what_a_span_put_out_rather_than_its_history() -> None:
    history = [Message("user", f"{number} {LONG}") for number in range(5)]
    found = presentation.of_span([*history, Message("assistant", LONG[:-9], produced=True)])
    assert len(_plain(found.earlier)) == 2
    assert type(found.shown[0].text) is str


def test_it_folds_the_history_before_a_turn() -> None:
    history = [
        Message("user", "Hi"),
        Message("tool", tool_calls=(ToolCall("", result="7"),)),
        Message("assistant", "7"),
    ]
    turn = [Message("user", "One more."), Message("user", "Please."), Message("assistant", LONG, produced=True)]
    found = presentation.part_of_turn([Message("system", "Be kind."), *history, *turn], 0)
    assert (found.earlier, found.earlier_calls, found.shown, found.answer) == (history, 1, turn, found.shown[-1])
    assert presentation.part_of_turn(turn, 0).earlier == []


def test_it_reads_a_long_history_in_parts() -> None:
    history = [Message("user", str(number)) for number in range(presentation.MAX_MESSAGES)]
    asked = [Message("assistant", "Yes?"), Message("user", "Go."), Message("assistant", "Gone.", produced=True)]
    found = presentation.part_of_turn([*history, *asked], 0)
    assert (found.earlier, found.shown, found.answer) == ([], history[: presentation.FIRST_PART_MESSAGES], None)
    shown = [*found.shown]
    while found.next_part:
        found = presentation.part_of_turn([*history, *asked], found.next_part)
        shown += found.shown
    assert (shown, found.answer) == ([*history, *asked], asked[-1])


def test_it_bounds_system_messages_too() -> None:
    found = presentation.part_of_turn(
        [Message("system", str(number)) for number in range(presentation.MAX_MESSAGES + 5)], 0
    )
    assert (len(found.system), found.left_out) == (presentation.MAX_MESSAGES, 5)


def test_it_reads_only_so_much_of_a_session() -> None:
    turn = [_span(presentation.MAX_CHARACTERS // 2), _span(presentation.MAX_CHARACTERS // 2), _span(1)]
    chosen = presentation.spans_to_load_by_turn([turn] * 7)
    assert [len(spans) for spans in chosen] == [2, 2, 2, 2, 2, 1, 1]


def _span(size: int) -> SpanRecord:
    return row(1, input_size=size)[0]


def _plain(messages: Sequence[Message]) -> list[str]:
    texts = [message.text for message in messages]
    texts += [
        text for message in messages for call in message.tool_calls for text in (call.arguments, call.result or "")
    ]
    return [text for text in texts if isinstance(text, Plain)]


def test_it_shows_only_so_many_messages_and_calls_of_a_page() -> None:
    budget, limit = presentation.RenderBudget(), presentation.MAX_SHOWN
    first = budget.fit([Message("assistant", tool_calls=(ToolCall("t"),) * (limit - 1))])
    assert len(first) == 1
    second = budget.fit([Message("assistant", tool_calls=(ToolCall("t"),) * 3)] * limit)
    assert [len(message.tool_calls) for message in second[:2]] == [1, 0]
    assert len(second) == limit - 1 + 2
    assert second[-2].text == "[1 messages are not shown]"
    assert second[-1].text == f"[{3 * (limit - 1) - 1:,} tool calls are not shown]"


def test_files_stand_beside_the_text_and_their_number_is_limited() -> None:
    files = tuple(Attachment("image", address=f"https://pics.example/{number}") for number in range(700))
    text = "\n".join(["Look:", *(file.mention for file in files), f"See {files[0].mention}"])
    first, second = presentation.RenderBudget().fit([Message("user", text, attachments=files)] * 2)
    assert (first.text, first.attachments) == (f"Look:\nSee {files[0].mention}", files)
    assert len(second.attachments) == presentation.MAX_SHOWN - 700
