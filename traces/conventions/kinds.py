"""The kind of a span, from evidence: what the sender calls it, what it used, and which library made it."""

import re
from functools import lru_cache

from traces.conventions.dialects import GENERATION, KIND_WORDS, SCOPES
from traces.otlp import Attributes

KINDS = frozenset(
    "LLM TOOL CHAIN RETRIEVER EMBEDDING AGENT RERANKER GUARDRAIL EVALUATOR PROMPT UNKNOWN SPAN".split()  # noqa: SIM905
)
# Senders spell operations in many ways: chat, ChatCompletion, chat.completions, acompletion. The first stem decides.
STEMS = (
    ("counttoken", "SPAN"),
    ("embed", "EMBEDDING"),
    ("rerank", "RERANKER"),
    ("retriev", "RETRIEVER"),
    ("vectorsearch", "RETRIEVER"),
    ("guardrail", "GUARDRAIL"),
    ("moderation", "GUARDRAIL"),
    ("evaluat", "EVALUATOR"),
    ("agent", "AGENT"),
    ("handoff", "AGENT"),
    *((stem, "LLM") for stem in ("chat", "complet", "generatecontent", "converse", "invokemodel", "llm")),
    *((stem, "LLM") for stem in ("dogenerate", "dostream", "message", "generation", "inference", "predict")),
    *((stem, "LLM") for stem in ("generatetext", "streamtext", "generateobject", "streamobject")),
    ("tool", "TOOL"),
    ("function", "TOOL"),
    ("response", "LLM"),
    *(
        (stem, "CHAIN")
        for stem in ("workflow", "chain", "pipeline", "graph", "crew", "flow", "task", "step", "eventloop")
    ),
)
_NO_LETTER = re.compile(r"[^a-z0-9]+")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
# What is done with stored things: chat_history and messages.list are no calls of a model.
_KEEPING = frozenset("list delete save history".split())  # noqa: SIM905


def kind_of(sent_kind: str, operation: str, *, has_tool: bool, has_usage: bool, has_model: bool, scope: str) -> str:
    """The kind by the sender's own word, else by its operation, a named tool, its usage with a model, or its library.

    `has_model` is not enough alone: caches and databases name models, too.
    """
    if (kind := sent_kind.upper()) in KINDS:
        return kind
    if kind := _said_kind(sent_kind, has_model) or _said_kind(operation, has_model):
        return kind
    if has_tool:
        return "TOOL"
    if has_model and (has_usage or _is_model_client(scope)):
        return "LLM"
    return "UNKNOWN" if sent_kind else "SPAN"


def _said_kind(word: str, has_model: bool) -> str:
    return "CHAIN" if word == GENERATION and not has_model else kind_of_word(word)


@lru_cache(maxsize=4096)
def kind_of_word(word: str) -> str:
    """The kind that an operation's name means; empty if it is not known."""
    if word in KIND_WORDS:
        return KIND_WORDS[word]
    if not _KEEPING.isdisjoint(part.lower() for part in _WORD.findall(word)):
        return ""
    folded = _NO_LETTER.sub("", word.lower())
    return next((kind for stem, kind in STEMS if stem in folded), "")


@lru_cache(maxsize=4096)
def _is_model_client(scope: str) -> bool:
    folded = scope.lower()
    return any(name in folded for name in SCOPES)


def is_of_database(attributes: Attributes) -> bool:
    return "db.system" in attributes or "db.system.name" in attributes
