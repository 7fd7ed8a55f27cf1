"""Enqueues changed targets until they settle."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import orjson
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from catalyst import database
from traces.models import QuietTime, Session, Unsettled
from traces.models.settle_queue import MAX_QUIET
from traces.summary import Summary

_UPSERT = """
    INSERT INTO traces_unsettled AS u (project_id, scope, target_id, due_at, since, is_first)
    {} ORDER BY 2, 3
    ON CONFLICT (scope, target_id) DO UPDATE
    SET due_at = EXCLUDED.due_at, since = least(u.since, EXCLUDED.since), looked_at = NULL
"""
_TRACES_AND_SPANS = """
    SELECT %s, s.* FROM json_to_recordset(%s::json)
        AS t(id bigint, due_at timestamptz, spans_due_at timestamptz, spans_since timestamptz, is_new boolean),
        LATERAL (VALUES
            ('trace', id, due_at, %s::timestamptz, is_new), ('span', id, spans_due_at, spans_since, false)
        ) AS s
"""
_TRACES = f"""
    WITH queued AS (
        {_UPSERT.format(_TRACES_AND_SPANS)}
        RETURNING scope, target_id, xmax = 0 AS is_new
    )
    SELECT target_id FROM queued WHERE is_new AND scope = 'trace'
"""
_SESSIONS = _UPSERT.format("""
    SELECT s.project_id, 'session', s.id,
        CASE WHEN s.end_time < t.now - q.quiet THEN t.now ELSE t.now + q.quiet END, t.now, false
    FROM (SELECT %s::timestamptz AS now, %s::interval AS quiet) AS t, traces_session s
    LEFT JOIN traces_quiettime o ON o.agent_id = s.agent_id,
    LATERAL (SELECT least(t.quiet, o.session) AS quiet) AS q
    WHERE s.id = ANY(%s)
""")


class ChangedTrace(NamedTuple):
    """`is_ready`: whether spans settle at once. `spans_since`: since when spans may be new. `is_new`: never stored."""

    pk: int
    summary: Summary
    is_ready: bool
    spans_since: datetime
    is_new: bool


def trace_due(summary: Summary, now: datetime) -> datetime:
    """When a trace settles if no more spans arrive. Replays and imports are due at once."""
    quiet = settings.SETTLE_TRACE if summary.root_ended else settings.SETTLE_ROOTLESS
    return now if summary.end_time < now - quiet else now + quiet


def enqueue_traces(project_id: int, changed: Sequence[ChangedTrace], since: datetime, now: datetime) -> set[int]:
    """Enqueue traces and their spans. Ready spans are due at once, others with the trace.

    `since`: when the first span was received.
    Returns the primary keys of traces that were not in the queue before.
    """
    rows = []
    for trace in changed:
        due = trace_due(trace.summary, now)
        spans = {"spans_due_at": now if trace.is_ready else due, "spans_since": trace.spans_since}
        rows.append({"id": trace.pk, "due_at": due, "is_new": trace.is_new, **spans})
    return {pk for (pk,) in database.fetch(_TRACES, [project_id, orjson.dumps(rows).decode(), since])}


def enqueue_sessions(sessions: Sequence[int], now: datetime) -> None:
    """Enqueue sessions whose rows are up to date, due at the earliest time at which one settles for some signal."""
    if sessions:
        database.execute(_SESSIONS, [now, settings.SETTLE_SESSION, list(sessions)])


@transaction.atomic
def set_quiet_time(agent_id: int, session: timedelta | None) -> None:
    """Set the shortest quiet time that a signal wants for sessions of an agent. None: no signal has its own."""
    if session is None:
        QuietTime.objects.filter(agent=agent_id).delete()
    else:
        QuietTime.objects.update_or_create(agent_id=agent_id, defaults={"session": session})


@transaction.atomic
def look_again(project_id: int, agent_id: int, now: datetime) -> None:
    """Settle the waiting sessions of an agent anew, because a signal evaluates them at another time than before."""
    sessions = Session.objects.filter(project=project_id, agent=agent_id)
    waiting = Unsettled.objects.filter(
        project=project_id, scope=Unsettled.Scope.SESSION, target_id__in=sessions.values("id")
    )
    locked = waiting.order_by("scope", "target_id").select_for_update(of=("self",))
    Unsettled.objects.filter(id__in=locked.values("id")).update(due_at=now, looked_at=None)


@transaction.atomic
def clamp_future_times(now: datetime) -> None:
    """Settle now what was enqueued while the clock of the machine was ahead."""
    max_wait = max(settings.SETTLE_TRACE, settings.SETTLE_ROOTLESS, settings.SETTLE_SESSION)
    stays = Q(looked_at__isnull=False, due_at__lte=now + max(max_wait, MAX_QUIET))
    too_late = Unsettled.objects.filter(due_at__gt=now + max_wait).exclude(stays)
    # The order in which ingest locks these rows: sessions last.
    for part in (too_late.exclude(scope=Unsettled.Scope.SESSION), too_late.filter(scope=Unsettled.Scope.SESSION)):
        locked = part.order_by("scope", "target_id").select_for_update()
        Unsettled.objects.filter(id__in=locked.values("id")).update(due_at=now)
