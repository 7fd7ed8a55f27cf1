"""Parts of messages beside text: attachments, thinking, and parts that hold nothing."""

from typing import Any

import pytest

from traces.conventions.message_formats import Message, read

DATA = "iVBORw0KGgoAAAANSUhEUgAA" * 50


def said(*parts: dict[str, Any], role: str = "user") -> list[Message]:
    return read([{"role": role, "content": list(parts)}], role)


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        ({"type": "blob", "modality": "image", "mime_type": "image/png", "content": DATA}, "[image]"),
        ({"type": "blob", "mime_type": "audio/wav", "content": DATA}, "[audio]"),
        ({"type": "binary", "media_type": "image/png", "content": DATA}, "[image]"),
        ({"type": "binary", "content": DATA}, "[binary]"),
        ({"type": "media", "mime_type": "application/pdf", "data": DATA}, "[media]"),
        ({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}, "[image]"),
        (
            {"type": "image_url", "image_url": {"url": "https://pics.example/cat.png"}},
            "[image: https://pics.example/cat.png]",
        ),
        ({"type": "input_image", "image_url": "https://pics.example/cat.png"}, "[image: https://pics.example/cat.png]"),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}, "[image]"),
        (
            {"type": "image", "source": {"type": "url", "url": "https://pics.example/d"}},
            "[image: https://pics.example/d]",
        ),
        ({"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}}, "[audio]"),
        ({"type": "file", "file": {"file_id": "file-7"}}, "[file: file-7]"),
        ({"type": "file", "file": {"filename": "a.pdf", "file_data": DATA}}, "[file: a.pdf]"),
        ({"type": "input_file", "file_id": "file-8"}, "[file: file-8]"),
        (
            {"type": "uri", "modality": "image", "uri": "https://pics.example/cat.png"},
            "[image: https://pics.example/cat.png]",
        ),
        ({"type": "uri", "uri": "gs://bucket/a.mp4", "mime_type": "video/mp4"}, "[video: gs://bucket/a.mp4]"),
        ({"type": "document", "source": {"type": "base64", "data": DATA}}, "[document]"),
        ({"inlineData": {"mimeType": "image/png", "data": DATA}}, "[inlineData]"),
    ],
)
def test_an_attachment_is_named_and_its_data_are_left_out(part: dict[str, Any], shown: str) -> None:
    (message,) = said({"type": "text", "text": "What is it?"}, part)
    assert message == Message("user", f"What is it?\n{shown}")


def test_a_document_with_text_is_read() -> None:
    part = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "The policy."}}
    (message,) = said(part)
    assert "The policy." in message.text


@pytest.mark.parametrize(
    "part",
    [
        {"type": "reasoning", "content": "I add two and two"},
        {"type": "thinking", "thinking": "I add two and two", "signature": "x"},
        {"type": "reasoning", "text": "I add two and two"},
        {"text": "I add two and two", "thought": True},
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
