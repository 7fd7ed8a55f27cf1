"""Enqueues changed targets until they settle."""

from collections.abc import Sequence
from datetime import datetime

import orjson
from django.conf import settings
from django.db import transaction

from catalyst import database
from traces.models import Unsettled
from traces.summary import Summary

_UPSERT = """
    INSERT INTO traces_unsettled AS u (project_id, scope, target_id, due_at, since)
    {} ORDER BY 2, 3
    ON CONFLICT (scope, target_id) DO UPDATE SET due_at = EXCLUDED.due_at, since = least(u.since, EXCLUDED.since)
"""
_TRACES_AND_SPANS = """
    SELECT %s, s.* FROM json_to_recordset(%s::json)
        AS t(id bigint, due_at timestamptz, spans_due_at timestamptz, spans_since timestamptz),
        LATERAL (VALUES ('trace', id, due_at, %s::timestamptz), ('span', id, spans_due_at, spans_since)) AS s
"""
_TRACES = f"""
    WITH queued AS (
        {_UPSERT.format(_TRACES_AND_SPANS)}
        RETURNING scope, target_id, xmax = 0 AS is_new
    )
    SELECT target_id FROM queued WHERE is_new AND scope = 'trace'
"""
_SESSIONS = _UPSERT.format(
    "SELECT project_id, 'session', id, CASE WHEN end_time < %s THEN %s ELSE %s END, %s::timestamptz "
    "FROM traces_session WHERE id = ANY(%s)"
)


def trace_due(summary: Summary, now: datetime) -> datetime:
    """When a trace settles if no more spans arrive. Replays and imports are due at once."""
    quiet = settings.SETTLE_TRACE if summary.root_ended else settings.SETTLE_ROOTLESS
    return now if summary.end_time < now - quiet else now + quiet


def enqueue_traces(
    project_id: int, changed: Sequence[tuple[int, Summary, bool, datetime]], since: datetime, now: datetime
) -> set[int]:
    """Enqueue traces (primary key, summary, whether spans are ready, since when spans may be new) and their spans.

    Ready spans are due at once, others with the trace. `since`: when the first span was received.
    Returns the primary keys of traces that were not in the queue before.
    """
    rows = []
    for pk, summary, is_ready, spans_since in changed:
        due = trace_due(summary, now)
        spans_due = now if is_ready else due
        rows.append({"id": pk, "due_at": due, "spans_due_at": spans_due, "spans_since": spans_since})
    return {pk for (pk,) in database.fetch(_TRACES, [project_id, orjson.dumps(rows).decode(), since])}


def enqueue_sessions(sessions: Sequence[int], now: datetime) -> None:
    """Enqueue sessions whose rows are up to date."""
    if sessions:
        quiet = settings.SETTLE_SESSION
        database.execute(_SESSIONS, [now - quiet, now, now + quiet, now, list(sessions)])


@transaction.atomic
def clamp_future_times(now: datetime) -> None:
    """Settle now what was enqueued while the clock of the machine was ahead."""
    max_wait = max(settings.SETTLE_TRACE, settings.SETTLE_ROOTLESS, settings.SETTLE_SESSION)
    too_late = Unsettled.objects.filter(due_at__gt=now + max_wait)
    # The order in which ingest locks these rows: sessions last.
    for part in (too_late.exclude(scope=Unsettled.Scope.SESSION), too_late.filter(scope=Unsettled.Scope.SESSION)):
        locked = part.order_by("scope", "target_id").select_for_update()
        Unsettled.objects.filter(id__in=locked.values("id")).update(due_at=now)
