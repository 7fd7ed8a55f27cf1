"""Files in messages: by shape of the sender, and as base64 in any text. Their data are in no text."""

import json
from base64 import b64encode, encodebytes, urlsafe_b64encode
from typing import Any

import pytest

from traces.conventions.embedded_files import Attachment, picture, take_out, without_data
from traces.conventions.message_formats import read, read_text

# Bytes of any value, so that the base64 has each of its letters.
REST = bytes(range(256)) * 3
PNG = b"\x89PNG\r\n\x1a\n" + REST
WAV = b"RIFF\x00\x00\x00\x00WAVE" + REST
PDF = b"%PDF-1.7 " + REST
DATA = b64encode(PNG).decode()
URI = f"data:image/png;base64,{DATA}"
CAT = "https://pics.example/cat.png"
PICTURE = ("image", "image/png", len(PNG), "", "")
SOUND = ("audio", "audio/wav", len(WAV), "", "")
TERMS = ("document", "application/pdf", len(PDF), "a.pdf", "")
REMOTE = ("image", "", None, "", CAT)


def b64(data: bytes) -> str:
    return b64encode(data).decode()


def about(attachment: Attachment) -> tuple[str, str, int | None, str, str]:
    return (
        attachment.kind,
        attachment.media_type,
        attachment.size_bytes,
        attachment.name,
        attachment.address,
    )


SHAPES: dict[str, list[tuple[dict[str, Any], tuple[str, str, int | None, str, str]]]] = {
    "OpenAI": [
        ({"type": "image_url", "image_url": {"url": URI, "detail": "high"}}, PICTURE),
        ({"type": "image_url", "image_url": {"url": CAT}}, REMOTE),
        ({"type": "input_image", "image_url": CAT}, REMOTE),
        ({"type": "input_image", "image_url": URI}, PICTURE),
        ({"type": "input_image", "file_id": "file-8"}, ("image", "", None, "", "file-8")),
        ({"type": "input_audio", "input_audio": {"data": b64(WAV), "format": "wav"}}, SOUND),
        (
            {"type": "input_audio", "input_audio": {"data": b64(REST), "format": "mp3"}},
            ("audio", "audio/mp3", 768, "", ""),
        ),
        ({"type": "file", "file": {"file_id": "file-7"}}, ("file", "", None, "", "file-7")),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{b64(PDF)}"}},
            TERMS,
        ),
        ({"type": "input_file", "filename": "a.pdf", "file_data": b64(PDF)}, TERMS),
        ({"type": "input_file", "file_url": "https://x.example/a.pdf"}, ("file", "", None, "", "https://x.example/a.pdf")),
        ({"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": DATA}, PICTURE),
        ({"type": "computer_screenshot", "image_url": URI}, PICTURE),
    ],
    "Anthropic": [
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}, PICTURE),
        ({"type": "image", "source": {"type": "url", "url": CAT}}, REMOTE),
        ({"type": "image", "source": {"type": "file", "file_id": "file_01"}}, ("image", "", None, "", "file_01")),
        (
            {"type": "document", "title": "a.pdf", "source": {"type": "base64", "data": b64(PDF)}},
            TERMS,
        ),
    ],
    "Gemini": [
        ({"inlineData": {"mimeType": "image/png", "data": DATA}}, PICTURE),
        ({"inline_data": {"mime_type": "audio/wav", "data": b64(WAV)}}, SOUND),
        ({"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/a.mp4"}}, ("video", "video/mp4", None, "", "gs://b/a.mp4")),
    ],
    "GenAI conventions": [
        ({"type": "blob", "modality": "image", "mime_type": "image/png", "content": DATA}, PICTURE),
        ({"type": "blob", "modality": "audio", "content": b64(REST)}, ("audio", "", 768, "", "")),
        ({"type": "uri", "modality": "image", "uri": CAT}, REMOTE),
        ({"type": "uri", "uri": "gs://b/a.mp4", "mime_type": "video/mp4"}, ("video", "video/mp4", None, "", "gs://b/a.mp4")),
        ({"type": "file", "modality": "image", "file_id": "file-9"}, ("image", "", None, "", "file-9")),
    ],
    "Pydantic AI": [
        ({"type": "binary", "media_type": "image/png", "content": DATA}, PICTURE),
        ({"type": "binary", "content": DATA}, PICTURE),
        ({"type": "binary", "media_type": "font/ttf", "content": b64(REST)}, ("file", "font/ttf", 768, "", "")),
        ({"type": "image-url", "url": CAT}, REMOTE),
        ({"type": "document-url", "url": "https://x.example/a.pdf"}, ("document", "", None, "", "https://x.example/a.pdf")),
    ],
    "Vercel": [
        ({"type": "image", "image": DATA, "mediaType": "image/png"}, PICTURE),
        ({"type": "image", "image": URI}, PICTURE),
        ({"type": "image", "image": CAT}, REMOTE),
        ({"type": "file", "data": b64(PDF), "filename": "a.pdf"}, TERMS),
        ({"type": "file", "url": URI, "mediaType": "image/png"}, PICTURE),
        ({"type": "image", "image": {"type": "Buffer", "data": [137, 80, 78, 71]}}, ("image", "", 4, "", "")),
    ],
    "LangChain": [
        ({"type": "image", "source_type": "base64", "mime_type": "image/png", "data": DATA}, PICTURE),
        ({"type": "image", "source_type": "url", "url": CAT}, REMOTE),
        ({"type": "file", "source_type": "id", "id": "file-7"}, ("file", "", None, "", "file-7")),
        ({"type": "image", "base64": DATA, "mime_type": "image/png"}, PICTURE),
        ({"type": "media", "mime_type": "application/pdf", "data": b64(PDF)}, (*TERMS[:3], "", "")),
        ({"type": "image_url", "image_url": URI}, PICTURE),
    ],
    "Bedrock": [
        ({"image": {"format": "png", "source": {"bytes": DATA}}}, PICTURE),
        (
            {"image": {"format": "jpg", "source": {"s3Location": {"uri": "s3://b/a.jpg"}}}},
            ("image", "image/jpeg", None, "", "s3://b/a.jpg"),
        ),
        ({"document": {"format": "pdf", "name": "a.pdf", "source": {"bytes": b64(PDF)}}}, TERMS),
        ({"video": {"format": "mp4", "source": {"bytes": b64(REST)}}}, ("video", "video/mp4", 768, "", "")),
    ],
    "OpenInference": [({"type": "image", "image": {"image": {"url": URI}}}, PICTURE)],
    "MCP": [
        ({"type": "image", "data": DATA, "mimeType": "image/png"}, PICTURE),
        ({"type": "resource", "resource": {"uri": "mem://a", "mimeType": "image/png", "blob": DATA}}, PICTURE),
        (
            {"type": "resource_link", "uri": "file:///a.md", "name": "a.md", "mimeType": "text/markdown"},
            ("document", "text/markdown", None, "a.md", "file:///a.md"),
        ),
    ],
}  # fmt: skip


@pytest.mark.parametrize("sender", SHAPES)
def test_a_part_becomes_an_attachment_with_kind_type_and_size(sender: str) -> None:
    for part, expected in SHAPES[sender]:
        (message,) = read([{"role": "user", "content": [{"type": "text", "text": "What is it?"}, part]}], "user")
        (attachment,) = message.attachments
        assert about(attachment) == expected, part
        assert message.text == f"What is it?\n{attachment.mention}"
        assert attachment.is_picture == (expected[:3] == PICTURE[:3]), part


@pytest.mark.parametrize("sender", SHAPES)
def test_a_picture_is_found_by_its_digest(sender: str) -> None:
    for part, expected in SHAPES[sender]:
        if expected == PICTURE:
            sent = json.dumps([{"role": "user", "content": [part]}])
            (attachment,) = read_text(sent, "user")[0].attachments
            assert picture(iter([sent]), attachment.digest) == ("image/png", PNG)


def test_a_mention_tells_kind_type_and_size() -> None:
    assert take_out(URI)[0] == "[image: image/png, 776 bytes]"
    assert Attachment("file", name="a.bin", size_bytes=183_000).mention == "[file: a.bin, 183 kB]"
    assert Attachment("image", address=CAT).mention == f"[image: {CAT}]"
    assert Attachment("audio").mention == "[audio]"
    assert len(Attachment("image", address=f"https://{'x' * 3_000}").mention) < 600


POLICY = "The policy."


@pytest.mark.parametrize(
    "part",
    [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": POLICY}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": POLICY}]}},
        {"type": "document", "content": POLICY},
        {"type": "resource", "resource": {"uri": "mem://a", "text": POLICY}},
    ],
)  # fmt: skip
def test_a_document_that_was_sent_as_text_is_text(part: dict[str, Any]) -> None:
    (message,) = read([{"role": "user", "content": [part]}], "user")
    assert (message.text, message.attachments) == (POLICY, ())


def test_what_was_said_in_a_recording_is_text() -> None:
    answer = {"role": "assistant", "content": None, "audio": {"id": "a1", "data": b64(WAV), "transcript": "Hello."}}
    part = {"type": "audio", "audio": {"audio": {"url": "https://x.example/a.wav", "transcript": "Hello."}}}
    for said in (answer, {"role": "assistant", "content": [part]}):
        (message,) = read([said], "assistant")
        (attachment,) = message.attachments
        assert message.text == f"{attachment.mention}\nHello."


MENTION = "[image: image/png, 776 bytes]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"![cat]({URI}) What is it?", f"![cat]({MENTION}) What is it?"),
        (DATA, MENTION),
        (urlsafe_b64encode(PNG).decode(), MENTION),
        (urlsafe_b64encode(PNG).decode().rstrip("="), MENTION),
        (f"data:image/png;name=a.png;base64,{DATA}", MENTION),
        (f"data:image/png;base64,{DATA.replace('+', '%2B').replace('/', '%2F')}", MENTION),
        (json.dumps({"screenshot": DATA}), json.dumps({"screenshot": MENTION})),
        (json.dumps({"screenshot": DATA}).replace("/", "\\/"), json.dumps({"screenshot": MENTION})),
        (json.dumps(json.dumps({"a": DATA}).replace("/", "\\/")), json.dumps({"a": MENTION})),
        (encodebytes(PNG).decode(), f"{MENTION}\n"),
        (json.dumps({"a": encodebytes(PNG).decode().strip()}), json.dumps({"a": MENTION})),
        ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">', '<img src="[image: image/gif, 14 bytes]">'),
        ("data:image/png;base64,[4,100,000 characters of data]", "[image: image/png, 3.1 MB]"),
    ],
)
def test_base64_in_text_becomes_a_mention_and_an_attachment(text: str, shown: str) -> None:
    (message,) = read_text(text, "user")
    (attachment,) = message.attachments
    assert message.text == shown
    if attachment.media_type == "image/png" and not attachment.is_left_out:
        assert picture(iter([text]), attachment.digest) == ("image/png", PNG)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10_000,
        "0123456789" * 1_000,
        "word\n" * 1_000,
        "ACGT" * 1_000,
        "deadbeef00" * 1_000,
        "\\" * 10_000,
        "-" * 1_000,
        "An URI begins with data: and the like;base64, as you know.",
        "Plain text, " * 1_000,
    ],
)
def test_other_text_stays(text: str) -> None:
    assert take_out(text) == (text, ())


def test_it_takes_out_what_is_deep_in_a_value() -> None:
    value = {"a": [{"b": DATA, "c": 1, "d": None}]}
    assert without_data(value) == {"a": [{"b": MENTION, "c": 1, "d": None}]}


SCREENSHOT = [{"type": "text", "text": "Done."}, {"type": "image", "data": DATA, "mimeType": "image/png"}]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "tool", "tool_call_id": "1", "content": SCREENSHOT},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": SCREENSHOT}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": {"shot": DATA}}]},
        {"type": "computer_call_output", "call_id": "1", "output": {"type": "computer_screenshot", "image_url": URI}},
        {"role": "user", "parts": [{"functionResponse": {"name": "shoot", "response": {"shot": DATA}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "1", "content": [{"inlineData": {"data": DATA}}]}}]},
        {"role": "user", "content": [{"toolResult": {"content": [{"image": {"source": {"bytes": DATA}}}]}}]},
        {"role": "tool", "tool_call_id": "1", "content": json.dumps({"shot": DATA})},
    ],
)  # fmt: skip
def test_a_screenshot_that_a_tool_returns_is_an_attachment_of_its_call(message: dict[str, Any]) -> None:
    (read_message,) = read([message], "user")
    (call,) = read_message.tool_calls
    assert [about(attachment) for attachment in call.attachments] == [PICTURE]
    assert DATA[:40] not in (call.result or "")
    assert MENTION in (call.result or "")


def test_a_file_in_the_arguments_of_a_tool_is_an_attachment_of_its_call() -> None:
    call = {"id": "1", "function": {"name": "crop", "arguments": json.dumps({"picture": DATA})}}
    (message,) = read([{"role": "assistant", "tool_calls": [call]}], "assistant")
    assert message.tool_calls[0].arguments == json.dumps({"picture": MENTION})
    assert about(message.tool_calls[0].attachments[0]) == PICTURE


def test_json_of_any_size_is_read_if_a_file_makes_it_long() -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64(PNG * 3_000)}"}}
    said = [{"type": "text", "text": "What is it?"}, image]
    text = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": said}]})
    assert len(text) > 3_000_000
    (message,) = read_text(text, "user")
    assert message.text == "What is it?\n[image: image/png, 2.3 MB]"


@pytest.mark.parametrize("data", [b"<svg onload='x()'>" + REST, PDF, b"<html>" + REST, b"GIF"])
def test_only_pictures_are_served(data: bytes) -> None:
    text = f"data:image/png;base64,{b64(data)}"
    (attachment,) = take_out(text)[1]
    assert not attachment.is_picture
    assert picture(iter([text]), attachment.digest) is None


def test_the_number_of_files_is_limited() -> None:
    _, found = take_out("data:image/gif;base64,R0lGOD " * 2_000)
    assert len(found) == 1_000
