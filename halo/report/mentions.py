"""Finds the IDs of traces and spans in a text, in any form in which models write them. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from halo.report.fences import fences
from halo.report.findings import Cited

MAX_MENTIONS = 2_000
MAX_KEY = 200
FULL, SPAN, SHORTEST = 32, 16, 8
# How far a span may be from its trace, and a quotation from its citation.
MAX_REACH, MAX_QUOTE_REACH = 400, 160
MIN_QUOTE, MAX_QUOTE = 6, 600

_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8,32}"
_FOUND = re.compile(
    # [trace:…] and [span:…:…], as the instruction asks for them, whatever stands in the place of the ID.
    r"\[\s*`?(?P<tag>trace|span)(?:[ _-]?ids?)?\s*[:=]\s*`?(?P<named>[^\s`\[\]:/,]{1,100})`?"
    r"(?:\s*[:/,]\s*`?(?P<inner>[^\s`\[\]:/,]{1,100})`?)?\s*\]"
    # An ID, or two of them. Behind a slash it is part of an address.
    rf"|(?<![\w#@.+-])(?<![\w#@.+-]/)(?P<first>{_ID})(?:\s?[:/]\s?(?P<second>[0-9a-f]{{16}}))?(?![\w@+-])(?!\.\w)"
    rf"|(?<=/)(?P<addressed>[0-9a-f]{{32}})(?![\w-])",
    re.IGNORECASE,
)
# What an ID is called by the words before it.
_CALLED = re.compile(
    r"(?<![a-z])(?P<kind>trace|span)s?(?:[\s_-]?ids?)?(?:\s+(?:is|are|like|such as|with id))?[\s:=`*_(\"'|]{0,6}\Z",
    re.IGNORECASE,
)
_HASH = re.compile(
    r"(?:md5|sha-?\d{0,3}|hash|digest|checksum|commit|etag|key|token|version|build|request|order)"
    r"(?:[\s_-]?id)?[\s:=`*_(\"'|]{0,6}\Z",
    re.IGNORECASE,
)
_AND = re.compile(r"[`*_)\s]*(?:,|;|&|\band\b|\bor\b|\s)(?:\s*\b(?:and|or)\b)?[`*_(\s]*", re.IGNORECASE)
_QUOTATION = re.compile(
    rf"[\u201c\u201e](?P<curly>[^\u201c\u201d\u201e]{{{MIN_QUOTE},{MAX_QUOTE}}})[\u201c\u201d]"
    rf"|\u00ab(?P<angle>[^\u00ab\u00bb]{{{MIN_QUOTE},{MAX_QUOTE}}})\u00bb"
    rf"|(?<![\w=])\"(?P<straight>[^\"\n]{{{MIN_QUOTE},{MAX_QUOTE}}})\"(?!\w)"
)
_PARAGRAPHS = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """An ID in a text, from `start` to `end`. Nobody has looked whether it exists.

    `trace`, `span`: lower-case digits, empty if unknown; a trace may have its first digits only. `is_sure`: it is meant
    as an ID, whether or not there is one. Otherwise it may be something else, unless the store knows it.
    """

    text: str
    start: int = 0
    end: int = 0
    trace: str = ""
    span: str = ""
    quote: str = ""
    is_sure: bool = True

    @property
    def key(self) -> str:
        """What tells it from other mentions."""
        return f"{self.trace}:{self.span}" if self.span else self.trace or self.text[:MAX_KEY]


def find(text: str) -> list[Mention]:
    """The mentions in a text, in their order, each with the quotation beside it. None within fenced code."""
    found: list[Mention] = []
    last_kind = ""
    for match in _outside_fences(text):
        last_kind = _kind(text, match, found[-1] if found else None, last_kind)
        if mention := _mention(match, last_kind):
            found.append(_with_its_marks(text, mention))
        if len(found) == MAX_MENTIONS:
            break
    return _with_quotes(text, _with_traces(text, found))


def of_cited(cited: Cited) -> Mention | None:
    """The mention that a citation in a block of JSON is. None if it names nothing."""
    text = ":".join(filter(None, (cited.trace_id, cited.span_id)))
    tag = next(iter(find(text)), None) if text.startswith("[") else None
    trace, span = (tag.trace, tag.span) if tag else (_digits(cited.trace_id), _digits(cited.span_id))
    if not trace and ":" in cited.trace_id:
        trace, span = map(_digits, cited.trace_id.split(":", 1))
    return Mention(text=text, trace=trace, span=span, quote=cited.quote) if text else None


def _outside_fences(text: str) -> Iterator[re.Match[str]]:
    position = 0
    for fence in fences(text):
        yield from _FOUND.finditer(text, position, fence.start)
        position = fence.end
    yield from _FOUND.finditer(text, position)


def _kind(text: str, match: re.Match[str], previous: Mention | None, last_kind: str) -> str:
    """What an ID is called: trace, span, hash or nothing."""
    if match["tag"]:
        return match["tag"].lower()
    before = text[max(0, match.start() - 48) : match.start()]
    if called := _CALLED.search(before):
        return called["kind"].lower()
    if _HASH.search(before):
        return "hash"
    between = text[previous.end : match.start()] if previous and match.start() - previous.end < 24 else "."
    return last_kind if _AND.fullmatch(between) else ""


def _mention(match: re.Match[str], kind: str) -> Mention | None:
    said = _tagged(match, kind) if match["tag"] else _written(match, kind)
    if said is None:
        return None
    trace, span, is_sure = said
    return Mention(text=match[0], start=match.start(), end=match.end(), trace=trace, span=span, is_sure=is_sure)


def _tagged(match: re.Match[str], kind: str) -> tuple[str, str, bool]:
    named, inner = _digits(match["named"]), _digits(match["inner"] or "")
    if kind == "span" and len(named) == SPAN and not match["inner"]:
        return "", named, True
    is_readable = bool(named) and bool(inner) == bool(match["inner"])
    return (named, inner, True) if is_readable else ("", "", True)


def _written(match: re.Match[str], kind: str) -> tuple[str, str, bool] | None:
    first, second = _digits(match["first"] or match["addressed"]), _digits(match["second"] or "")
    if second or len(first) == FULL:
        return first, second, kind != "hash"
    if len(first) == SPAN and kind != "trace":
        return "", first, kind == "span"
    is_word = first.isdigit() or first.isalpha()
    return (first, "", kind == "trace") if kind == "trace" or (not kind and not is_word) else None


def _digits(text: str) -> str:
    digits = text.strip().replace("-", "").lower()
    return digits if re.fullmatch(rf"[0-9a-f]{{{SHORTEST},{FULL}}}", digits) else ""


def _with_its_marks(text: str, mention: Mention) -> Mention:
    """The mention with the backticks around it."""
    start, end = mention.start - 1, mention.end
    if start >= 0 and text[start] == "`" and text[end : end + 1] == "`":
        return replace(mention, start=start, end=end + 1)
    return mention


def _with_traces(text: str, found: list[Mention]) -> list[Mention]:
    """Give spans that stand alone the trace beside them: the last before, else the first behind."""
    for order in (range(len(found)), reversed(range(len(found)))):
        near: Mention | None = None
        for number in order:
            mention = found[number]
            if mention.trace and mention.is_sure:
                near = mention
            elif mention.span and not mention.trace and near and _is_near(text, mention, near):
                found[number] = replace(mention, trace=near.trace)
    return found


def _is_near(text: str, one: Mention, other: Mention) -> bool:
    start, end = min(one.end, other.end), max(one.start, other.start)
    return end - start <= MAX_REACH and not _PARAGRAPHS.search(text, start, end)


def _with_quotes(text: str, found: list[Mention]) -> list[Mention]:
    """Give each quotation to the mention that is nearest."""
    number = 0
    for quotation in _QUOTATION.finditer(text) if found else ():
        while number + 1 < len(found) and _distance(found[number + 1], quotation) < _distance(found[number], quotation):
            number += 1
        mention = found[number]
        beside = text[min(mention.end, quotation.end()) : max(mention.start, quotation.start())]
        if not mention.quote and len(beside) <= MAX_QUOTE_REACH and not _PARAGRAPHS.search(beside):
            found[number] = replace(mention, quote=quotation[str(quotation.lastgroup)].strip())
    return found


def _distance(mention: Mention, quotation: re.Match[str]) -> int:
    return max(mention.start - quotation.end(), quotation.start() - mention.end)


def pieces(text: str, found: Sequence[Mention]) -> Iterator[tuple[str, Mention | None]]:
    """The text in pieces, each with the mention that follows it."""
    bounds = [0, *(place for mention in found for place in (mention.start, mention.end)), len(text)]
    for (start, end), mention in zip([*pairwise(bounds)][::2], [*found, None], strict=True):
        yield text[start:end], mention
