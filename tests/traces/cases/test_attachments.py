"""What a message holds beside text: shown as a word with its address, never as data."""

import base64
import json
from typing import Any

import pytest

from tests.traces.cases.sender import Sender, span

pytestmark = [pytest.mark.real_clock, pytest.mark.django_db]

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 6).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 6).decode()
WAV = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(range(256)) * 6).decode()
MP4 = base64.b64encode(b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 6).decode()
PDF = base64.b64encode(b"%PDF-1.7\n" + bytes(range(256)) * 6).decode()
TEXT = {"type": "text", "text": "What is this?"}

DATA: dict[str, tuple[dict[str, Any], str]] = {
    "conventions, blob": ({"type": "blob", "modality": "image", "mime_type": "image/png", "content": PNG}, "image"),
    "blob of audio": ({"type": "blob", "modality": "audio", "mime_type": "audio/wav", "content": WAV}, "audio"),
    "blob without a modality": ({"type": "blob", "mime_type": "image/jpeg", "content": JPEG}, "image"),
    "blob of video": ({"type": "blob", "modality": "video", "mime_type": "video/mp4", "content": MP4}, "video"),
    "blob named data": ({"type": "blob", "modality": "image", "mime_type": "image/png", "data": PNG}, "image"),
    "pydantic, binary": ({"type": "binary", "media_type": "image/png", "content": PNG}, "image"),
    "pydantic, binary file": ({"type": "binary", "media_type": "application/pdf", "content": PDF}, "document"),
    "OpenAI, data address": ({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}, "image"),
    "OpenAI, address as text": ({"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"}, "image"),
    "OpenAI, input_image": ({"type": "input_image", "image_url": f"data:image/jpeg;base64,{JPEG}"}, "image"),
    "OpenAI, audio": ({"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}, "audio"),
    "OpenAI, file": (
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
        "document",
    ),
    "OpenAI, input_file": (
        {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
        "document",
    ),
    "Anthropic, image": (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        "image",
    ),
    "Anthropic, document": (
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
        "document",
    ),
    "Gemini, snake case": ({"inline_data": {"mime_type": "image/png", "data": PNG}}, "image"),
    "Gemini, camel case": ({"inlineData": {"mimeType": "audio/wav", "data": WAV}}, "audio"),
    "Bedrock, image": ({"image": {"format": "png", "source": {"bytes": PNG}}}, "image"),
    "Bedrock, document": ({"document": {"format": "pdf", "name": "a", "source": {"bytes": PDF}}}, "document"),
    "Vercel, image": ({"type": "image", "image": PNG, "mimeType": "image/png"}, "image"),
    "Vercel, file": ({"type": "file", "data": PDF, "mediaType": "application/pdf"}, "document"),
    "Vercel, file that is an image": ({"type": "file", "data": JPEG, "mediaType": "image/jpeg"}, "image"),
    "Vercel, bytes by number": ({"type": "image", "image": {str(n): n % 256 for n in range(900)}}, "image"),
    "Node's buffer": ({"type": "image", "image": {"type": "Buffer", "data": [n % 256 for n in range(900)]}}, "image"),
    "LangChain, image": ({"type": "image", "source_type": "base64", "mime_type": "image/png", "data": PNG}, "image"),
    "LangChain 1": ({"type": "image", "base64": PNG, "mime_type": "image/png"}, "image"),
    "MCP, image": ({"type": "image", "data": PNG, "mimeType": "image/png"}, "image"),
    "MCP, resource": (
        {"type": "resource", "resource": {"uri": "file:///a.pdf", "mimeType": "application/pdf", "blob": PDF}},
        "document",
    ),
    "in lines of 76": (
        {"type": "blob", "modality": "image", "content": "\n".join(PNG[at : at + 76] for at in range(0, len(PNG), 76))},
        "image",
    ),
    "safe for addresses": (
        {"type": "blob", "modality": "image", "content": base64.urlsafe_b64encode(bytes(range(256)) * 6).decode()},
        "image",
    ),
}


def has_data(text: str) -> bool:
    """Whether a piece of any of the attachments is left."""
    return (
        any(data[at : at + 60] in text for data in (PNG, JPEG, WAV, MP4, PDF) for at in (0, 60, 600))
        or "97, 98" in text
    )


@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize(("part", "shown"), DATA.values(), ids=DATA)
def test_data_are_never_shown_as_text(sender: Sender, part: dict[str, Any], shown: str, side: str) -> None:
    role = "user" if side == "input" else "assistant"
    said = [{"role": role, "parts" if part.get("type") in {"blob", "binary"} else "content": [TEXT, part]}]
    sender.send(span(CHAT | {f"gen_ai.{side}.messages": json.dumps(said)}))
    (message,) = sender.transcript()
    assert (message.role, message.text) == (role, "What is this?")
    assert [file.kind for file in message.attachments] == [shown]
    preview = sender.trace.input_preview + sender.trace.output_preview
    assert "What is this?" in preview
    assert f"[{shown}" in preview
    assert not has_data(sender.shown() + preview)


PLACES: dict[str, tuple[dict[str, Any], str]] = {
    "conventions, uri": (
        {"type": "uri", "modality": "image", "uri": "https://pics.example/cat.png"},
        "https://pics.example/cat.png",
    ),
    "conventions, file": ({"type": "file", "modality": "image", "file_id": "file-123"}, "file-123"),
    "OpenAI, image": (
        {"type": "image_url", "image_url": {"url": "https://pics.example/cat.png"}},
        "https://pics.example/cat.png",
    ),
    "OpenAI, address as text": (
        {"type": "image_url", "image_url": "https://pics.example/cat.png"},
        "https://pics.example/cat.png",
    ),
    "OpenAI, input_image": (
        {"type": "input_image", "image_url": "https://pics.example/cat.png"},
        "https://pics.example/cat.png",
    ),
    "OpenAI, input_file": ({"type": "input_file", "file_id": "file-123"}, "file-123"),
    "OpenAI, file": ({"type": "file", "file": {"file_id": "file-123"}}, "file-123"),
    "Anthropic, address": (
        {"type": "image", "source": {"type": "url", "url": "https://pics.example/cat.png"}},
        "https://pics.example/cat.png",
    ),
    "Anthropic, file": ({"type": "document", "source": {"type": "file", "file_id": "file-123"}}, "file-123"),
    "Gemini": ({"file_data": {"mime_type": "image/png", "file_uri": "gs://bucket/cat.png"}}, "gs://bucket/cat.png"),
    "Gemini, camel case": (
        {"fileData": {"mimeType": "image/png", "fileUri": "gs://bucket/cat.png"}},
        "gs://bucket/cat.png",
    ),
    "Vercel": ({"type": "image", "image": "https://pics.example/cat.png"}, "https://pics.example/cat.png"),
    "Bedrock": (
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/cat.png"}}}},
        "s3://bucket/cat.png",
    ),
    "pydantic": ({"type": "image-url", "url": "https://pics.example/cat.png"}, "https://pics.example/cat.png"),
    "LangChain": ({"type": "image", "url": "https://pics.example/cat.png"}, "https://pics.example/cat.png"),
}


@pytest.mark.parametrize(("part", "address"), PLACES.values(), ids=PLACES)
def test_an_address_is_shown(sender: Sender, part: dict[str, Any], address: str) -> None:
    sender.send(span(CHAT | {"gen_ai.input.messages": json.dumps([{"role": "user", "content": [TEXT, part]}])}))
    (message,) = sender.transcript()
    assert message.text == "What is this?"
    assert [file.address for file in message.attachments] == [address]
    assert address in sender.trace.input_preview


def test_a_part_of_an_unknown_kind_is_shown_without_its_data(sender: Sender) -> None:
    part = {"type": "hologram", "mime_type": "image/png", "data": PNG, "about": "a cat"}
    sender.send(span(CHAT | {"gen_ai.input.messages": json.dumps([{"role": "user", "content": [TEXT, part]}])}))
    assert "a cat" in sender.shown()
    assert not has_data(sender.shown())


def test_a_flattened_image_is_no_text(sender: Sender) -> None:
    content = "llm.input_messages.0.message.contents."
    sender.send(
        span(
            {
                "openinference.span.kind": "LLM",
                "llm.input_messages.0.message.role": "user",
                f"{content}0.message_content.type": "text",
                f"{content}0.message_content.text": "What is this?",
                f"{content}1.message_content.type": "image",
                f"{content}1.message_content.image.image.url": f"data:image/png;base64,{PNG}",
            }
        )
    )
    (message,) = sender.transcript()
    assert (message.text, [file.kind for file in message.attachments]) == ("What is this?", ["image"])
    assert not has_data(sender.shown())


REQUEST = {"model": "gpt-4o", "messages": [{"role": "user", "content": [TEXT, DATA["OpenAI, data address"][0]]}]}


@pytest.mark.parametrize(
    "attributes",
    [
        {"input.value": json.dumps(REQUEST), "input.mime_type": "application/json"},
        {"gen_ai.input.messages": json.dumps(REQUEST)},
        {"gen_ai.input.messages": json.dumps(json.dumps(REQUEST["messages"]))},
        {"gen_ai.input.messages": REQUEST["messages"]},
        {"ai.prompt.messages": json.dumps(REQUEST["messages"])},
        {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": json.dumps(REQUEST["messages"][0]["content"])},  # type: ignore[index]
    ],
    ids=["request", "request as messages", "encoded twice", "structured", "Vercel", "OpenLLMetry"],
)
def test_data_are_left_out_wherever_they_are(sender: Sender, attributes: dict[str, Any]) -> None:
    sender.send(span({"openinference.span.kind": "LLM"} | attributes))
    assert "What is this?" in sender.shown()
    assert not has_data(sender.shown())
    assert not has_data(sender.trace.input_preview)


def test_a_picture_over_the_limit_leaves_the_question(sender: Sender) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 4_100_000}}
    said = [{"role": "user", "content": [part, TEXT]}]
    answer = sender.send(span(CHAT | {"gen_ai.input.messages": json.dumps(said)}))
    assert "What is this?" in sender.said()[0][1]
    assert "AAAAAAAA" not in sender.shown()
    assert answer["partialSuccess"]["errorMessage"]


def test_a_result_of_a_tool_may_hold_a_picture(sender: Sender) -> None:
    result = {
        "content": [{"type": "image", "data": PNG, "mimeType": "image/png"}, {"type": "text", "text": "A chart."}]
    }
    attributes = {"gen_ai.tool.name": "draw", "gen_ai.tool.call.result": json.dumps(result)}
    sender.send(span({"gen_ai.operation.name": "execute_tool"} | attributes))
    assert "A chart." in sender.shown()


@pytest.mark.parametrize(
    "text",
    [
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "a" * 3_000,
        "the same words again and again " * 200,
        "漢字" * 2_000,
        "0123456789" * 20,
        "https://example.com/" + "path/" * 100,
    ],
    ids=["token", "one letter", "words", "Chinese", "digits", "address"],
)
def test_long_text_of_a_person_stays(sender: Sender, text: str) -> None:
    sender.send(span(CHAT | {"gen_ai.input.messages": json.dumps([{"role": "user", "content": text}])}))
    assert sender.said() == [("user", text.strip())] or sender.said() == [("user", text)]


THOUGHTS: dict[str, dict[str, Any]] = {
    "conventions": {"type": "reasoning", "content": "I add two and two"},
    "pydantic": {"type": "thinking", "content": "I add two and two"},
    "Anthropic": {"type": "thinking", "thinking": "I add two and two", "signature": "c2ln"},
    "Vercel": {"type": "reasoning", "text": "I add two and two"},
    "Responses API": {"type": "reasoning", "summary": [{"type": "summary_text", "text": "I add two and two"}]},
    "Bedrock": {"reasoningContent": {"reasoningText": {"text": "I add two and two", "signature": "c2ln"}}},
    "Gemini": {"text": "I add two and two", "thought": True},
    "LangChain": {"type": "reasoning", "reasoning": "I add two and two"},
}


@pytest.mark.parametrize("part", THOUGHTS.values(), ids=THOUGHTS)
def test_what_a_model_thought_is_folded(sender: Sender, part: dict[str, Any]) -> None:
    said = [{"role": "assistant", "content": [part, {"type": "text", "text": "4"}]}]
    sender.send(span(CHAT | {"gen_ai.output.messages": json.dumps(said)}))
    (message,) = sender.transcript()
    assert (message.text, message.thinking) == ("4", "I add two and two")


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_a_thought_beside_the_content_is_folded(sender: Sender, name: str) -> None:
    said = [{"role": "assistant", "content": "4", name: "I add two and two"}]
    sender.send(span(CHAT | {"gen_ai.output.messages": json.dumps(said)}))
    (message,) = sender.transcript()
    assert (message.text, message.thinking) == ("4", "I add two and two")
