"""Spans as rows of the waterfall, in tree order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalyst import formats
from traces.models.span import hex_span_id
from traces.records import SpanRecord

# Deeper rows are not indented further.
MAX_DEPTH = 8
MIN_WIDTH_PERCENT = 0.3
TICKS = 5
ICONS = {
    **{"LLM": "llm", "TOOL": "tool", "AGENT": "agent", "CHAIN": "chain", "RETRIEVER": "retriever"},
    **{"RERANKER": "retriever", "EMBEDDING": "embedding", "GUARDRAIL": "guardrail", "EVALUATOR": "guardrail"},
}

NAMES = {
    "LLM": "Model call", "TOOL": "Tool call", "AGENT": "Agent", "CHAIN": "Step", "RETRIEVER": "Search of documents",
    "RERANKER": "Sorting of documents", "EMBEDDING": "Embedding", "GUARDRAIL": "Guardrail", "EVALUATOR": "Evaluation",
    "PROMPT": "Prompt",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """`x` and `width` are percent of the trace's duration."""

    span: SpanRecord
    depth: int
    x: float
    width: float

    @property
    def hex_id(self) -> str:
        return hex_span_id(self.span.span_id)

    @property
    def icon(self) -> str:
        return ICONS.get(self.span.kind, "span")

    @property
    def kind(self) -> str:
        """What the icon stands for, and that the color of the bar is that of a failure."""
        name = NAMES.get(self.span.kind, "Span")
        return f"{name}, failed" if self.span.status == "error" else name

    @property
    def tone(self) -> str:
        if self.span.status == "error":
            return "bad"
        return {"LLM": "llm", "TOOL": "tool"}.get(self.span.kind, "other")


def rows(spans: Sequence[SpanRecord]) -> list[Row]:
    """Parents before children, siblings by start. Spans with a missing parent, or in a cycle, are roots."""
    if not spans:
        return []
    start, duration = _extent(spans)
    return [_row(span, depth, start, duration) for span, depth in _in_order(spans)]


def ticks(spans: Sequence[SpanRecord]) -> list[str]:
    if not spans:
        return []
    duration_us = _extent(spans)[1].total_seconds() * 1e6
    return ["0", *(formats.duration(duration_us * index / (TICKS - 1)) for index in range(1, TICKS))]


def _extent(spans: Sequence[SpanRecord]) -> tuple[datetime, timedelta]:
    start = min(span.start_time for span in spans)
    end = max(span.start_time + timedelta(microseconds=span.duration_us or 0) for span in spans)
    return start, max(end - start, timedelta(microseconds=1))


def _in_order(spans: Sequence[SpanRecord]) -> list[tuple[SpanRecord, int]]:
    children = _children(spans)
    ordered: list[tuple[SpanRecord, int]] = []
    while children:
        roots = children.pop(None, None) or children.pop(next(iter(children)))
        waiting = [(root, 0) for root in reversed(roots)]
        while waiting:
            span, depth = waiting.pop()
            ordered.append((span, depth))
            waiting.extend((child, depth + 1) for child in reversed(children.pop(span.span_id, [])))
    return ordered


def _children(spans: Sequence[SpanRecord]) -> dict[int | None, list[SpanRecord]]:
    span_ids = {span.span_id for span in spans}
    children: dict[int | None, list[SpanRecord]] = {}
    for span in sorted(spans, key=lambda span: (span.start_time, span.span_id)):
        has_parent = span.parent_id in span_ids and span.parent_id != span.span_id
        children.setdefault(span.parent_id if has_parent else None, []).append(span)
    return children


def _row(span: SpanRecord, depth: int, start: datetime, duration: timedelta) -> Row:
    x = 100 * ((span.start_time - start) / duration)
    width = max(100 * (timedelta(microseconds=span.duration_us or 0) / duration), MIN_WIDTH_PERCENT)
    return Row(
        span,
        min(depth, MAX_DEPTH),
        round(min(x, 100 - MIN_WIDTH_PERCENT), 2),
        round(min(width, 100 - x + MIN_WIDTH_PERCENT), 2),
    )
