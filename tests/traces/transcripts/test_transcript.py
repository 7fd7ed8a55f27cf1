"""Spans, traces and sessions as conversations."""

from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from tests.pictures import data_uri, png
from tests.traces.recorded import by_session, by_trace, capture, recording, row, spoken, told
from traces.records import PayloadRecord
from traces.transcripts.transcript import input_preview, output_preview, session_transcript, span_transcript

SYSTEM = {"role": "system", "content": "Be kind."}
HELLO = {"role": "user", "content": "Where is my order?"}
ASK = {
    "role": "assistant",
    "tool_calls": [{"id": "call_1", "function": {"name": "look_up", "arguments": '{"id":7}'}}],
}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "shipped"}
ANSWER = {"role": "assistant", "content": "It has shipped."}
LOOP = ["system: Be kind.", "user: Where is my order?", 'assistant > look_up({"id":7}) = shipped']


def test_it_shows_a_tool_loop_once_with_results_inline() -> None:
    transcript = spoken(
        row(1, None, "AGENT", input="Where is my order?", output="It has shipped."),
        row(2, 1, input_messages=[SYSTEM, HELLO], output_messages=[ASK]),
        row(3, 1, "TOOL", input='{"id":7}', output="shipped", attributes={"tool_call.id": "call_1"}, name="look_up"),
        row(4, 1, input_messages=[SYSTEM, HELLO, ASK, RESULT], output_messages=[ANSWER]),
    )
    assert told(transcript) == [*LOOP, "assistant: It has shipped."]
    assert [message.span_id for message in transcript.messages] == [2, 2, 2, 4]
    assert [message.produced for message in transcript.messages] == [False, False, True, True]
    call = transcript.messages[2].tool_calls[0]
    assert (call.span_id, call.duration_us, call.id) == (3, 500_000, "call_1")
    assert {message.trace_id for message in transcript.messages} == {UUID(int=1)}


def test_it_takes_the_result_from_the_tool_span_when_no_call_follows() -> None:
    transcript = spoken(
        row(2, 1, input_messages=[HELLO], output_messages=[ASK]),
        row(3, 1, "TOOL", output="shipped", attributes={"tool.name": "look_up"}),
    )
    assert told(transcript)[-1] == LOOP[-1]


def test_it_matches_tools_without_ids_by_name_and_order() -> None:
    ask = {"role": "assistant", "tool_calls": [{"name": name, "args": {"n": n}} for n, name in enumerate("aba")]}
    transcript = spoken(
        row(1, None, input_messages=[HELLO], output_messages=[ask]),
        row(2, 1, "TOOL", output="one", name="a"),
        row(3, 1, "TOOL", output="two", name="b"),
        row(4, 1, "TOOL", output="three", name="tool.a"),
    )
    assert [call.result for call in transcript.messages[-1].tool_calls] == ["one", "two", "three"]


def test_it_gives_a_result_with_an_id_to_the_call_that_lost_its_own() -> None:
    call = {"function_call": {"name": "look_up", "arguments": '{"id":7}'}}
    lost = {"role": "assistant", "parts": []}
    transcript = spoken(
        row(2, 1, input_messages=[SYSTEM, HELLO], output_messages=[call]),
        row(3, 1, input_messages=[SYSTEM, HELLO, lost, RESULT], output_messages=[ANSWER]),
    )
    assert told(transcript) == [*LOOP, "assistant: It has shipped."]


def test_it_unpacks_what_a_decorated_function_got_and_gave() -> None:
    packed = '{"args": ["Where is my order?"], "kwargs": {}}'
    transcript = spoken(
        row(1, None, "AGENT", input=packed, output='"It has \\"shipped\\"."'),
        row(2, 1, "TOOL", input='{"args": [], "kwargs": {"id":7}}', output='"shipped"', name="look_up"),
    )
    assert told(transcript) == [
        "user: Where is my order?",
        'assistant > look_up({"id": 7}) = shipped',
        'assistant: It has "shipped".',
    ]
    assert input_preview(PayloadRecord(input=packed)) == "Where is my order?"


def test_it_reads_the_tasks_and_the_output_of_a_crew() -> None:
    tasks = '[{"description": "Where is my order?", "expected_output": "A sentence.", "agent_role": "support"}]'
    output = '{"raw": "It has shipped.", "pydantic": null, "json_dict": null, "tasks_output": [{"raw": "No."}]}'
    crew = row(1, None, "CHAIN", input=tasks, output=output)
    assert told(spoken(crew)) == ["user: Where is my order?", "assistant: It has shipped."]


def test_it_reads_a_text_beside_empty_lists() -> None:
    transcript = spoken(row(1, None, "AGENT", output='{"text": "It has shipped.", "files": [], "warnings": []}'))
    assert told(transcript) == ["assistant: It has shipped."]


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ({"type": "text", "value": "shipped"}, "shipped"),
        ({"type": "json", "value": {"state": "shipped"}}, '{"state": "shipped"}'),
        ({"type": "error-text", "value": "lost"}, "!lost"),
    ],
)
def test_it_reads_calls_and_results_of_vercel(output: dict[str, Any], shown: str) -> None:
    asked = '[{"toolCallId":"call_1","toolName":"look_up","input":"{\\"id\\":7}"}]'
    prompt = '{"system": "Be kind.", "prompt": "Where is my order?"}'
    result = {"type": "tool-result", "toolCallId": "call_1", "toolName": "look_up", "output": output}
    transcript = spoken(
        row(1, None, "CHAIN", input=prompt),
        row(2, 1, output=asked),
        row(3, 1, input_messages=[{"role": "tool", "content": [result]}], output="It has shipped."),
    )
    start = ["system: Be kind.", "user: Where is my order?"]
    assert told(transcript) == [*start, f'assistant > look_up({{"id":7}}) = {shown}', "assistant: It has shipped."]
    assert input_preview(PayloadRecord(input=prompt)) == "Where is my order?"


@pytest.mark.parametrize("packed", ['{"args": [1, 2], "kwargs": {}}', '{"args": 1, "kwargs": {}}', '"open', '"'])
def test_it_shows_what_it_cannot_unpack_as_it_is(packed: str) -> None:
    assert told(spoken(row(1, None, "AGENT", input=packed))) == [f"user: {packed}"]


def test_it_tells_tools_apart_that_share_an_id() -> None:
    calls = [{"id": "call_1", "function": {"name": name, "arguments": "{}"}} for name in ("look_up", "calculate")]
    transcript = spoken(
        row(1, None, input_messages=[HELLO], output_messages=[{"role": "assistant", "tool_calls": calls}]),
        row(2, 1, "TOOL", output="7", attributes={"tool_call.id": "call_1"}, name="tool.calculate"),
        row(3, 1, "TOOL", output="shipped", attributes={"tool_call.id": "call_1"}, name="tool.look_up"),
    )
    assert [call.result for call in transcript.messages[-1].tool_calls] == ["shipped", "7"]


def test_it_tells_a_call_that_is_only_heard_of_later_once() -> None:
    transcript = spoken(
        row(1, None, input_messages=[SYSTEM, HELLO]),
        row(2, 1, "TOOL", output="shipped", name="look_up"),
        row(3, 1, input_messages=[SYSTEM, HELLO, ASK, RESULT], output_messages=[ANSWER]),
    )
    assert told(transcript) == [*LOOP, "assistant: It has shipped."]


def test_it_shows_tools_that_nobody_asked_for_as_steps() -> None:
    transcript = spoken(
        row(1, None, "CHAIN", input="find it", output="found"),
        row(2, 1, "RETRIEVER", input="it", output="documents", name="search"),
    )
    assert told(transcript) == ["user: find it", "assistant > search(it) = documents", "assistant: found"]


@pytest.mark.parametrize(
    ("question", "first"),
    [("Where is my order?", "user: Where is my order?"), ("Hello", "assistant > search() = day 3")],
)
def test_it_puts_a_question_before_what_was_looked_up_for_it(question: str, first: str) -> None:
    transcript = spoken(
        row(1, None, "AGENT", input=question, output="It has shipped."),
        row(2, 1, "RETRIEVER", output="day 3", name="search"),
        row(3, 1, input_messages=[HELLO], output_messages=[ANSWER]),
    )
    assert told(transcript)[0] == first
    assert len(told(transcript)) == 3


def test_it_puts_history_that_a_later_call_resends_before_what_it_led_to() -> None:
    router = {"role": "system", "content": "Route."}
    past = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    transcript = spoken(
        row(1, None, input_messages=[router, HELLO], output_messages=[{"role": "assistant", "content": "orders"}]),
        row(2, None, input_messages=[SYSTEM, *past, HELLO], output_messages=[ANSWER]),
    )
    assert told(transcript) == [
        "system: Route.",
        "system: Be kind.",
        "user: Hi",
        "assistant: Hello!",
        "user: Where is my order?",
        "assistant: orders",
        "assistant: It has shipped.",
    ]


def test_it_keeps_the_same_words_said_twice() -> None:
    yes = {"role": "user", "content": "Yes."}
    more = {"role": "assistant", "content": "Sure?"}
    transcript = spoken(
        row(1, None, input_messages=[HELLO, more, yes], output_messages=[more]),
        row(2, None, input_messages=[HELLO, more, yes, more, yes], output_messages=[ANSWER]),
    )
    assert [message.text for message in transcript.messages].count("Yes.") == 2
    assert [message.text for message in transcript.messages].count("Sure?") == 2


def test_it_shows_an_answer_that_two_instrumentations_saw_once() -> None:
    transcript = spoken(
        row(1, None, input_messages=[HELLO], output_messages=[ANSWER]),
        row(2, 1, input_messages=[HELLO], output_messages=[ANSWER]),
        row(3, 1, input_messages=[HELLO]),
    )
    assert told(transcript) == ["user: Where is my order?", "assistant: It has shipped."]


def shown(picture: bytes) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": data_uri(picture)}}]}


def test_it_tells_a_picture_that_is_sent_again_from_another_one() -> None:
    one, same_size = shown(png(8, 4)), shown(png(4, 8)[:16] + png(8, 4)[16:])
    transcript = spoken(
        row(1, None, input_messages=[one], output_messages=[ANSWER]),
        row(2, None, input_messages=[one, ANSWER, same_size]),
    )
    files = [attachment for message in transcript.messages for attachment in message.attachments]
    assert [(file.span_id, file.size_bytes) for file in files] == [(1, len(png(8, 4))), (2, len(png(8, 4)))]


def test_it_shows_a_system_prompt_that_only_changes_its_clock_once() -> None:
    prompts = [{"role": "system", "content": f"It is 12:0{minute}."} for minute in range(3)]
    transcript = spoken(*(row(n, None, input_messages=[prompt, HELLO]) for n, prompt in enumerate(prompts)))
    assert told(transcript) == ["system: It is 12:00.", "user: Where is my order?"]


def test_it_shows_what_the_user_got_when_that_is_not_what_the_model_said() -> None:
    transcript = spoken(
        row(1, None, "AGENT", input="Where is my order?", output="I may not say."),
        row(2, 1, input_messages=[HELLO], output_messages=[ANSWER]),
    )
    assert told(transcript)[-2:] == ["assistant: It has shipped.", "assistant: I may not say."]
    assert transcript.messages[-1].span_id == 1


@pytest.mark.parametrize(
    ("given", "produced"),
    [
        ("hi", "hello"),
        ('{"question": "hi"}', '{"answer": "hello"}'),
        (
            '{"messages": [{"role": "user", "content": "hi"}]}',
            '{"messages": [{"type": "ai", "data": {"content": "hello"}}]}',
        ),
        ('{"input": "hi"}', '{"output": "hello"}'),
    ],
)
def test_it_falls_back_to_the_outermost_input_and_output(given: str, produced: str) -> None:
    transcript = spoken(
        row(1, None, "AGENT"),
        row(2, 1, "CHAIN", input=given, output=produced),
        row(3, 2, "LLM"),
    )
    assert told(transcript) == ["user: hi", "assistant: hello"]


def test_what_a_check_returns_is_nobody_s_answer() -> None:
    guard = row(2, 1, "GUARDRAIL", input="Where is my order?", output="pass", name="guardrail.input")
    judge = row(3, 1, "EVALUATOR", input="It has shipped.", output="0.9")
    assert told(spoken(row(1, None, "AGENT", input="Where is my order?"), guard, judge)) == ["user: Where is my order?"]
    assert told(spoken(row(1, None, "AGENT"), guard)) == ["user: Where is my order?"], "what is checked was said"
    assert told(spoken(guard)) == ["user: Where is my order?", "assistant: pass"], "alone, it is the whole run"


def test_it_loses_nothing_of_an_answer_that_is_data() -> None:
    transcript = spoken(row(1, None, "AGENT", input="hi", output='{"answer": "42", "confidence": 0.9}'))
    assert transcript.messages[-1].text == '{"answer": "42", "confidence": 0.9}'


def test_it_does_without_root_and_with_open_spans() -> None:
    transcript = spoken(
        row(2, 99, input_messages=[HELLO], output_messages=[ASK], duration_us=None),
        row(3, 98, "TOOL", input="x", name="look_up", duration_us=None),
    )
    assert told(transcript) == ["user: Where is my order?", 'assistant > look_up({"id":7}) = None']


def test_it_survives_spans_that_are_each_other_s_parent() -> None:
    assert told(spoken(row(1, 2, "AGENT", input="hi"), row(2, 1, "CHAIN", output="ho"))) == [
        "user: hi",
        "assistant: ho",
    ]


def test_it_is_empty_when_the_spans_carry_no_content() -> None:
    assert not spoken(row(1, None, "AGENT"), row(2, 1))
    assert not spoken()


def exception(message: str, kind: str = "Timeout") -> dict[str, Any]:
    return {"name": "exception", "attributes": {"exception.type": kind, "exception.message": message}}


def test_it_tells_an_error_once_however_often_it_was_recorded() -> None:
    boom: dict[str, Any] = {"status": "error", "status_message": "Timeout: no answer", "duration_us": 9_000_000}
    boom["events"] = [exception("no answer")] * 2
    transcript = spoken(
        row(1, None, "AGENT", input="hi", **boom),
        row(2, 1, "CHAIN", **boom),
        row(3, 2, input_messages=[HELLO], **boom),
    )
    assert told(transcript) == ["user: Where is my order?", "assistant:  !Timeout: no answer"]


def test_it_shows_the_error_of_a_tool_in_its_call() -> None:
    transcript = spoken(
        row(1, None, "AGENT", status="error", events=[exception("db down")]),
        row(2, 1, input_messages=[HELLO], output_messages=[ASK]),
        row(3, 1, "TOOL", name="look_up", status="error", events=[exception("db down")]),
    )
    assert told(transcript) == ["user: Where is my order?", 'assistant > look_up({"id":7}) = !Timeout: db down']


def test_it_shows_an_error_of_the_run_at_its_end() -> None:
    transcript = spoken(
        row(1, None, "AGENT", input="hi", output="I can't.", status="error", status_message="Agent outcome failure")
    )
    assert told(transcript) == ["user: hi", "assistant: I can't. !Agent outcome failure"]


def test_it_leaves_the_traceback_out_of_an_error() -> None:
    message = "ValueError('no')Traceback (most recent call last):\n  File x"
    transcript = spoken(row(1, None, input_messages=[HELLO], status="error", status_message=message))
    assert transcript.messages[-1].error == "ValueError('no')"


def test_it_shows_one_span_by_itself() -> None:
    span, payload = row(1, None, input_messages=[HELLO], output_messages=[ANSWER])
    assert told(span_transcript(span, payload)) == ["user: Where is my order?", "assistant: It has shipped."]
    span, payload = row(1, None, "TOOL", input="7", output="shipped", name="look_up")
    assert told(span_transcript(span, payload)) == ["assistant > look_up(7) = shipped"]
    span, payload = row(1, None, "CHAIN", input="hi", output="ho", status="error", status_message="late")
    assert told(span_transcript(span, payload)) == ["user: hi", "assistant: ho !late"]


def turn(number: int, given: list[Any], answer: str) -> Any:
    said = [{"role": "assistant", "content": answer}]
    return spoken(row(1, None, input_messages=given, output_messages=said, trace_id=UUID(int=number)))


def test_it_joins_turns_without_the_history_they_resend() -> None:
    first = [SYSTEM, HELLO]
    second = [*first, ANSWER, {"role": "user", "content": "When?"}]
    session = session_transcript([turn(1, first, "It has shipped."), turn(2, second, "Friday.")])
    assert told(session) == [
        "system: Be kind.",
        "user: Where is my order?",
        "assistant: It has shipped.",
        "user: When?",
        "assistant: Friday.",
    ]
    assert [(trace_id, len(said)) for trace_id, said in session.turns()] == [(UUID(int=1), 3), (UUID(int=2), 2)]


def test_it_keeps_a_turn_that_asks_the_same_again() -> None:
    session = session_transcript([turn(1, [SYSTEM, HELLO], "Shipped."), turn(2, [SYSTEM, HELLO], "Still shipped.")])
    assert told(session)[1:] == [
        "user: Where is my order?",
        "assistant: Shipped.",
        "user: Where is my order?",
        "assistant: Still shipped.",
    ]


def test_it_gives_a_call_the_result_that_the_next_turn_knows() -> None:
    asked = spoken(row(1, None, input_messages=[HELLO], output_messages=[ASK]))
    answered = turn(2, [HELLO, ASK, RESULT], "It has shipped.")
    assert told(session_transcript([asked, answered])) == [*LOOP[1:], "assistant: It has shipped."]


def test_it_leaves_out_a_result_that_a_later_turn_resends_without_its_call() -> None:
    first = spoken(
        row(1, None, input_messages=[HELLO], output_messages=[ASK]),
        row(2, 1, input_messages=[HELLO, ASK, RESULT], output_messages=[ANSWER]),
    )
    unanswered = spoken(row(1, None, input_messages=[HELLO], output_messages=[ASK]))
    second = turn(2, [RESULT, {"role": "user", "content": "When?"}], "Friday.")
    told_twice = [*LOOP[1:], "assistant: It has shipped.", "user: When?", "assistant: Friday."]
    assert told(session_transcript([first, second])) == told_twice
    assert told(session_transcript([unanswered, second])) == [line for line in told_twice if "has shipped" not in line]


def test_it_tells_a_result_once_when_a_window_of_the_history_begins_with_it() -> None:
    transcript = spoken(
        row(1, None, input_messages=[HELLO], output_messages=[ASK]),
        row(2, 1, input_messages=[HELLO, ASK, RESULT], output_messages=[ANSWER]),
        row(3, 1, input_messages=[RESULT, ANSWER], output_messages=[{"role": "assistant", "content": "Done."}]),
    )
    assert told(transcript) == [*LOOP[1:], "assistant: It has shipped.", "assistant: Done."]


def test_it_previews_the_last_user_message_and_the_final_answer() -> None:
    payload = PayloadRecord(input_messages=[SYSTEM, HELLO], output_messages=[ANSWER], input="{}", output="{}")
    assert (input_preview(payload), output_preview(payload)) == ("Where is my order?", "It has shipped.")
    payload = PayloadRecord(
        input="  Where is\n my order? ", output='{"messages": [{"role": "ai", "content": "Gone."}]}'
    )
    assert (input_preview(payload), output_preview(payload)) == ("Where is my order?", "Gone.")
    assert output_preview(PayloadRecord(output_messages=[ASK])) == "look_up"
    assert input_preview(PayloadRecord()) == ""


def test_it_previews_at_most_300_characters() -> None:
    preview = input_preview(PayloadRecord(input="word " * 500))
    assert len(preview) <= 300
    assert preview.endswith("…")


def test_it_previews_huge_payloads_without_reading_them() -> None:
    huge = orjson.dumps({"messages": [{"role": "user", "content": "x" * 10_000_000}]}).decode()
    payload = PayloadRecord(input=huge, input_messages=[{"role": "tool", "content": "y"}] * 100_000)
    assert input_preview(payload).startswith('{"messages":[{"role":"user","content":"xxx')


TWO_TURNS = {
    "catalyst_anthropic": [
        "system: You are support.",
        "user: Hello",
        "assistant: Hello from Claude.",
        "user: Where is my order?",
        "assistant: Let me look that up.",
        'assistant > lookup_order({"order_id": "ABC-123"}) = shipped',
        "assistant: Order ABC-123 shipped on Tuesday.",
    ],
    "catalyst_js_openai": [
        "system: s",
        "user: Hello",
        "assistant: Hello, how can I help? (Hello)",
        "user: Where is my order?",
        'assistant > lookup_order({"order_id":"ABC-123"}) = shipped',
        "assistant: Your order ABC-123 has shipped and arrives Friday.",
    ],
    "catalyst_openai": [
        "system: You are a refund assistant.",
        "user: Hi there",
        "assistant: Hello, how can I help? (Hi there)",
        "user: Where is my order ABC-123?",
        'assistant > lookup_order({"order_id":"ABC-123"}) = {"order_id":"ABC-123","status":"shipped"}',
        "assistant: Your order ABC-123 has shipped and arrives Friday.",
        "user: Thanks, that is great",
        "assistant: Hello, how can I help? (Thanks, that is grea)",
    ],
    "catalyst_openai_agents": [
        "system: orders",
        "user: Hello",
        "assistant: Hi there.",
        "user: Where is my order?",
        'assistant > lookup_order({"order_id":"ABC-123"}) = shipped',
        "assistant: Your order ABC-123 has shipped.",
    ],
    "genai_openai_v2_default": ['assistant > lookup_order({"order_id":"ABC-123"}) = shipped'],
    "openinference_langchain": [
        "user: Hello",
        "assistant: Hello, how can I help? (Hello)",
        "user: Where is my order?",
        'assistant > lookup_order({"order_id": "ABC-123"}) = shipped',
        "assistant: Your order ABC-123 has shipped and arrives Friday.",
    ],
    "openinference_openai": [
        "system: sys",
        "user: Hello",
        "assistant: Hello, how can I help? (Hello)",
        "user: Where is my order?",
        'assistant > lookup_order({"order_id":"ABC-123"}) = shipped',
        "assistant: Your order ABC-123 has shipped and arrives Friday.",
    ],
    "openinference_openai_agents": [
        "system: orders",
        "user: Hello",
        "assistant: Hi there.",
        "user: Where is my order?",
        'assistant > lookup_order({"order_id":"ABC-123"}) = shipped',
        "assistant: Your order ABC-123 has shipped.",
    ],
    "otel_js_json": ["user: hé 🙂", "assistant:  !bad"],
}
TWO_TURNS["openinference_openai_gzip"] = TWO_TURNS["openinference_openai"]


@pytest.mark.parametrize("scenario", TWO_TURNS)
def test_it_reads_what_real_sdks_send(shared: Path, scenario: str) -> None:
    sessions = by_session(by_trace(capture(shared / "captures" / scenario)))
    assert TWO_TURNS[scenario] in [told(transcript) for transcript, _ in sessions.values()]


@pytest.mark.parametrize("scenario", TWO_TURNS)
def test_it_tells_no_message_twice_in_a_row(shared: Path, scenario: str) -> None:
    for transcript, _ in by_session(by_trace(capture(shared / "captures" / scenario))).values():
        lines = told(transcript)
        assert not [line for line, after in pairwise(lines) if line == after]


@pytest.mark.slow
def test_it_reads_a_whole_recording(shared: Path) -> None:
    sessions = by_session(by_trace(recording(shared / "data" / "airline.otlp.jsonl.gz")))
    assert len(sessions) == 100
    for transcript, _ in sessions.values():
        assert not [message for message in transcript.messages if message.role == "tool"]
        assert not [message for message in transcript.messages if message.text.startswith("[{")]
