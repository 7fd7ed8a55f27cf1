"""Citations of messages: what an answer refers to. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from traces.conventions.json_objects import Json, name_of

MAX_CITATIONS = 100
MAX_ADDRESS_CHARACTERS = 4_000
MAX_QUOTE_CHARACTERS = 500

_LISTS = ("citations", "annotations", "citationSources", "citation_sources", "groundingChunks", "grounding_chunks")
_METADATA = ("citationMetadata", "citation_metadata", "groundingMetadata", "grounding_metadata")
_TITLES = ("title", "document_title", "documentTitle", "filename")
_ADDRESSES = ("url", "uri", "source", "file_id", "fileId")
_QUOTES = ("cited_text", "citedText", "quote")


@dataclass(frozen=True, slots=True)
class Citation:
    """`address`: a URL or the id of a file. Some may be empty, but not all."""

    title: str = ""
    address: str = ""
    quote: str = ""

    @property
    def is_web_address(self) -> bool:
        return self.address.startswith(("https://", "http://"))


def citations_of(source: Json) -> list[Citation]:
    """The citations of a message, of a part, or of a candidate."""
    if source.keys().isdisjoint((*_LISTS, *_METADATA)):
        return []
    holders = [source, *(inner for name in _METADATA if isinstance(inner := source.get(name), dict))]
    lists = [found for holder in holders for name in _LISTS if isinstance(found := holder.get(name), list)]
    items = [item for found in lists for item in found[:MAX_CITATIONS]]
    return [citation for item in items if (citation := read_citation(item)) is not None]


def read_citation(item: Any) -> Citation | None:
    """Returns None if it refers to nothing."""
    if isinstance(item, str):
        item = {"url": item} if item.startswith(("https://", "http://")) else {}
    if not isinstance(item, dict):
        return None
    title, address, quote = (_said(item, names) for names in (_TITLES, _ADDRESSES, _QUOTES))
    quote = quote or _quoted(item.get("sourceContent"))
    if not (title or address or quote):
        return None
    return Citation(title[:MAX_QUOTE_CHARACTERS], address[:MAX_ADDRESS_CHARACTERS], quote[:MAX_QUOTE_CHARACTERS])


def _said(item: Json, names: tuple[str, ...]) -> str:
    return next(filter(None, (name_of(holder, *names) for holder in _holders(item))), "")


def _holders(item: Json) -> Iterator[Json]:
    yield item
    for inner in item.values():
        if isinstance(inner, dict):
            yield inner
            yield from (value for value in inner.values() if isinstance(value, dict))


def _quoted(parts: object) -> str:
    # Bedrock quotes in parts.
    return (
        " ".join(name_of(part, "text") for part in parts if isinstance(part, dict)) if isinstance(parts, list) else ""
    )
