"""Reads fields of parsed JSON of any shape. Pure."""

import json
from typing import Any

type Json = dict[str, Any]


def as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        return "[unreadable]"


def first(source: Json, *names: str) -> Any:
    """The first value that is not empty."""
    return next((source[name] for name in names if source.get(name) not in (None, "", [], {})), None)


def name_of(source: Json, *names: str) -> str:
    """The first value that is a text and not empty."""
    return next((value for name in names if isinstance(value := source.get(name), str) and value), "")
