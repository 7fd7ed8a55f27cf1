"""Files within text, as base64: finds them, and puts a short mention in their place. Pure."""

import re
from base64 import b64decode
from binascii import Error as BadBase64
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import xxhash

from catalyst import formats

# Base64 without a header is taken for a file from this length on.
MIN_DATA_CHARACTERS = 256
MAX_MENTIONED_CHARACTERS = 500
MAX_FILES = 1_000
# Shorter data stay if a text is too long.
MIN_LEFT_OUT_CHARACTERS = 10_000
MAX_NOTE_CHARACTERS = 40
# Browsers can show these, and no script can be in them.
PICTURES = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}

_LETTERS = r"A-Za-z0-9+/_\-"
# JSON may escape a slash, and JSON within JSON escapes that again.
_ESCAPED_SLASH = r"\\{1,3}/"
_LINE_BREAK = r"(?:\r?\n|(?:\\{1,2}r)?\\{1,2}n)"
# What `traces.ingest.limits` puts in the place of data.
_LEFT_OUT = r"\[(?P<left_out>[\d,]{1,20}) characters of data\]"
# Where a word begins, also after an escaped line break. Each word is tried once, so that any text takes linear time.
_START = rf"(?:(?<![{_LETTERS}\\])|(?<=\\n)(?=[{_LETTERS}]{{32}}))"
# Data with a header may be short. MIME breaks lines after 64 or 76 letters.
_DATA = re.compile(
    rf"data:(?P<type>[\w.+-]{{1,60}}+/[\w.+-]{{1,100}}+)?(?:;(?!base64,)[\w.+=-]{{1,100}}+){{0,5}}+;base64,"
    rf"(?:{_LEFT_OUT}|(?P<uri>(?:[{_LETTERS}%]++|{_ESCAPED_SLASH})*+={{0,2}}))"
    rf"|{_START}(?:"
    rf"(?P<lines>(?:[{_LETTERS}]{{60,80}}+{_LINE_BREAK}){{3,}}+[{_LETTERS}]{{0,80}}={{0,2}})"
    rf"|(?=[{_LETTERS}\\]{{{MIN_DATA_CHARACTERS}}})(?P<run>(?:[{_LETTERS}]++|{_ESCAPED_SLASH})++={{0,2}}))"
)
_HEADER = ";base64,"
# Data have no spaces or quotes within them. Most words are shorter than a header, and are passed over quickly.
_LONG_WORD = re.compile(r'[^ \t"]{20,}+(?: characters of data\])?')
_STEP = MIN_DATA_CHARACTERS // 2
_fills = re.compile(rf"[{_LETTERS}=\\\r\n]{{{_STEP}}}").match
_WHOLE = re.compile(rf"[{_LETTERS}\\\r\n%]++={{0,2}}\s*")
_WHOLE_LEFT_OUT = re.compile(_LEFT_OUT)

_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
)
_DOCUMENTS = ("pdf", "word", "document", "sheet", "excel", "presentation", "powerpoint", "rtf", "epub")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that was sent along. `kind`: image, audio, video, document or file.

    `size_bytes`: None if unknown. `address`: where it is, if it is not within the span: a URL or the id of a file.
    `digest`: of its data, which are in the text of the span `span_id`. Empty if they are not stored.
    `is_left_out`: its data were over the limit of ingest.
    """

    kind: str
    media_type: str = ""
    size_bytes: int | None = None
    name: str = ""
    address: str = ""
    digest: str = ""
    is_picture: bool = False
    is_left_out: bool = False
    span_id: int | None = None

    @property
    def mention(self) -> str:
        """What stands for it in a text: `[image: cat.png, image/png, 183 kB]`."""
        address = self.address
        if len(address) > MAX_MENTIONED_CHARACTERS:
            address = f"{address[:MAX_MENTIONED_CHARACTERS]}\u2026"
        about = ", ".join(filter(None, (self.name, address, self.media_type, self.size)))
        return f"[{self.kind}: {about}]" if about else f"[{self.kind}]"

    @property
    def size(self) -> str:
        return "" if self.size_bytes is None else formats.size(self.size_bytes)

    @property
    def facts(self) -> str:
        """Type and size in words."""
        return ", ".join(
            filter(None, (self.media_type, self.size, "too large to be stored" if self.is_left_out else ""))
        )

    @property
    def is_web_address(self) -> bool:
        return self.address.startswith(("https://", "http://"))


def kind_of(media_type: str) -> str:
    """The kind of a file. Empty if its type does not tell."""
    family = media_type.partition("/")[0].lower()
    if family in ("image", "audio", "video"):
        return family
    if family == "text" or any(word in media_type for word in _DOCUMENTS):
        return "document"
    return "file" if media_type else ""


def from_base64(data: str, declared: str = "", kind: str = "") -> Attachment:
    """The file with these data. Its first bytes tell its type, else what the sender `declared`."""
    if left_out := _WHOLE_LEFT_OUT.fullmatch(data):
        return _left_out(left_out["left_out"], declared, kind)
    data = _canonical(data)
    sniffed = sniff(data)
    media_type = sniffed or declared
    return Attachment(
        kind=kind_of(media_type) or kind or "file",
        media_type=media_type,
        size_bytes=len(data) * 3 // 4,
        digest=_digest(data),
        is_picture=sniffed in PICTURES,
    )


def _left_out(count: str, declared: str, kind: str = "") -> Attachment:
    size = int(count.replace(",", "") or 0) * 3 // 4
    return Attachment(kind_of(declared) or kind or "file", declared, size, is_left_out=True)


def from_data_uri(text: str, kind: str = "") -> Attachment | None:
    """The file in a data URI. Returns None for other text."""
    if not text.startswith("data:"):
        return None
    header, _, data = text[5:].partition(",")
    declared = header.partition(";")[0]
    if header.endswith(";base64"):
        return from_base64(data, declared, kind)
    return Attachment(kind_of(declared) or kind or "file", declared, len(unquote(data)))


def is_base64(text: str) -> bool:
    return bool(_WHOLE.fullmatch(text) or _WHOLE_LEFT_OUT.fullmatch(text))


def take_out(text: str) -> tuple[str, tuple[Attachment, ...]]:
    """The text with a mention in the place of each file's data, and the files."""
    if not may_hold_data(text):
        return text, ()
    found: list[Attachment] = []

    def mention(match: re.Match[str]) -> str:
        if len(found) == MAX_FILES:
            return "[file]"
        attachment = _of_match(match)
        if attachment is None:
            return match[0]
        found.append(attachment)
        return attachment.mention

    def without_files(word: re.Match[str]) -> str:
        may_be_data = len(word[0]) >= MIN_DATA_CHARACTERS or _HEADER in word[0]
        return _DATA.sub(mention, word[0]) if may_be_data else word[0]

    return _LONG_WORD.sub(without_files, text), tuple(found)


def leave_out(text: str, limit: int) -> str:
    """The text with notes in the place of the largest files, as many as it takes to fit into `limit` characters."""
    words = (word.span() for word in _LONG_WORD.finditer(text) if len(word[0]) >= MIN_LEFT_OUT_CHARACTERS)
    found = [_span_of(match) for word in words for match in _DATA.finditer(text, *word)]
    excess, left_out = len(text) - limit, []
    for start, end in sorted(found, key=lambda span: span[0] - span[1]):
        if excess > 0 and end - start >= MIN_LEFT_OUT_CHARACTERS:
            left_out.append((start, end))
            excess -= end - start - MAX_NOTE_CHARACTERS
    for start, end in sorted(left_out, reverse=True):
        text = f"{text[:start]}[{end - start:,} characters of data]{text[end:]}"
    return text


def _span_of(match: re.Match[str]) -> tuple[int, int]:
    return match.span(match.lastgroup or 0)


def without_data(value: Any) -> Any:
    """A value with mentions in the place of the data of files, however deep they are."""
    if isinstance(value, str):
        return take_out(value)[0]
    if isinstance(value, dict):
        return {name: without_data(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_data(item) for item in value]
    return value


def picture(values: Iterator[str], digest: str) -> tuple[str, bytes] | None:
    """Type and bytes of the picture with this digest in some texts. Returns None if there is none."""
    for text in values:
        for data in _data_in(text):
            canonical = _canonical(data)
            if _digest(canonical) == digest:
                return _decoded_picture(canonical)
    return None


def _decoded_picture(data: str) -> tuple[str, bytes] | None:
    media_type = sniff(data)
    if media_type not in PICTURES:
        return None
    try:
        return media_type, b64decode(data[: len(data) - (len(data) % 4 == 1)] + "==")
    except BadBase64:
        return None


def _data_in(text: str) -> Iterator[str]:
    header, _, data = text.partition(",")
    if is_base64(text):
        yield text
    elif header.startswith("data:") and is_base64(data):
        yield data
    elif may_hold_data(text):
        yield from (match["uri"] or match["run"] or match["lines"] or "" for match in _DATA.finditer(text))


def may_hold_data(text: str) -> bool:
    """Whether there may be a file in it. Cheap for any text."""
    if _HEADER in text:
        return True
    # Data that are long enough fill one of these places.
    return any(_fills(text, place) for place in range(0, len(text) - _STEP, _STEP))


def _of_match(match: re.Match[str]) -> Attachment | None:
    if match["left_out"]:
        return _left_out(match["left_out"], match["type"] or "")
    if match["uri"] is not None:
        return from_base64(match["uri"], match["type"] or "")
    data = match["run"] or match["lines"]
    is_data = len(data) >= MIN_DATA_CHARACTERS and _is_mixed(data[:1024])
    return from_base64(data) if is_data else None


def _is_mixed(text: str) -> bool:
    # A long word of one case or without digits is no base64.
    return text not in (text.lower(), text.upper()) and any(map(str.isdigit, text))


def sniff(data: str) -> str:
    """The media type that the first bytes of base64 tell. Empty if they don't."""
    try:
        start = b64decode(data[:32] + "==")
    except BadBase64:
        return ""
    return next((kind for at, magic, kind in _MAGIC if start[at : at + len(magic)] == magic), "")


def _digest(data: str) -> str:
    return xxhash.xxh3_64_hexdigest(data.encode())


def _canonical(data: str) -> str:
    """The same text for the same data, with the letters of standard base64 and without padding."""
    if "%" in data:
        data = unquote(data)
    for old, new in (("\\r", ""), ("\\n", ""), ("\\", ""), ("-", "+"), ("_", "/")):
        data = data.replace(old, new)
    return "".join(data.split()).rstrip("=")


def located(attachments: tuple[Attachment, ...], span_id: int) -> tuple[Attachment, ...]:
    """Attachments whose data are in the text of a span."""
    return tuple(replace(attachment, span_id=span_id) for attachment in attachments)


def united(some: tuple[Attachment, ...], others: tuple[Attachment, ...]) -> tuple[Attachment, ...]:
    """Attachments without duplicates. Where both have a file, the first one stays."""
    if not some or not others:
        return some or others
    known = {(attachment.digest, attachment.mention) for attachment in some}
    return some + tuple(each for each in others if (each.digest, each.mention) not in known)
