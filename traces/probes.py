"""Health checks and metrics: day partitions, settle queue, disk."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalyst import formats
from catalyst.core.models import Project
from catalyst.health import (
    MAX_COUNTED,
    Check,
    Metric,
    Queue,
    capped,
    check,
    check_queue,
    gauge,
    gauge_of,
    graded,
    queue_of,
)
from traces.models import Unsettled
from traces.span_store import StoreHealth, span_store

MIN_DAYS_AHEAD = 2
MANY_ASTRAY = 1_000
SETTLE_PATIENCE = timedelta(minutes=1)
LATE_DAYS = "Housekeeping makes them every minute: see Work, minute, and logs/worker-default.log in CATALYST_DATA."


def days(now: datetime) -> StoreHealth:
    return span_store().health(now, 0)


def check_days(store_health: StoreHealth, now: datetime) -> Iterator[Check]:
    ahead = _days_ahead(store_health, now)
    if ahead is None:
        yield Check("Spans", "days", "bad", "today's is missing", LATE_DAYS)
        return
    text = f"{store_health.day_count} days, the last is {store_health.last_day}"
    if ahead < MIN_DAYS_AHEAD:
        yield Check("Spans", "days", "warn", f"{text}: only {ahead} ahead", LATE_DAYS)
    else:
        yield Check("Spans", "days", "ok", text)


def _days_ahead(store_health: StoreHealth, now: datetime) -> int | None:
    return (store_health.last_day - now.date()).days if store_health.last_day else None


def day_metrics(store_health: StoreHealth, now: datetime) -> Iterator[Metric]:
    ahead = _days_ahead(store_health, now)
    text = "Days after today that have partitions; -1: not even today."
    yield gauge_of("partition_days_ahead", text, -1 if ahead is None else ahead)


def astray_spans(now: datetime) -> int:
    """Number of spans outside all days, counted up to MAX_COUNTED."""
    return span_store().health(now, MAX_COUNTED).misplaced_spans


def check_astray(count: int, _now: datetime) -> Iterator[Check]:
    advice = "Set the clocks of the senders right: these spans lie far in the past or the future."
    state = graded(count, MANY_ASTRAY, MAX_COUNTED)
    yield check("Spans", "outside all days", state, f"{capped(count)} spans", advice)


def astray_metrics(count: int, _now: datetime) -> Iterator[Metric]:
    yield gauge_of("default_partition_spans", "Spans outside of all days, counted up to 100,000.", count)


def settle_queue(now: datetime) -> Queue:
    return queue_of(Unsettled.objects.all(), "due_at", now)


def check_settling(queue: Queue, now: datetime) -> Iterator[Check]:
    advice = "See whether clock and the worker for default run, and the errors of settle below."
    yield check_queue("settling", queue, "targets", SETTLE_PATIENCE, now, advice)


def settle_metrics(queue: Queue, now: datetime) -> Iterator[Metric]:
    yield gauge_of("settle_due", "Targets that are due to settle, counted up to 100,000.", queue.due)
    lag = queue.lag(now).total_seconds()
    yield gauge_of("settle_lag_seconds", "For how long the oldest of them has been due.", lag)


@dataclass(frozen=True, slots=True)
class ProjectDisk:
    project: Project
    size_bytes: int
    spans: int


def project_disk(now: datetime) -> list[ProjectDisk]:
    """The estimated disk use of projects, largest first."""
    used = span_store().usage(now)
    projects = Project.objects.in_bulk([use.project_id for use in used])
    return [ProjectDisk(projects[use.project_id], use.bytes, use.spans) for use in used if use.project_id in projects]


def check_project_disk(projects: list[ProjectDisk], _now: datetime) -> Iterator[Check]:
    for used in projects:
        text = f"about {formats.size(used.size_bytes)} for {used.spans:,} spans"
        yield Check("Disk", f"project {used.project}", "ok", text)


def project_disk_metrics(projects: list[ProjectDisk], _now: datetime) -> Iterator[Metric]:
    text = "What the spans of a project take in the database, an estimate."
    samples = [({"project": used.project.slug}, used.size_bytes) for used in projects]
    yield gauge("project_disk_bytes", text, samples)
