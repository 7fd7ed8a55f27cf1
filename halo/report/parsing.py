"""Reads what a model wrote: a report in prose, and the findings that are in a block of JSON within it. Pure.

Models write the block nearly as they were asked to, or not at all. Whatever can be read is taken, and what can't be is
told as a problem. The prose is never lost.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from catalyst.nearly_json import mend
from halo.drafts import SignalDraft
from halo.report.fences import fences
from halo.report.findings import ParsedFinding, findings_in, is_finding, read_finding
from halo.report.signal_drafts import read_signals, signals_in

MAX_CHARACTERS = 1_000_000
MAX_FINDINGS = 50
# Places where findings are looked for.
MAX_FENCES, MAX_BARE = 500, 20
MAX_HEADING = 200

NOTHING = "The model wrote nothing."
NO_LIST = "The model wrote no list of findings, so only its text is shown."
BREAKS_OFF = "The list of findings breaks off. What was complete is shown."
TOO_LONG = f"The model wrote more than {MAX_CHARACTERS:,} characters. Its middle was not read."

# An object or a list that begins a line, without a fence.
_BARE = re.compile(r"^[ \t]*(?=[{\[][ \t\r\n]*[\[{\"'\u201c])", re.MULTILINE)
_HEADING_OVER_BLOCK = re.compile(
    r"\n[ \t]*(?:#{1,6}[ \t]*)?(?:\*\*)?[^\n]{0,40}(?:json|findings block|machine.readable)[^\n]{0,40}\s*\Z",
    re.IGNORECASE,
)
_BEGINNING = re.compile(r"[{\[]")


@dataclass(frozen=True, slots=True)
class ParsedReport:
    """`prose`: Markdown without the block. `problems`: what could not be read, in sentences for people."""

    prose: str
    findings: tuple[ParsedFinding, ...] = ()
    problems: tuple[str, ...] = ()
    signals: tuple[SignalDraft, ...] = ()


@dataclass(frozen=True, slots=True)
class _Block:
    """A place in the text that holds findings, or drafts of signals."""

    start: int
    end: int
    items: list[Any]
    is_cut: bool
    is_single: bool
    signals: Sequence[Any] = ()


def parse(text: str) -> ParsedReport:
    """Read a report. Never raises."""
    is_long = len(text) > MAX_CHARACTERS
    if is_long:
        text = f"{text[: MAX_CHARACTERS // 2]}\n\n\u2026\n\n{text[-MAX_CHARACTERS // 2 :]}"
    text = text.replace("\x00", "").encode(errors="replace").decode()
    blocks = list(_blocks(text))
    chosen = _chosen(blocks)
    items = [item for block in chosen for item in block.items]
    findings = [finding for item in items[:MAX_FINDINGS] if (finding := read_finding(item))]
    problems = [TOO_LONG] if is_long else []
    problems += _problems(text, chosen, len(findings))
    signals = next((block.signals for block in reversed(blocks) if block.signals), ())
    return ParsedReport(_without(text, blocks), tuple(findings), tuple(problems), read_signals(list(signals)))


def _chosen(blocks: list[_Block]) -> list[_Block]:
    """The last list, because models draft, then write the whole again. Without a list, all findings by themselves."""
    lists = [block for block in blocks if not block.is_single]
    return [block for block in lists if block.items][-1:] or lists[-1:] or blocks


def _problems(text: str, chosen: list[_Block], read: int) -> Iterator[str]:
    if not chosen:
        yield NO_LIST if text.strip() else NOTHING
    if any(block.is_cut for block in chosen):
        yield BREAKS_OFF
    if (count := sum(len(block.items) for block in chosen)) > MAX_FINDINGS:
        yield f"The model wrote {count:,} findings. The first {MAX_FINDINGS} are shown."
    if unread := min(count, MAX_FINDINGS) - read:
        yield f"{unread:,} findings have no title and are not shown."


def _blocks(text: str) -> Iterator[_Block]:
    """The fenced blocks with findings, else the objects and lists that begin a line."""
    found = list(_fenced(text))
    yield from found or _bare(text)


def _fenced(text: str) -> Iterator[_Block]:
    for fence in islice(fences(text), MAX_FENCES):
        if block := _read(text, fence.inner_start, fence.inner_end):
            yield replace(block, start=fence.start, end=fence.end)


def _bare(text: str) -> Iterator[_Block]:
    position = 0
    for _ in range(MAX_BARE):
        beginning = _BARE.search(text, position)
        if beginning is None:
            return
        block = _read(text, beginning.end(), len(text))
        position = block.end if block else beginning.end() + 1
        if block:
            yield block


def _read(text: str, start: int, end: int) -> _Block | None:
    """The first object or list in a part of the text, if it holds findings."""
    begins = _BEGINNING.search(text, start, end)
    mended = _loaded(text[begins.start() : end]) if begins else None
    if begins is None or mended is None:
        return None
    value, length, is_cut = mended
    end_of_value = begins.start() + length
    items = findings_in(value, is_last=not text[end_of_value:].strip("`~ \n"))
    signals = signals_in(value)
    if items is not None or signals:
        return _Block(start, end_of_value, items or [], is_cut, is_single=False, signals=signals)
    return _Block(start, end_of_value, [value], is_cut, is_single=True) if is_finding(value) else None


def _loaded(text: str) -> tuple[Any, int, bool] | None:
    with suppress(ValueError, RecursionError):
        return (*json.JSONDecoder(strict=False).raw_decode(text), False)
    mended = mend(text)
    with suppress(ValueError, RecursionError):
        return json.loads(mended.text, strict=False), mended.end, mended.is_cut
    return None


def _without(text: str, blocks: Iterable[_Block]) -> str:
    """The text without the blocks, and without a heading that is left over one."""
    parts, position = [], 0
    for block in blocks:
        before = text[position : block.start]
        parts.append(before[:-MAX_HEADING] + _HEADING_OVER_BLOCK.sub("", before[-MAX_HEADING:]))
        position = block.end
    return "".join([*parts, text[position:]]).strip()
