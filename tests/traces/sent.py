"""Spans as senders send them, in few words."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from traces.otlp import DecodedSpan, Source

SECOND = 1_000_000_000


def nanoseconds(time: datetime) -> int:
    """OTLP's clock."""
    return int((time - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * SECOND)


def sent_span(
    span: int,
    parent: int | None = None,
    *,
    trace: int = 1,
    start: datetime,
    seconds: float | None = 1,
    status: str = "ok",
    name: str = "step",
    resource: dict[str, Any] | None = None,
    **attributes: Any,
) -> DecodedSpan:
    """One span; attribute names are written with double underscores for dots. `seconds` None leaves it open."""
    start_ns = nanoseconds(start)
    return DecodedSpan(
        source=Source(resource or {"service.name": "shop"}, "scope", "1"),
        trace_id=UUID(int=trace),
        span_id=span,
        parent_id=parent,
        name=name,
        otel_kind=1,
        start_ns=start_ns,
        end_ns=0 if seconds is None else start_ns + int(seconds * SECOND),
        status=status,
        status_message="",
        attributes={key.replace("__", "."): value for key, value in attributes.items()},
        events=[],
        links=[],
    )
