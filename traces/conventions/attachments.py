"""Attachments among the parts of a message. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from traces.conventions.embedded_files import Attachment, from_base64, from_data_uri, is_base64, kind_of
from traces.conventions.json_objects import Json, first, name_of

MAX_LEVELS = 3
MAX_ADDRESS_CHARACTERS = 4_000
# Shorter texts may be words.
MIN_DATA_CHARACTERS = 24

_KINDS = {
    **{word: word for word in ("image", "audio", "video", "document", "file")},
    **{"screenshot": "image", "blob": "file", "binary": "file", "media": "file", "uri": "file", "resource": "file"},
}
_KEYS = ("image", "audio", "video", "document", "inlineData", "inline_data", "fileData", "file_data")
_MADE = "image_generation_call"
_TYPES = ("media_type", "mime_type", "mimeType", "mediaType", "format")
_DATA = ("data", "bytes", "base64", "b64_json", "blob", "file_data", "content", "image", "audio", "result")
_PERHAPS_DATA = frozenset(("content", "image", "audio", "result"))
_ADDRESSES = ("uri", "url", "file_id", "fileId", "fileUri", "file_uri", "file_url", "image_url")
# They hold data, an address, or something else.
_PERHAPS_ADDRESSES = ("image", "data", "audio")
_NAMES = ("filename", "file_name", "fileName", "title", "name")


@lru_cache(maxsize=1024)
def kind_of_part(part_type: str) -> str:
    """The kind of attachment that a part of this type is. Empty if it is none."""
    if part_type.endswith(("_call", "_call_output")) and part_type != _MADE:
        return ""
    return next((_KINDS[word] for word in re.findall("[A-Z]?[a-z]+", part_type) if word in _KINDS), "")


def read_attachment(part: Json, part_type: str = "") -> Attachment | None:
    """The attachment that a part is. Returns None for other parts, and for files sent as text."""
    kind = kind_of_part(part_type) or next((_KINDS.get(key, "file") for key in _KEYS if part.get(key)), "")
    if not kind or text_within(part, part_type) is not None:
        return None
    holders = list(_holders(part))
    kind = _said(holders, "modality") if _said(holders, "modality") in _KINDS else kind
    declared = _media_type(_said(holders, *_TYPES), kind)
    kind, name = kind_of(declared) or kind, _said(holders, *_NAMES)
    for holder in holders:
        if (found := _with_data(holder, declared, kind)) is not None:
            return replace(found, name=name)
    return Attachment(kind, declared, _counted(holders), name, _address(holders))


def text_within(part: Json, part_type: str = "") -> object:
    """What a file says that was sent as text: text or parts. Returns None for other files."""
    for holder in (part, first(part, "source", "resource", "document")):
        if isinstance(holder, dict) and (said := _text_of(holder, part_type)):
            return said
    return None


def _text_of(holder: Json, part_type: str) -> object:
    if holder.get("type") in ("text", "content"):
        return first(holder, "text", "data", "content")
    content = holder.get("content")
    is_data = part_type in ("blob", "binary") or (isinstance(content, str) and is_base64(content))
    return name_of(holder, "text") or (None if is_data else content)


def transcript_of(part: Json) -> str:
    """What was said in a recording."""
    return _said(_holders(part), "transcript")


def _holders(part: Json, levels: int = MAX_LEVELS) -> Iterator[Json]:
    yield part
    if levels:
        for value in part.values():
            if isinstance(value, dict):
                yield from _holders(value, levels - 1)


def _said(holders: Iterable[Json], *names: str) -> str:
    return next(filter(None, (name_of(holder, *names) for holder in holders)), "")


def _media_type(said: str, kind: str) -> str:
    if "/" in said or not said:
        return said
    if kind in ("image", "audio", "video"):
        return f"{kind}/{'jpeg' if said == 'jpg' else said}"
    return "application/pdf" if said == "pdf" else ""


def _with_data(holder: Json, declared: str, kind: str) -> Attachment | None:
    for name in (*_DATA, *_ADDRESSES):
        value = holder.get(name)
        if not isinstance(value, str):
            continue
        if (found := from_data_uri(value, kind)) is not None:
            return found
        is_long_enough = name not in _PERHAPS_DATA or len(value) >= MIN_DATA_CHARACTERS
        if name in _DATA and is_long_enough and is_base64(value):
            return from_base64(value, declared, kind)
    return None


def _counted(holders: Iterable[Json]) -> int | None:
    # JavaScript writes bytes as a list of numbers.
    found = (value for holder in holders for name in _DATA if isinstance(value := holder.get(name), list))
    return next((len(value) for value in found if value and isinstance(value[0], int)), None)


def _address(holders: Iterable[Json]) -> str:
    """A web address or the id of a file, of an attachment that is not within the message."""
    for holder in holders:
        address = name_of(holder, *_ADDRESSES) or (name_of(holder, "id") if holder.get("source_type") == "id" else "")
        perhaps = (name_of(holder, name) for name in _PERHAPS_ADDRESSES)
        if address := address or next((text for text in perhaps if "://" in text), ""):
            return address[:MAX_ADDRESS_CHARACTERS]
    return ""
