"""Messages that are not exactly a JSON list of objects."""

import json
from typing import Any

import pytest

from tests.traces.cases.sender import Sender, span

pytestmark = [pytest.mark.real_clock, pytest.mark.django_db]

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
ASKED = "Where is my parcel?"
USER = {"role": "user", "content": ASKED}
PACKED = json.dumps([USER])

FORMS: dict[str, Any] = {
    "a list": PACKED,
    "white space around it": f"\n  {PACKED} \n",
    "a byte order mark": f"\ufeff{PACKED}",
    "one object": json.dumps(USER),
    "structured list": [USER],
    "structured object": USER,
    "structured parts": [{"role": "user", "parts": [{"type": "text", "content": ASKED}]}],
    "wrapped in messages": json.dumps({"messages": [USER]}),
    "structured wrapper": {"messages": [USER]},
    "request of OpenAI": json.dumps({"model": "gpt-4o", "temperature": 0, "messages": [USER]}),
    "request of the Responses API": json.dumps({"model": "gpt-4o", "input": [USER]}),
    "request of the Responses API with text": json.dumps({"model": "gpt-4o", "input": ASKED}),
    "request of Gemini": json.dumps({"contents": [{"role": "user", "parts": [{"text": ASKED}]}]}),
    "list of JSON texts": [json.dumps(USER)],
    "packed list of JSON texts": json.dumps([json.dumps(USER)]),
    "encoded twice": json.dumps(PACKED),
    "encoded three times": json.dumps(json.dumps(PACKED)),
    "a list in a list": json.dumps([[USER]]),
    "with NaN": PACKED.replace("}", ', "score": NaN}'),
    "with Infinity": PACKED.replace("}", ', "score": -Infinity}'),
    "Python's quotes": str([USER]),
    "Python's None": str([{**USER, "name": None, "stream": True}]),
    "trailing comma": PACKED.replace("}]", "},]"),
    "lines of JSON": f"{json.dumps(USER)}\n",
    "extra fields": json.dumps([{**USER, "id": 7, "created": 1.5, "meta": {"x": [None]}}]),
    "part without a type": json.dumps([{"role": "user", "content": [{"text": ASKED}]}]),
    "one part": json.dumps([{"role": "user", "content": {"type": "text", "text": ASKED}}]),
    "parts as texts": json.dumps([{"role": "user", "content": [ASKED]}]),
    "an empty part beside it": json.dumps([{"role": "user", "content": [{"type": "text", "text": ASKED}, {}, None]}]),
    "null part beside it": json.dumps(
        [{"role": "user", "parts": [{"type": "text", "content": None}, {"type": "text", "content": ASKED}]}]
    ),
    "null message beside it": json.dumps([None, USER]),
    "role in capitals": json.dumps([{"role": "USER", "content": ASKED}]),
    "LangChain's type": json.dumps([{"type": "human", "content": ASKED}]),
    "LangChain's role": json.dumps([{"role": "human", "content": ASKED}]),
    "LangChain's constructor": json.dumps(
        [
            [
                {
                    "lc": 1,
                    "type": "constructor",
                    "id": ["langchain", "schema", "HumanMessage"],
                    "kwargs": {"content": ASKED},
                }
            ]
        ]
    ),
    "LangChain's data": json.dumps([{"type": "human", "data": {"content": ASKED, "type": "human"}}]),
    "a pair": json.dumps([["user", ASKED]]),
    "escaped characters": json.dumps([USER]).replace("W", "\\u0057"),
    "a message in message": json.dumps([{"message": USER}]),
}


@pytest.mark.parametrize("sent", FORMS.values(), ids=FORMS)
def test_it_reads_the_question(sender: Sender, sent: Any) -> None:
    sender.send(span(CHAT | {INPUT: sent}))
    assert sender.said() == [("user", ASKED)]
    assert sender.trace.input_preview == ASKED


ANSWER = "It arrives on Tuesday."
SAID = {"role": "assistant", "content": ANSWER}
ANSWERS: dict[str, Any] = {
    "a list": json.dumps([SAID]),
    "parts": json.dumps(
        [{"role": "assistant", "parts": [{"type": "text", "content": ANSWER}], "finish_reason": "stop"}]
    ),
    "one object": json.dumps(SAID),
    "without a role": json.dumps([{"content": ANSWER}]),
    "plain text": ANSWER,
    "a JSON text": json.dumps(ANSWER),
    "reply of OpenAI": json.dumps({"id": "c1", "choices": [{"index": 0, "message": SAID, "finish_reason": "stop"}]}),
    "choices": json.dumps([{"index": 0, "message": SAID, "finish_reason": "stop"}]),
    "reply of Anthropic": json.dumps(
        {"type": "message", "role": "assistant", "content": [{"type": "text", "text": ANSWER}]}
    ),
    "reply of the Responses API": json.dumps(
        {"output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": ANSWER}]}]}
    ),
    "reply of Gemini": json.dumps({"candidates": [{"content": {"role": "model", "parts": [{"text": ANSWER}]}}]}),
    "reply of Bedrock": json.dumps({"output": {"message": {"role": "assistant", "content": [{"text": ANSWER}]}}}),
    "LangChain's generations": json.dumps({"generations": [[{"text": ANSWER, "type": "ChatGeneration"}]]}),
    "LangChain's role": json.dumps([{"type": "ai", "content": ANSWER}]),
    "role model": json.dumps([{"role": "model", "parts": [{"text": ANSWER}]}]),
}


@pytest.mark.parametrize("sent", ANSWERS.values(), ids=ANSWERS)
def test_it_reads_the_answer(sender: Sender, sent: Any) -> None:
    sender.send(span(CHAT | {INPUT: PACKED, OUTPUT: sent}))
    assert sender.said() == [("user", ASKED), ("assistant", ANSWER)]


LONG = [
    {"role": "system", "content": "Be brief. "},
    {"role": "user", "content": "First things first: " + "tell me “more” 🎲 " * 40 + "at\nlast."},
]


@pytest.mark.parametrize("ensure_ascii", [True, False], ids=["escaped", "unescaped"])
@pytest.mark.parametrize(
    "keep", [110, 200, 201, 202, 203, 204, 205, 206, 207, 208, 209, 210, 211, 212, 400, -1, -2, -3]
)
@pytest.mark.parametrize("mark", ["", "...", "…", "[truncated]", "... [TRUNCATED 4 chars]"])
def test_it_shows_what_a_cut_text_holds(sender: Sender, keep: int, mark: str, ensure_ascii: bool) -> None:
    sender.send(span(CHAT | {INPUT: json.dumps(LONG, ensure_ascii=ensure_ascii)[:keep] + mark}))
    said = sender.said()
    assert [role for role, _ in said] == ["system", "user"]
    assert said[1][1].startswith("First things first:")
    assert not {"{", "\\", "}"} & set(said[1][1].removesuffix(mark))


@pytest.mark.parametrize("mark", ["", "...", "[truncated]"])
@pytest.mark.parametrize("text", ["\\(x\\) is (small", "C:\\", "C:\\temp", "\\u0041", 'say "no" (twice', "a\\\\(b"])
def test_a_text_with_backslashes_is_cut_whole(sender: Sender, text: str, mark: str) -> None:
    sender.send(span(CHAT | {INPUT: json.dumps([USER, {"role": "user", "content": text}])[:-3] + mark}))
    assert sender.said() == [("user", ASKED), ("user", text + mark)]


@pytest.mark.parametrize(
    "text",
    [
        "{(1, 2): 'a'}",
        "{1: {2, 3}}",
        "[" * 90 + "'a'" + "]" * 90,
        "{'a': 1e999}",
        "[b'bytes']",
        "{'a': " + "9" * 5_000 + "}",
    ],
)
def test_odd_python_does_no_harm(sender: Sender, text: str) -> None:
    sender.send(span(CHAT | {INPUT: text, OUTPUT: json.dumps([SAID])}))
    assert sender.said()[-1] == ("assistant", ANSWER)


@pytest.mark.parametrize("keep", [2, 9, 12, 16, 21])
def test_a_text_that_is_cut_before_anything_was_said_is_no_error(sender: Sender, keep: int) -> None:
    sender.send(span(CHAT | {INPUT: PACKED[:keep], OUTPUT: json.dumps([SAID])}))
    assert sender.said()[-1] == ("assistant", ANSWER)


def test_a_cut_request_shows_its_question(sender: Sender) -> None:
    request = json.dumps({"model": "gpt-4o", "messages": [USER, {"role": "assistant", "content": "x" * 500}]})
    sender.send(span({"openinference.span.kind": "LLM", "input.value": request[:300], "output.value": ANSWER}))
    assert ASKED in sender.shown()
    assert ANSWER in sender.shown()


@pytest.mark.parametrize(
    "nothing",
    ["", "[]", "{}", "null", '""', "[null]", "[{}]", '[{"role": "assistant", "content": null}]', [], {}, " ", "[[]]"],
    ids=repr,
)
def test_nothing_said_is_nothing_shown(sender: Sender, nothing: Any) -> None:
    sender.send(span(CHAT | {INPUT: PACKED, OUTPUT: nothing}))
    assert sender.said() == [("user", ASKED)]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "content": None},
        {"type": "text", "text": None},
        {"type": "text"},
        {"type": "text", "text": ""},
        None,
        {},
    ],
    ids=repr,
)
def test_an_empty_part_says_nothing(sender: Sender, part: Any) -> None:
    for side, text in ((INPUT, PACKED), (OUTPUT, json.dumps([{"role": "assistant", "parts": [part]}]))):
        sender.send(span(CHAT | {INPUT: PACKED, side: text}, number=1 + (side == OUTPUT)))
    assert [said for said in sender.said() if said[0] == "assistant"] == []


@pytest.mark.parametrize(
    "text",
    [
        "a plain question",
        "{not json}",
        "[1, 2, 3",
        "{{template}}",
        "42",
        "true story",
        "“quoted”",
        "[INST] hi [/INST]",
        '{"a": 1} and {"b": 2}',
        "日本語の質問です",
        "- a list\n- of things",
    ],
    ids=repr,
)
def test_plain_text_is_the_question(sender: Sender, text: str) -> None:
    sender.send(span(CHAT | {INPUT: text, OUTPUT: "fine"}))
    assert sender.said() == [("user", text), ("assistant", "fine")]


def test_several_texts_are_several_messages(sender: Sender) -> None:
    sender.send(span(CHAT | {INPUT: [json.dumps({"role": "system", "content": "Be brief."}), json.dumps(USER)]}))
    assert sender.said() == [("system", "Be brief."), ("user", ASKED)]
