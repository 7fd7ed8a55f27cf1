"""Reads the drafts of signals that a model suggests, by whatever names it gave to their parts. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from halo.drafts import SignalDraft, SignalLabel
from halo.report.findings import first_of, line_of, named_of, text_of, word_of

MAX_DRAFTS = 20
# As much as the editor of signals takes, or as an address may hold.
MAX_NAME, MAX_PROMPT, MAX_LABEL, MAX_LABELS = 100, 2_000, 60, 10
MAX_LEVELS = 3

_LISTS = ("signals", "signal_drafts", "suggested_signals", "drafts_of_signals", "proposed_signals")
_NAMES = ("name", "title", "signal")
_PROMPTS = ("prompt", "question", "instruction", "definition")
_WHYS = ("why", "reason", "rationale", "because", "description")
_LABELS = ("labels", "values", "classes", "options", "categories")
_BINARY = ({"yes", "no"}, {"true", "false"})
_NEGATIVE = {"negative", "bad"}
_SCOPES: Mapping[str, str] = {
    **dict.fromkeys(("span", "spans", "call", "model_call", "llm_call", "step"), "span"),
    **dict.fromkeys(("session", "sessions", "conversation", "conversations", "thread"), "session"),
}


def signals_in(value: Any, levels: int = MAX_LEVELS) -> list[Any]:
    """The list of signals in an object, which may be nested in others."""
    if not isinstance(value, dict) or not levels:
        return []
    named = named_of(value)
    found = next((items for name in _LISTS if isinstance(items := named.get(name), list)), None)
    if found is not None:
        return found
    inner = (signals_in(each, levels - 1) for each in named.values())
    return next((items for items in inner if items), [])


def read_signals(items: list[Any]) -> tuple[SignalDraft, ...]:
    """The drafts that ask something."""
    drafts = (_read(item) for item in items[:MAX_DRAFTS])
    return tuple(draft for draft in drafts if draft is not None)


def _read(item: Any) -> SignalDraft | None:
    if not isinstance(item, dict):
        return None
    named = named_of(item)
    prompt = _cut(text_of(first_of(named, _PROMPTS)), MAX_PROMPT)
    if not prompt:
        return None
    name = line_of(first_of(named, _NAMES), MAX_NAME) or line_of(prompt, MAX_NAME)
    labels = tuple(_labels(first_of(named, _LABELS)))
    words = {label.value.casefold() for label in labels}
    is_string = len(words) > 1 and words not in _BINARY
    return SignalDraft(
        name=name,
        scope=_SCOPES.get(word_of(named.get("scope")), "trace"),
        prompt=prompt,
        labels=labels if is_string else (),
        why=text_of(first_of(named, _WHYS)),
    )


def _labels(value: Any) -> Iterator[SignalLabel]:
    seen: set[str] = set()
    for item in value if isinstance(value, list) else []:
        named = named_of(item) if isinstance(item, dict) else {"label": item}
        label = line_of(first_of(named, ("label", "name", "value")), MAX_LABEL)
        if label and label.casefold() not in seen and len(seen) < MAX_LABELS:
            seen.add(label.casefold())
            yield SignalLabel(label, is_bad=word_of(named.get("sentiment")) in _NEGATIVE)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}\u2026"
