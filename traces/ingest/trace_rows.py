"""Locks and writes rows of traces."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from catalyst import database
from traces.records import Extent
from traces.summary import COSTS, COUNTS, Summary

_TYPES = {
    "trace_id": "uuid",
    "agent_id": "bigint",
    "session_id": "bigint",
    '"user"': "text",
    "service": "text",
    "service_version": "text",
    "environment": "text",
    "name": "text",
    "status": "text",
    "outcome": "text",
    "start_time": "timestamptz",
    "end_time": "timestamptz",
    "duration_us": "bigint",
    "root_span_id": "bigint",
    "root_ended": "boolean",
    "model_names": "text[]",
    "skewed": "boolean",
    "input_preview": "text",
    "output_preview": "text",
    **dict.fromkeys(COUNTS, "bigint"),
    **dict.fromkeys(COSTS, "numeric"),
}
_COLUMNS = ", ".join(_TYPES)
_RECORD = ", ".join(f"{name} {kind}" for name, kind in _TYPES.items())
_FROM_SUMMARY = (
    *("agent_id", "user", "service", "service_version", "environment"),
    *("name", "status", "outcome", "start_time", "end_time"),
)


@dataclass(slots=True)
class TraceRow:
    trace_id: UUID
    summary: Summary
    session_id: int | None
    input_preview: str
    output_preview: str

    def values(self) -> dict[str, Any]:
        summary = self.summary
        return {
            "trace_id": self.trace_id,
            "session_id": self.session_id,
            **{name: getattr(summary, name) for name in _FROM_SUMMARY},
            "duration_us": summary.duration_us,
            "root_span_id": summary.root_span_id,
            "root_ended": summary.root_ended,
            "model_names": summary.model_names,
            "skewed": summary.skewed,
            "input_preview": self.input_preview,
            "output_preview": self.output_preview,
            **{name: getattr(summary.counts, name) for name in COUNTS},
            **{name: str(getattr(summary.counts, name)) for name in COSTS},
        }


@dataclass(slots=True, frozen=True)
class LockedTrace:
    """The row of a trace as it was before, locked until the transaction ends."""

    pk: int
    trace_id: UUID
    created: bool
    start_time: datetime
    end_time: datetime
    session_id: int | None
    first_received_at: datetime
    span_count: int
    input_preview: str
    output_preview: str

    @property
    def extent(self) -> Extent:
        return Extent(self.trace_id, self.start_time, self.end_time)


def lock(project_id: int, rows: Sequence[TraceRow], since: datetime, now: datetime) -> dict[UUID, LockedTrace]:
    """Lock traces in key order. Creates missing ones from `rows`; leaves others as they are.

    Their first spans were received between `since` and `now`.
    """
    statement = f"""
        INSERT INTO traces_trace AS t (project_id, revision, first_received_at, last_received_at, {_COLUMNS})
        SELECT %s, 1, %s, %s, {_COLUMNS} FROM json_to_recordset(%s::json) AS d({_RECORD}) ORDER BY trace_id
        ON CONFLICT (project_id, trace_id) DO UPDATE SET last_received_at = t.last_received_at
        RETURNING id, trace_id, xmax = 0, start_time, end_time, session_id, first_received_at,
            span_count, input_preview, output_preview
    """
    fetched = database.fetch(statement, [project_id, since, now, _json(rows)])
    return {trace.trace_id: trace for trace in (LockedTrace(*row) for row in fetched)}


def update(project_id: int, rows: Sequence[TraceRow], now: datetime) -> None:
    """Write locked traces and raise their revision."""
    if not rows:
        return
    # Repeat the ids: without statistics the planner would choose a sequential scan.
    assignments = ", ".join(f"{name} = d.{name}" for name in _TYPES if name != "trace_id")
    statement = f"""
        UPDATE traces_trace t
        SET revision = t.revision + 1, last_received_at = greatest(t.last_received_at, %s), {assignments}
        FROM json_to_recordset(%s::json) AS d({_RECORD})
        WHERE t.project_id = %s AND t.trace_id = d.trace_id AND t.trace_id = ANY(%s)
    """
    database.execute(statement, [now, _json(rows), project_id, [row.trace_id for row in rows]])


def _json(rows: Iterable[TraceRow]) -> str:
    return orjson.dumps([row.values() for row in rows]).decode()
