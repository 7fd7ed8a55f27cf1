"""Deletes expired data in batches, each in its own transaction. Rows that ingest has locked wait for the next run."""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import accumulate

from django.conf import settings
from django.db import models, transaction

from catalyst import timerange
from catalyst.agents.models import AgentIdentity
from catalyst.core.models import Project
from traces.ingest import rollups
from traces.models import (
    AgentHour,
    AgentHourCalls,
    AgentHourLatency,
    AgentMinute,
    ExpiredDay,
    Session,
    Trace,
    Unsettled,
)
from traces.models.agent_minutes import MINUTES_KEPT
from traces.models.trace import TraceQuerySet
from traces.span_store import span_store

MAX_BATCHES = 100
MAX_TRACES = 500
MAX_SPANS = 5_000
MAX_HOURS = 5_000
HOURLY: tuple[type[models.Model], ...] = (AgentHour, AgentHourLatency, AgentHourCalls)


def expire_spans(now: datetime) -> Sequence[str]:
    """Drop expired days of spans and record them. Returns the names of the dropped tables."""
    return span_store().expire(now, ExpiredDay.objects.record)


def delete_expired_traces(now: datetime, batches: int = MAX_BATCHES) -> int:
    """Delete expired traces and sessions, up to `batches` batches. Returns the number deleted."""
    # Projects take turns, so that a large one does not delay others.
    turns, deleted = deque(Project.objects.order_by("pk")), 0
    while turns and batches > 0:
        project = turns.popleft()
        if count := _delete_expired(project, now):
            turns.append(project)
            deleted += count
            batches -= 1
    return deleted


def delete_expired_hours(now: datetime, batches: int = MAX_BATCHES) -> int:
    """Delete hourly sums older than KEEP_ROLLUPS_DAYS, up to `batches` of each kind. Returns the number.

    Sums of senders whose clock is as far ahead are deleted after their traces.
    """
    kept_since = timerange.kept_since(now, settings.KEEP_ROLLUPS_DAYS)
    ahead = now + timedelta(days=settings.KEEP_ROLLUPS_DAYS)
    deleted = 0
    for model in HOURLY:
        hours = model._default_manager
        deleted += _repeat(batches, partial(_delete_hours, hours.filter(hour__lt=kept_since).order_by("hour")))
        deleted += _repeat(batches, partial(_delete_hours_ahead, hours.filter(hour__gt=ahead)))
    return deleted


def delete_expired_minutes(now: datetime, batches: int = MAX_BATCHES) -> int:
    """Delete sums of minutes older than MINUTES_KEPT, in up to `batches` batches. Returns the number."""
    return _repeat(batches, lambda: AgentMinute.objects.delete_expired(now - MINUTES_KEPT, MAX_HOURS))


def delete_expired_identities(now: datetime) -> int:
    """Delete a batch of ids of agents that came with one conversation only, when its trace has expired."""
    kept_since = timerange.kept_since(now, settings.RETENTION_DAYS)
    once = AgentIdentity.objects.filter(has_recurred=False, moving_from=None, first_seen_at__lt=kept_since)
    expired = once.exclude(identity=models.F("agent__identity")).order_by("first_seen_at")[:MAX_HOURS]
    return AgentIdentity.objects.filter(pk__in=list(expired.values_list("pk", flat=True))).delete()[0]


def _repeat(batches: int, delete: Callable[[], int]) -> int:
    deleted = 0
    for _ in range(batches):
        count = delete()
        deleted += count
        if count == 0:
            break
    return deleted


def _delete_expired(project: Project, now: datetime) -> int:
    days = project.kept_days
    querysets = (project.traces.expired(days, now), project.traces.expired_ahead(days, now))
    return sum(_delete_batch(project, traces, now) for traces in querysets) + _delete_sessions(project, now)


@transaction.atomic
def _delete_batch(project: Project, expired: TraceQuerySet, now: datetime) -> int:
    locked = list(expired.select_for_update(skip_locked=True)[:MAX_TRACES])
    sizes = accumulate(trace.span_count for trace in locked)
    traces = [trace for trace, size in zip(locked, sizes, strict=True) if size <= MAX_SPANS] or locked[:1]
    if not traces:
        return 0
    ids = [trace.pk for trace in traces]
    span_store().delete(project.pk, [trace.extent for trace in traces])
    Unsettled.objects.filter(scope__in=[Unsettled.Scope.SPAN, Unsettled.Scope.TRACE], target_id__in=ids).delete()
    Trace.objects.filter(pk__in=ids).delete()
    rollups.recount({trace.session_id for trace in traces if trace.session_id is not None}, now)
    return len(traces)


@transaction.atomic
def _delete_sessions(project: Project, now: datetime) -> int:
    expired = project.sessions.expired(project.kept_days, now).select_for_update(skip_locked=True)
    ids = list(expired.values_list("pk", flat=True)[:MAX_TRACES])
    if ids:
        Unsettled.objects.filter(scope=Unsettled.Scope.SESSION, target_id__in=ids).delete()
        Session.objects.filter(pk__in=ids).delete()
    return len(ids)


def _delete_hours_ahead(hours: models.QuerySet[models.Model]) -> int:
    # Only the first ones are looked at: their traces expire first, by their arrival.
    first = hours.order_by("pk").values("pk")[:MAX_HOURS]
    end = models.ExpressionWrapper(models.OuterRef("hour") + timerange.HOUR, output_field=models.DateTimeField())
    traces = Trace.objects.filter(
        project=models.OuterRef("project"), start_time__gte=models.OuterRef("hour"), start_time__lt=end
    )
    return _delete_hours(hours.filter(~models.Exists(traces), pk__in=first))


@transaction.atomic
def _delete_hours(old: models.QuerySet[models.Model]) -> int:
    ids = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:MAX_HOURS])
    return old.model._default_manager.filter(pk__in=ids).delete()[0] if ids else 0
