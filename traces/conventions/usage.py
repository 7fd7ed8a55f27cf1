"""Tokens and cost of a span, from what its sender says."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from catalyst.pricing import price
from traces.conventions.loose_json import read_json
from traces.records import SpanRecord

MAX_TOKENS = 10**9
MAX_COST = Decimal(10_000)
TOKEN_COLUMNS = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")

# What senders pack into one attribute, by its column.
_COUNTS = {
    **dict.fromkeys(("input", "input_tokens", "prompt_tokens"), "input_tokens"),
    **dict.fromkeys(("output", "output_tokens", "completion_tokens"), "output_tokens"),
    **dict.fromkeys(("total", "total_tokens"), "total_tokens"),
    **dict.fromkeys(
        ("cache_read", "input_cache_read", "input_cached_tokens", "cache_read_input_tokens"), "cached_tokens"
    ),
    **dict.fromkeys(("cache_creation", "input_cache_creation", "cache_creation_input_tokens"), "cache_write_tokens"),
    **dict.fromkeys(("reasoning", "output_reasoning", "output_reasoning_tokens"), "reasoning_tokens"),
}
_DETAILS = {
    **dict.fromkeys(("usage_details", "input_details", "output_details"), _COUNTS),
    "cost_details": {"total": "cost", "input": "input_cost", "output": "output_cost"},
}
_DETAILED = frozenset(_DETAILS)
_NAMED = frozenset((*TOKEN_COLUMNS, *_DETAILS, "total_tokens", "cost", "input_cost", "output_cost"))

type ColumnValues = Mapping[str, tuple[str, Any, int]]
"""As `span_mapping.ColumnValues`."""


def add_usage(span: SpanRecord, values: ColumnValues) -> bool:
    """Set tokens and cost. Returns False if only their total is known, which then counts as input."""
    if _NAMED.isdisjoint(values):
        return True
    if not _DETAILED.isdisjoint(values):
        values = {**_unpacked(values), **values}
    for column in TOKEN_COLUMNS:
        if column in values:
            setattr(span, column, _count(values[column][1]))
    total = _count(values["total_tokens"][1]) if "total_tokens" in values else None
    # A zero says nothing.
    is_split = bool(span.input_tokens or span.output_tokens or not total)
    if is_split:
        _include_cached(span, total)
    else:
        span.input_tokens = total
    _add_cost(span, values)
    return is_split


def _unpacked(values: ColumnValues) -> dict[str, tuple[str, Any, int]]:
    """The columns of packed attributes."""
    found: dict[str, tuple[str, Any, int]] = {}
    for column, columns in _DETAILS.items():
        details = _object(values[column][1]) if column in values else {}
        found |= {columns[key]: (key, value, 0) for key, value in details.items() if key in columns}
    return found


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = read_json(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def add_price(span: SpanRecord) -> None:
    """Set the cost of a span with a model from the price list if the sender gave none."""
    if span.cost is None and span.model and (span.input_tokens or span.output_tokens):
        paid = price(
            span.provider,
            span.model,
            span.input_tokens or 0,
            span.output_tokens or 0,
            span.cached_tokens or 0,
            span.cache_write_tokens or 0,
            span.start_time,
        )
        if paid is not None:
            span.cost, span.input_cost = round(paid.total, 9), round(paid.input, 9)
            span.cache_cost, span.output_cost = round(paid.cache, 9), round(paid.output, 9)


def _include_cached(span: SpanRecord, total: int | None) -> None:
    """Add cached tokens to the input of senders that count them apart: as Anthropic does, and OpenAI does not."""
    cached = (span.cached_tokens or 0) + (span.cache_write_tokens or 0)
    if not cached or span.input_tokens is None:
        return
    apart = span.input_tokens + cached
    said_apart = total == apart + (span.output_tokens or 0)
    if (cached > span.input_tokens or said_apart) and apart <= MAX_TOKENS:
        span.input_tokens = apart


def _add_cost(span: SpanRecord, values: ColumnValues) -> None:
    span.cost = _cost(values, "cost")
    parts = [_cost(values, column) for column in ("input_cost", "output_cost")]
    if not span.cost and any(part is not None for part in parts):
        span.input_cost, span.output_cost = parts
        span.cost = sum((part for part in parts if part is not None), Decimal(0))
    if span.cost == 0 and (span.input_tokens or span.output_tokens):
        # Senders that know no price say zero.
        span.cost = span.input_cost = span.output_cost = None


def _count(value: Any) -> int | None:
    try:
        number = -1 if isinstance(value, bool) else int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number < MAX_TOKENS else None


def _cost(values: ColumnValues, column: str) -> Decimal | None:
    hit = values.get(column)
    try:
        cost = None if hit is None else Decimal(str(hit[1]))
    except InvalidOperation:
        return None
    return round(cost, 9) if cost is not None and cost.is_finite() and 0 <= cost <= MAX_COST else None
