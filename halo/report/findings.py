"""Reads one finding of a model, by whatever names the model gave to its parts. Pure."""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from halo.choices import Category, Severity

MAX_CITATIONS = 30
MAX_TITLE = 300
MAX_TEXT = 4_000
MAX_QUOTE = 1_000
MAX_ID = 100
MAX_COUNT = 10**9
# How deep within an object the list of findings may be.
MAX_LEVELS = 4

_SURE = ("findings", "issues", "problems")
_LISTS = (*_SURE, "results", "items", "report")
_TITLES = ("title", "name", "finding", "issue", "summary", "headline")
_SEVERITIES = ("severity", "priority", "level", "impact")
_CATEGORIES = ("category", "type", "kind", "area")
_HAPPENS = ("what_happens", "happens", "description", "what", "details", "problem", "summary")
_EVIDENCE = ("evidence", "proof", "support", "observations")
_FIXES = ("fix", "suggested_fix", "recommendation", "recommended_fix", "suggestion", "remedy", "action")
_SIGNATURES = ("signature", "signature_hint", "key", "slug")
_COUNTS = ("trace_count", "traces_affected", "affected_traces", "count", "traces", "occurrences")
_CITATIONS = ("citations", "cited", "references", "trace_ids", "example_traces", "examples", "traces", "evidence")
_TRACE_IDS = ("trace_id", "trace", "traceid", "id")
_SPAN_IDS = ("span_id", "span", "spanid")
_QUOTES = ("quote", "text", "excerpt", "quotation")

_SEVERITY_WORDS: Mapping[str, Severity] = {
    **dict.fromkeys(("critical", "blocker", "severe", "urgent", "fatal", "p0", "s0", "sev0"), Severity.CRITICAL),
    **dict.fromkeys(("high", "major", "error", "important", "p1", "s1", "sev1"), Severity.HIGH),
    **dict.fromkeys(("medium", "moderate", "normal", "warning", "mid", "p2", "s2", "sev2"), Severity.MEDIUM),
    **dict.fromkeys(("low", "minor", "trivial", "info", "informational", "none", "p3", "p4", "sev3"), Severity.LOW),
}
_CATEGORY_WORDS: Mapping[str, Category] = {
    **{each.value: each for each in Category},
    **dict.fromkeys(("error", "errors", "failure", "failures", "bug", "stability", "robustness"), Category.RELIABILITY),
    **dict.fromkeys(("performance", "speed", "slow", "slowness", "timeout"), Category.LATENCY),
    **dict.fromkeys(("efficiency", "tokens", "waste", "token_usage", "redundancy"), Category.COST),
    **dict.fromkeys(("accuracy", "correctness", "prompt", "hallucination", "instruction_following"), Category.QUALITY),
    **dict.fromkeys(("tool", "tools", "tooling", "tool_usage", "tool_call", "tool_calls"), Category.TOOL_USE),
    **dict.fromkeys(("security", "privacy", "prompt_injection", "injection", "compliance"), Category.SAFETY),
}


_SPACE = re.compile(r"\s+")
_COUNT = re.compile(r"\D{0,20}(\d{1,3}(?:,\d{3}){1,2}|\d{1,9})\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """IDs as the model wrote them. Nobody has looked whether they exist."""

    trace_id: str
    span_id: str = ""
    quote: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFinding:
    title: str
    severity: Severity = Severity.MEDIUM
    category: Category = Category.QUALITY
    happens: str = ""
    evidence: str = ""
    fix: str = ""
    signature: str = ""
    claimed_count: int | None = None
    citations: tuple[Cited, ...] = ()


def findings_in(value: Any, *, is_last: bool, levels: int = MAX_LEVELS) -> list[Any] | None:
    """The list of findings in a value, which may be nested in objects. None if it holds something else.

    A list of texts may be anything, so it only counts where it `is_last` in the report, or where its name says it.
    """
    if isinstance(value, list):
        return value if any(map(is_finding, value)) or (is_last and _is_texts(value)) else None
    return _nested(named_of(value), levels) if isinstance(value, dict) and levels else None


def _nested(named: Mapping[str, Any], levels: int) -> list[Any] | None:
    sure = next((items for name in _SURE if isinstance(items := named.get(name), list)), None)
    inner = (findings_in(named[name], is_last=False, levels=levels - 1) for name in _LISTS if name in named)
    return next((items for items in (sure, *inner) if items is not None), None)


def _is_texts(items: list[Any]) -> bool:
    return all(isinstance(item, str) for item in items)


def is_finding(value: Any) -> bool:
    """Whether an object is a finding by itself."""
    return isinstance(value, dict) and _is_finding(named_of(value))


def _is_finding(named: Mapping[str, Any]) -> bool:
    has_words = bool(first_of(named, (*_TITLES, *_HAPPENS)))
    return has_words and bool(first_of(named, (*_SEVERITIES, *_FIXES, *_EVIDENCE, *_CITATIONS)))


def read_finding(item: Any) -> ParsedFinding | None:
    """Return None for what has no title."""
    if isinstance(item, str):
        title = line_of(item, MAX_TITLE)
        return ParsedFinding(title=title, happens=text_of(item) if len(item) > MAX_TITLE else "") if title else None
    if not isinstance(item, dict):
        return None
    named = named_of(item)
    title = line_of(first_of(named, (*_TITLES, *_HAPPENS)), MAX_TITLE)
    if not title:
        return None
    return ParsedFinding(
        title=title,
        severity=_SEVERITY_WORDS.get(word_of(first_of(named, _SEVERITIES)), Severity.MEDIUM),
        category=_category(named),
        happens=text_of(first_of(named, _HAPPENS)),
        evidence=text_of(first_of(named, _EVIDENCE)),
        fix=text_of(first_of(named, _FIXES)),
        signature=line_of(first_of(named, _SIGNATURES), MAX_TITLE).lower(),
        claimed_count=_count(named),
        citations=tuple(_citations(named)),
    )


def _category(named: Mapping[str, Any]) -> Category:
    for name in _CATEGORIES:
        if category := _CATEGORY_WORDS.get(word_of(named.get(name))):
            return category
    return Category.QUALITY


def _count(named: Mapping[str, Any]) -> int | None:
    for name in _COUNTS:
        value = named.get(name)
        digits = _COUNT.match(value) if isinstance(value, str) else None
        number = int(digits[1].replace(",", "")) if digits else value
        if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= MAX_COUNT:
            return number
    return None


def _citations(named: Mapping[str, Any]) -> Iterator[Cited]:
    lists = [value for name in _CITATIONS if isinstance(value := named.get(name), list | dict)]
    items = [item for value in lists for item in (value if isinstance(value, list) else [value])]
    cited = (_cited(item) for item in items[:MAX_CITATIONS])
    yield from dict.fromkeys(each for each in cited if each is not None)


def _cited(item: Any) -> Cited | None:
    if isinstance(item, str):
        return Cited(trace_id=line_of(item, MAX_ID)) if item.strip() else None
    if not isinstance(item, dict):
        return None
    named = named_of(item)
    trace_id, span_id = line_of(first_of(named, _TRACE_IDS), MAX_ID), line_of(first_of(named, _SPAN_IDS), MAX_ID)
    if not (trace_id or span_id):
        return None
    return Cited(trace_id=trace_id, span_id=span_id, quote=text_of(first_of(named, _QUOTES))[:MAX_QUOTE])


def named_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """The object with its names in one spelling."""
    return {word_of(name): value for name, value in item.items()}


def word_of(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    return re.sub(r"[\W_]+", "_", unicodedata.normalize("NFKC", value[:MAX_ID]).strip().lower()).strip("_")


def first_of(named: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first value that says something."""
    return next((value for name in names if (value := named.get(name)) not in (None, "", [], {})), "")


def line_of(value: Any, limit: int) -> str:
    text = _SPACE.sub(" ", text_of(value)).strip()
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}\u2026"


def text_of(value: Any) -> str:
    """The text of a value. Lists become bullets."""
    if isinstance(value, list):
        value = "\n".join(f"- {_said(item)}" for item in value[:MAX_CITATIONS])
    text = _said(value).strip()
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1].rstrip()}\u2026"


def _said(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("\x00", "").encode(errors="replace").decode()
