"""Parts of messages beside text: thinking, refusals, citations, and parts that hold nothing."""

from typing import Any

import pytest

from traces.conventions.citations import Citation
from traces.conventions.message_formats import Message, read


def said(*parts: dict[str, Any], role: str = "user") -> list[Message]:
    return read([{"role": role, "content": list(parts)}], role)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "reasoning", "content": "I add two and two"},
        {"type": "thinking", "thinking": "I add two and two", "signature": "x"},
        {"type": "reasoning", "text": "I add two and two"},
        {"text": "I add two and two", "thought": True},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "I add two and two"}]},
        {"type": "thinking", "thinking": [{"type": "text", "text": "I add two and two"}]},
        {"reasoningContent": {"reasoningText": {"text": "I add two and two", "signature": "x"}}},
    ],
)
def test_thinking_stands_beside_the_answer(part: dict[str, Any]) -> None:
    (message,) = said(part, {"type": "text", "text": "4"}, role="assistant")
    assert (message.text, message.thinking) == ("4", "I add two and two")


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_thinking_may_stand_beside_the_content(name: str) -> None:
    (message,) = read([{"role": "assistant", "content": "4", name: "I add two and two"}], "assistant")
    assert (message.text, message.thinking) == ("4", "I add two and two")


@pytest.mark.parametrize("content", [None, "", []])
def test_a_part_without_text_says_nothing(content: object) -> None:
    assert said({"type": "text", "content": content}, role="assistant") == []
    (message,) = said({"type": "text", "text": content}, {"type": "text", "text": "4"}, role="assistant")
    assert message.text == "4"


URL = "https://news.example/a"


@pytest.mark.parametrize(
    ("answer", "citations"),
    [
        (
            {
                "role": "assistant",
                "content": "4",
                "annotations": [
                    {"type": "url_citation", "url_citation": {"url": URL, "title": "News", "end_index": 1}}
                ],
            },
            [Citation("News", URL)],
        ),
        (
            {
                "type": "message",
                "role": "assistant",
                "content": [
                    {
                        "type": "output_text",
                        "text": "4",
                        "annotations": [
                            {"type": "url_citation", "url": URL, "title": "News"},
                            {"type": "file_citation", "file_id": "file-7", "filename": "a.pdf", "index": 3},
                        ],
                    }
                ],
            },
            [Citation("News", URL), Citation("a.pdf", "file-7")],
        ),
        (
            {
                "role": "assistant",
                "content": [
                    {
                        "type": "text",
                        "text": "4",
                        "citations": [
                            {"type": "char_location", "cited_text": "Two and two.", "document_title": "Sums"},
                            {"type": "web_search_result_location", "url": URL, "title": "News", "cited_text": "Four."},
                        ],
                    }
                ],
            },
            [Citation("Sums", quote="Two and two."), Citation("News", URL, "Four.")],
        ),
        (
            {
                "candidates": [
                    {
                        "content": {"role": "model", "parts": [{"text": "4"}]},
                        "groundingMetadata": {"groundingChunks": [{"web": {"uri": URL, "title": "News"}}]},
                        "citationMetadata": {"citationSources": [{"uri": "https://code.example", "startIndex": 0}]},
                    }
                ]
            },
            [Citation(address="https://code.example"), Citation("News", URL)],
        ),
        (
            {
                "role": "assistant",
                "content": [
                    {
                        "citationsContent": {
                            "content": [{"text": "4"}],
                            "citations": [
                                {
                                    "title": "Sums",
                                    "sourceContent": [{"text": "Two."}],
                                    "location": {"web": {"url": URL}},
                                }
                            ],
                        }
                    }
                ],
            },
            [Citation("Sums", URL, "Two.")],
        ),
        (
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "4"},
                    {"type": "source", "sourceType": "url", "id": "1", "url": URL, "title": "News"},
                    {"type": "source-document", "sourceId": "2", "mediaType": "application/pdf", "title": "Sums"},
                ],
            },
            [Citation("News", URL), Citation("Sums")],
        ),
        (
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "4", "annotations": [{"type": "citation", "url": URL}]}],
            },
            [Citation(address=URL)],
        ),
        (
            {"choices": [{"message": {"role": "assistant", "content": "4"}}], "citations": [URL, "no address", 7]},
            [Citation(address=URL)],
        ),
    ],
    ids=["OpenAI Chat", "Responses", "Anthropic", "Gemini", "Bedrock", "Vercel", "LangChain", "Perplexity"],
)
def test_citations_stand_beside_the_answer(answer: dict[str, Any], citations: list[Citation]) -> None:
    (message,) = read(answer, "assistant")
    assert (message.text, list(message.citations)) == ("4", citations)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"role": "assistant", "content": None, "refusal": "I can't help."}, "I can't help."),
        ({"role": "assistant", "content": "Well.", "refusal": "I can't help."}, "Well.\nI can't help."),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "I can't help."}]}, "I can't help."),
        ({"role": "assistant", "content": [{"type": "text", "text": "I"}], "stop_reason": "refusal"}, "I"),
        ({"choices": [{"finish_reason": "content_filter", "message": {"role": "assistant", "content": None}}]}, ""),
        ({"candidates": [{"finishReason": "SAFETY"}]}, ""),
        ({"role": "assistant", "parts": [{"type": "text", "content": "I"}], "finish_reason": "content_filter"}, "I"),
    ],
)
def test_a_refusal_is_marked(answer: dict[str, Any], text: str) -> None:
    (message,) = read(answer, "assistant")
    assert (message.text, message.refused) == (text, True)


def test_an_answer_is_no_refusal() -> None:
    (message,) = read([{"role": "assistant", "content": "4", "refusal": None, "finish_reason": "stop"}], "assistant")
    assert message == Message("assistant", "4")
