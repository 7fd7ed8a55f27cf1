"""Adds differences between trace summaries to sessions and hours.

Statements lock rows in key order, which prevents deadlocks.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any

import orjson

from catalyst import database
from traces.summary import CALLS, COSTS, COUNTS, CallKey, Calls, Counts, Summary

OWN_SUMS = ("trace_count", "error_trace_count", "success_count", "failure_count", "reported_outcome_count")
SESSION_SUMS = ("trace_count", "error_trace_count", *COUNTS)
HOUR_SUMS = (*OWN_SUMS, *COUNTS)
# Table, keys and sums.
_HOURS = ("traces_agenthour", "agent_id bigint, hour timestamptz", HOUR_SUMS)
_LATENCIES = ("traces_agenthourlatency", "agent_id bigint, hour timestamptz, bucket smallint", ("trace_count",))
_CALLS = (
    "traces_agenthourcalls",
    "agent_id bigint, hour timestamptz, kind text, name text, bucket smallint",
    CALLS,
)
_HOURLY = (_HOURS, _LATENCIES, _CALLS)
_call_values: Callable[[Calls], tuple[Any, ...]] = attrgetter(*CALLS)
# Agent and user of a session come from its earliest traces.
MAX_NAMING_TRACES = 100


@dataclass(slots=True)
class Sums:
    trace_count: int = 0
    error_trace_count: int = 0
    success_count: int = 0
    failure_count: int = 0
    reported_outcome_count: int = 0
    counts: Counts = field(default_factory=Counts)

    def add(self, summary: Summary, sign: int) -> None:
        self.trace_count += sign
        self.error_trace_count += sign * (summary.status == "error")
        self.success_count += sign * (summary.outcome == "success")
        self.failure_count += sign * (summary.outcome == "failure")
        self.reported_outcome_count += sign * summary.reports_outcome
        self.counts.add(summary.counts, sign)


def _values(names: Sequence[str]) -> Callable[[Sums], tuple[Any, ...]]:
    return attrgetter(*(name if name in OWN_SUMS else f"counts.{name}" for name in names))


_session_values, _hour_values = _values(SESSION_SUMS), _values(HOUR_SUMS)


@dataclass(slots=True)
class Change:
    """A trace before and after a batch, with the primary keys of its sessions."""

    before: Summary | None
    after: Summary
    session_before: int | None
    session_after: int | None


def apply(project_id: int, changes: Sequence[Change], now: datetime) -> None:
    """Update sessions, hours and histograms. The rows of the traces are already written."""
    _add_sessions(changes, now)
    _add_hours(project_id, changes)
    _add_latencies(project_id, changes)
    _add_calls(project_id, changes)


def recount(sessions: Iterable[int], now: datetime) -> None:
    """Recount sessions after traces were deleted."""
    if ids := sorted(sessions):
        _lock_sessions(ids)
        _recount_sessions(ids, [], now)


def merge_agents(project_id: int, source: int, into: int) -> None:
    """Add the sums of an agent to those of another one, and delete them."""
    for table, keys, sums in _HOURLY:
        names = ", ".join(name for name in _names(keys) if name != "agent_id")
        added = ", ".join(f"{name} = r.{name} + EXCLUDED.{name}" for name in sums)
        database.execute(
            f"""
            WITH deleted AS (DELETE FROM {table} WHERE project_id = %s AND agent_id = %s RETURNING *)
            INSERT INTO {table} AS r (project_id, agent_id, {names}, {", ".join(sums)})
            SELECT project_id, %s, {names}, {", ".join(sums)} FROM deleted ORDER BY {names}
            ON CONFLICT (project_id, agent_id, {names}) DO UPDATE SET {added}
            """,
            [project_id, source, into],
        )


def _signed(changes: Iterable[Change]) -> Iterable[tuple[Summary, int | None, int]]:
    for change in changes:
        if change.before is not None:
            yield change.before, change.session_before, -1
        yield change.after, change.session_after, 1


def _add_sessions(changes: Sequence[Change], now: datetime) -> None:
    sums, times = _by_session(changes)
    if not sums:
        return
    shrunk = _without_none(change.session_before for change in changes if _may_shrink(change))
    if shrunk:
        # Those that grow, too: a writer that moves a trace the other way locks them in the same order.
        _lock_sessions(sorted(sums))
    grown = sorted(sums.keys() - shrunk)
    _update_sessions([(pk, min(times[pk]), max(times[pk]), *_session_values(sums[pk])) for pk in grown], now)
    _recount_sessions(sorted(shrunk), list(_without_none(change.session_after for change in changes)), now)
    _name_sessions(sorted(sums))


def _by_session(changes: Sequence[Change]) -> tuple[dict[int, Sums], dict[int, list[datetime]]]:
    """Differences of sums, and starts and ends of traces, by session."""
    sums: dict[int, Sums] = defaultdict(Sums)
    times: dict[int, list[datetime]] = defaultdict(list)
    for summary, session, sign in _signed(changes):
        if session is None:
            continue
        sums[session].add(summary, sign)
        if sign > 0:
            times[session] += [summary.start_time, summary.end_time]
    return sums, times


def _without_none(sessions: Iterable[int | None]) -> set[int]:
    return {pk for pk in sessions if pk is not None}


def _may_shrink(change: Change) -> bool:
    before, after = change.before, change.after
    if before is None or change.session_before is None:
        return False
    # No sum can tell the new start or end of a session that covers less time.
    moved = change.session_before != change.session_after
    return moved or after.start_time > before.start_time or after.end_time < before.end_time


def _update_sessions(rows: list[tuple[Any, ...]], now: datetime) -> None:
    if not rows:
        return
    # Repeat the ids: without statistics the planner would choose a sequential scan.
    keys = "id bigint, start_time timestamptz, end_time timestamptz"
    sums = ", ".join(f"{name} = s.{name} + d.{name}" for name in SESSION_SUMS)
    database.execute(
        f"""
        UPDATE traces_session s SET
            start_time = CASE WHEN s.trace_count = 0 THEN d.start_time ELSE least(s.start_time, d.start_time) END,
            end_time = CASE WHEN s.trace_count = 0 THEN d.end_time ELSE greatest(s.end_time, d.end_time) END,
            last_received_at = greatest(s.last_received_at, %s), revision = s.revision + 1, {sums}
        FROM (SELECT d.* FROM {_recordset(keys, SESSION_SUMS)}
              JOIN traces_session l ON l.id = d.id WHERE l.id = ANY(%s) ORDER BY d.id FOR NO KEY UPDATE OF l) d
        WHERE s.id = d.id AND s.id = ANY(%s)
        """,
        [now, _json(keys, SESSION_SUMS, rows), *2 * [[row[0] for row in rows]]],
    )


def _lock_sessions(sessions: list[int]) -> None:
    database.execute("SELECT FROM traces_session WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", [sessions])


def _recount_sessions(sessions: list[int], receiving: list[int], now: datetime) -> None:
    # They must be locked: only a later statement is sure to see what the last holder of the lock committed.
    if not sessions:
        return
    counted = {"trace_count": "count(t.id)", "error_trace_count": "count(t.id) FILTER (WHERE t.status = 'error')"}
    sums = ", ".join(f"{counted.get(name, f'coalesce(sum(t.{name}), 0)')} AS {name}" for name in SESSION_SUMS)
    database.execute(
        f"""
        UPDATE traces_session s SET start_time = coalesce(d.start_time, s.start_time),
            end_time = coalesce(d.end_time, s.end_time),
            last_received_at = greatest(s.last_received_at, CASE WHEN s.id = ANY(%s) THEN %s::timestamptz END),
            revision = s.revision + 1, {", ".join(f"{name} = d.{name}" for name in SESSION_SUMS)}
        FROM (SELECT l.id, min(t.start_time) AS start_time, max(t.end_time) AS end_time, {sums}
              FROM traces_session l LEFT JOIN traces_trace t ON t.session_id = l.id
              WHERE l.id = ANY(%s) GROUP BY l.id) d
        WHERE s.id = d.id
        """,
        [receiving, now, sessions],
    )


def _name_sessions(sessions: list[int]) -> None:
    first = """
        (SELECT t.{0} FROM (SELECT {0}, start_time, id FROM traces_trace WHERE session_id = s.id
                            ORDER BY start_time, id LIMIT %s) t
         WHERE {1} ORDER BY t.start_time, t.id LIMIT 1)
    """
    agent, user = first.format("agent_id", "t.agent_id IS NOT NULL"), first.format('"user"', "t.\"user\" <> ''")
    database.execute(
        f"""
        UPDATE traces_session s SET agent_id = d.agent_id, "user" = d.end_user
        FROM (SELECT s.id, {agent} AS agent_id, coalesce({user}, '') AS end_user
              FROM traces_session s WHERE s.id = ANY(%s)) d
        WHERE s.id = d.id AND s.id = ANY(%s) AND (s.agent_id, s."user") IS DISTINCT FROM (d.agent_id, d.end_user)
        """,
        [MAX_NAMING_TRACES, MAX_NAMING_TRACES, sessions, sessions],
    )


def _add_hours(project_id: int, changes: Sequence[Change]) -> None:
    sums: dict[tuple[int | None, datetime], Sums] = defaultdict(Sums)
    for summary, _, sign in _signed(changes):
        sums[summary.agent_id, summary.hour].add(summary, sign)
    rows = [(*key, *_hour_values(total)) for key, total in sums.items() if total != Sums()]
    _upsert(project_id, *_HOURS, rows)


def _add_latencies(project_id: int, changes: Sequence[Change]) -> None:
    sums: dict[tuple[int | None, datetime, int], int] = defaultdict(int)
    for summary, _, sign in _signed(changes):
        sums[summary.agent_id, summary.hour, summary.bucket] += sign
    rows = [(*key, count) for key, count in sums.items() if count]
    _upsert(project_id, *_LATENCIES, rows)


def _add_calls(project_id: int, changes: Sequence[Change]) -> None:
    sums: dict[tuple[int | None, datetime, CallKey], Calls] = defaultdict(Calls)
    for summary, _, sign in _signed(changes):
        for key, call in summary.calls:
            sums[summary.agent_id, summary.hour, key].add(call, sign)
    changed = ((key, _call_values(calls)) for key, calls in sums.items())
    rows = [(agent_id, hour, *key, *values) for (agent_id, hour, key), values in changed if any(values)]
    _upsert(project_id, *_CALLS, rows)


def _upsert(project_id: int, table: str, keys: str, sums: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
    if not rows:
        return
    names = _names(keys)
    columns = ", ".join([*names, *sums])
    database.execute(
        f"""
        INSERT INTO {table} AS r (project_id, {columns})
        SELECT %s, {columns} FROM {_recordset(keys, sums)} ORDER BY {", ".join(names)}
        ON CONFLICT (project_id, {", ".join(names)})
        DO UPDATE SET {", ".join(f"{name} = r.{name} + EXCLUDED.{name}" for name in sums)}
        """,
        [project_id, _json(keys, sums, rows)],
    )


def _recordset(keys: str, sums: Sequence[str]) -> str:
    columns = ", ".join(f"{name} {'numeric' if name in COSTS else 'bigint'}" for name in sums)
    return f"json_to_recordset(%s::json) AS d({keys}, {columns})"


def _json(keys: str, sums: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> str:
    columns = [*_names(keys), *sums]
    return orjson.dumps([dict(zip(columns, row, strict=True)) for row in rows], default=str).decode()


def _names(keys: str) -> list[str]:
    return [key.split()[0] for key in keys.split(", ")]
